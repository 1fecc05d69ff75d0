/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transports: how the kernel reaches a server. A transport knows what its devices are called and whose they are, how a server is started,
 * how it gets behind the device, how it is found to hang, and how the device is taken down. Nothing else in zsblkd knows which transport
 * there is. One implementation is one `const struct transport`, in a folder of its own; transport.c has the list.
 *
 *             keeper, jobs, start
 *                     |
 *            struct transport (this file)
 *                |           |
 *          transport/nbd  transport/ublk
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "daemon/kernel/device.h"
#include "daemon/settings/settings.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct folder;
struct sd_event;
struct transport;
struct arguments;
struct zsblk_segment;

/* What the identifiers of devices of all instances begin with; the name follows. */
#define TRANSPORT_BACKEND_START "zsblk:"

/* ------------------------------------------------------------------ whose a device is */

/* A path alone says nothing: others can detach a device, and have another server behind it. */
enum transport_backing {
	TRANSPORT_BACKING_NONE,    /* there is no server behind the device, dead or alive: it is not attached */
	TRANSPORT_BACKING_OURS,    /* it bears the identifier that was asked for */
	TRANSPORT_BACKING_OTHER,   /* it bears another one */
	TRANSPORT_BACKING_UNNAMED, /* it bears none: another program's, or a kernel that knows no identifiers */
	TRANSPORT_BACKING_UNKNOWN, /* that cannot be read just now: it may be any of these */
};

/* Of an attached device, or of one that is to be: the transport that has devices of such a name. NULL: none has. */
const struct transport *transport_of(const struct device *device);
enum transport_backing transport_backing(const struct device *device, const char *backend);
/* Is there a server behind it, dead or alive, whosever it is? True as well if that cannot be told. */
bool transport_is_attached(const struct device *device);
/*
 * Open the device and see whose it is. As long as the descriptor (*held, or -1 if the device cannot be opened) is open, the kernel lets
 * nobody have another server behind it, so that what was found stays true. May block: for children.
 */
enum transport_backing transport_hold(const struct device *device, const char *backend, int *held);
/*
 * The attached device with that identifier, of any transport. 0; -ENODEV: there is none; -EAGAIN: there may be one. May run a program, for
 * some seconds at most.
 */
int transport_find(const struct settings *settings, const char *backend, struct device *device);
/* The same of the instance that the settings name: is there such a device? */
int transport_find_instance(const struct settings *settings);
/* Is a device other than this one any zsblkd's, or may it be? May run a program, as above. */
bool transport_has_others(const struct settings *settings, const struct device *device);
/*
 * Take the device down. Nobody uses it; if the transport has `server_attaches`, neither has the caller it open. May block: for children. 0
 * or a negative errno with the reason.
 */
int transport_detach(const struct settings *settings, const struct device *device, struct wrong *wrong);

/*
 * Remove devices that servers of this segment have left behind, where none is or was in service: a server that was killed while it made
 * its device, or a start that was refused. May run programs, for some seconds at most.
 */
void transport_remove_leftovers(const struct transport *transport, const struct settings *settings, int segment);

/* ------------------------------------------------------------------ a server behind the device */

/* A server, as far as a transport has to know it. */
struct transport_server {
	pid_t pid;
	const char *contact; /* the path that the server makes once it has started */
};

/* What has become of a server that transport_reach() was given. */
enum transport_news {
	TRANSPORT_SERVES,  /* it is behind the device, and is probed from now on */
	TRANSPORT_REFUSED, /* the device cannot have it; the text is a sentence that says why */
	TRANSPORT_FAILED,  /* it is not reached, or not any more; the text goes on from "the server" */
	TRANSPORT_HUNG,    /* it does not do its work; the text goes on from "the server" */
	TRANSPORT_ENDS,    /* it has closed its connection, as a process does that ends; no text */
};
/* From the loop. After any but TRANSPORT_SERVES nothing more is told of this server. The callee may call transport_let_go(). */
typedef void transport_news_fn(void *opaque, enum transport_news news, const char *text);

struct transport_spec {
	struct sd_event *loop;
	const struct settings *settings;
	const struct folder *folder;
	const char *backend;            /* the device's identifier */
	const struct device *device;    /* the one to use; none: the kernel's choice */
	bool (*may_fork)(void *opaque); /* is there memory for one more process? */
	transport_news_fn *news;
	void *opaque;
};

/*
 * The kernel's end: the device, and what it takes to bring a server behind it. The device is attached once; servers come and go. One
 * thread. What may block is in the implementation's head comment.
 */
struct transport_end {
	const struct transport *transport;
	struct device device; /* none until it is attached, unless one was asked for */
	bool detaching;       /* somebody is about to detach the device: it must not be attached again */
};

/* 0, or a negative errno with the reason. *spec and what it points to stay the caller's, and must stay. */
int transport_open(struct transport_end **end, const struct transport *transport, const struct transport_spec *spec,
		   struct wrong *wrong);
/* What the kernel has stays as it is. NULL is allowed. */
void transport_close(struct transport_end *end);

/*
 * Bring a server behind the device, once it has started; the device is attached if it is not yet. `adopted`: an earlier daemon has done
 * so, and the server is still behind the device. How it went is told by `news`, perhaps before this returns; how long it may take is the
 * caller's to decide. Only one server at a time.
 */
void transport_reach(struct transport_end *end, const struct transport_server *server, bool adopted);
/*
 * The device is to have another size, in bytes. Where the server tells the kernel that (server_attaches), it has done so. 0 or a negative
 * errno, with the reason.
 */
int transport_set_size(struct transport_end *end, uint64_t size, struct wrong *wrong);
/* The server has ended, or is to end. Nothing more is told of it. */
void transport_let_go(struct transport_end *end);
/* Look whether the kernel still has the server; if not, that is told. */
void transport_check(struct transport_end *end);
/* The longest that a probe of the present server took, in microseconds; 0: there was none. */
uint64_t transport_longest_probe_us(const struct transport_end *end);

/* ------------------------------------------------------------------ implementations */

struct transport {
	const char *name;         /* for people: "NBD" */
	const char *device_start; /* "/dev/nbd": a number follows */
	const char *server_name;  /* what its servers are called: "nbdkit" */
	const char *contact;      /* what a server makes once it has started: one of FOLDER_CONTACTS (state/folder.h) */
	uint64_t pause_us; /* between the end of a server and the start of the next one, and why: where it is set */

	/*
	 * The server makes the device. So no server may be started that would make another one, and nobody may have the device open while it is
	 * taken down, which the server's program does.
	 */
	bool server_attaches;

	/* Can it be had here, and is it good? 0, or a negative errno with the reason. NULL: that shows when it is used. May run a program. */
	int (*may_be_used)(const struct settings *settings, struct wrong *wrong);

	/* As the functions above. */
	enum transport_backing (*backing)(const struct device *device, const char *backend);
	bool (*is_attached)(const struct device *device);
	int (*find)(const struct settings *settings, const char *backend, struct device *device);
	bool (*has_others)(const struct settings *settings, const struct device *device);
	int (*detach)(const struct settings *settings, const struct device *device, struct wrong *wrong);

	/* NULL: nothing is ever left. */
	void (*remove_leftovers)(const struct settings *settings, int segment);

	int (*open)(struct transport_end **end, const struct transport_spec *spec, struct wrong *wrong);
	void (*close)(struct transport_end *end);
	void (*reach)(struct transport_end *end, const struct transport_server *server, bool adopted);
	int (*set_size)(struct transport_end *end, uint64_t size, struct wrong *wrong);
	void (*let_go)(struct transport_end *end);
	void (*check)(struct transport_end *end);
	uint64_t (*longest_probe_us)(const struct transport_end *end);

	/* What a server is started by: a path, or a name that is looked up in PATH. */
	const char *(*program)(const struct settings *settings);
	/*
	 * An argument that tells the server which device it is to take over (`attached`), or to make; empty: none. NULL: servers are not told.
	 */
	void (*device_argument)(const struct device *device, bool attached, char *text, size_t size);
	/* The last part of the path of the file that the program loads when its argument is `module`. NULL: it loads none. */
	void (*module_file)(const char *module, char *name, size_t size);
	/* Its arguments, with the parameters that swap needs. 0 or an error of arguments_add(). */
	int (*arguments)(struct arguments *arguments, const struct settings *settings, const char *memory,
			 const char *stats);

	/*
	 * Would a new server come up? Start one with the parameters there are, but on memory of its own, and have it end. `contact`: a path
	 * for it, which is gone afterwards. For children. 0 or a negative errno with the reason; -EINVAL: it does not know the format of the
	 * segment, or a feature that the segment has.
	 */
	int (*rehearse)(const struct settings *settings, const struct zsblk_segment *segment, const char *contact,
			struct wrong *wrong);
};

extern const struct transport nbd_transport;
extern const struct transport ublk_transport;

#endif
