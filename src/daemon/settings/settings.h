/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What zsblkd was asked for, by its command line (options.c) or by a file (config.c). Checked as far as
 * it can be without looking at the machine; everything is filled in when the daemon starts and does
 * not change afterwards.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "daemon/base/wrong.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTINGS_MAX_PARAMS 32

struct mistakes;

enum settings_use {
	SETTINGS_USE_NOTHING, /* a bare device: somebody else swaps on it, or mounts it */
	SETTINGS_USE_SWAP,
	SETTINGS_USE_MOUNT,
};

enum settings_transport {
	SETTINGS_TRANSPORT_AUTO, /* ublk where it can be used, otherwise NBD */
	SETTINGS_TRANSPORT_UBLK,
	SETTINGS_TRANSPORT_NBD,
};

struct settings {
	char *name;   /* of the instance: letters, digits, '.', '_' and '-', at most 32 */
	char *device; /* "/dev/ublkbN" or "/dev/nbdN"; NULL: the kernel chooses */
	enum settings_transport transport;

	enum settings_use use;
	int swap_priority;   /* 0 to 32767; -1: the kernel chooses */
	bool tune;           /* the kernel's settings, for swap: sysctls.h */
	char *mount_point;   /* absolute */
	char *fs_type;       /* what mkfs.TYPE makes */
	char *mount_options; /* as mount -o takes them */

	unsigned connections;     /* sockets handed to the kernel, 1 to 64 */
	unsigned threads;         /* of the server for each connection, 1 to 64; 0: a default */
	unsigned request_timeout; /* seconds, 1 to 86400; with more than one connection only, see zsblkd(8) */
	unsigned dead_timeout;    /* seconds that requests wait for a server, 1 to 86400 */
	unsigned probe_timeout;   /* milliseconds without an answer after which a server hangs, 100 to 600000 */

	/* Of the server's control socket. */
	char *control_group; /* whose members may look; NULL: nobody's */
	unsigned
		background_cpu; /* per cent of a processor for work in the background, 1 to 100; 0: the server's default */
	/* What is done with cold blocks: lines of KEY=VALUE, a newline before each, as the server takes them; NULL: nothing was given. */
	char *cold;
	uint64_t cold_after, frozen_after; /* of these, seconds; 0: not given, or never */

	uint64_t recovery_reserve; /* bytes that are held for the start of a server when memory is short */

	/* What to run: a path, or a name looked up in PATH. */
	char *ublk_server;
	char *nbdkit;
	char *plugin; /* what nbdkit loads: a name or a path */

	/* The plugin's parameters, "key=value" each, as the server gets them; sizes are in bytes. */
	char *params[SETTINGS_MAX_PARAMS + 1];
	size_t n_params;

	uint64_t ram_bytes;   /* what "ram" stands for in sizes; 0: not known, and refused */
	uint64_t limit_bytes; /* the memory limit of a control group; 0: none */
	uint64_t given;       /* a bit for each key that settings_set() has had; ask settings_given() */
	uint64_t settled;     /* bits of keys that files which count more have settled; config.c sets them */
	/* What is no mistake, and worth a warning. */
	struct settings_remark {
		char key[24];
		char *text;
	} remarks[4];
	unsigned n_remarks;

	/* Where they come from, for messages. */
	char *path;           /* of the configuration; NULL: none */
	char **files;         /* its files */
	unsigned n_files;     /* of them */
	unsigned in_file[64]; /* for each key the number of its file, if it has a line */
	unsigned lines[64];   /* and the line there; 0: nowhere */
};

/* Fill in the defaults; memory that cannot be had for them is settings_check()'s to tell. */
void settings_init(struct settings *settings);
/* Harmless on a zeroed struct, and twice. */
void settings_free(struct settings *settings);

/* Replace a string: *at is freed first. 0 or -ENOMEM. */
int settings_string(char **at, const char *value);

/* Set the instance's name. 0, -EINVAL with the reason, or -ENOMEM. */
int settings_name(struct settings *settings, const char *name, struct wrong *wrong);

/*
 * Add a parameter of the plugin. 0; -EEXIST if the key is there already, -E2BIG if there are too many,
 * -ENOMEM.
 */
int settings_add_param(struct settings *settings, const char *key, const char *value);
/* The same in place of what the key had, if anything. -ENOMEM. */
int settings_replace_param(struct settings *settings, const char *key, const char *value);
/* A size as the plugin takes it: bytes, or with a suffix. 0: none, or one that is wrong, which the plugin will tell. */
uint64_t settings_param_bytes(const struct settings *settings, const char *key);
/* The value of a parameter, or NULL. */
const char *settings_param(const struct settings *settings, const char *key);

/*
 * Set one by its name in configuration files ("swap-priority"), from text, once. 0, or -EINVAL with the
 * reason, which names the value and what would be right but not where it was given. Sizes are
 * expressions (expression.h): set `ram_bytes` before.
 */
int settings_set(struct settings *settings, const char *key, const char *value, struct wrong *wrong);

/* Has settings_set() had this key, or an alias of it? False for keys that do not exist. */
bool settings_given(const struct settings *settings, const char *key);

/* Note a remark about a key; beyond the fourth none. 0 or -ENOMEM. */
__attribute__((format(printf, 3, 4))) int settings_remark(struct settings *settings, const char *key,
							  const char *format, ...);
/* Fill in the text of a remark, with file and line in front, as a mistake has them. False: there are no more. */
bool settings_remark_text(const struct settings *settings, unsigned index, struct wrong *text);

/* Note a file of the configuration. Its number, or -ENOMEM. */
int settings_add_file(struct settings *settings, const char *path);
/* The key that was just set is in this line of the file of that number. */
void settings_came_from(struct settings *settings, const char *key, unsigned file, unsigned line);
/* That line; 0: none, or there is no such key. And the path of the file; that of the configuration if there is no line. */
unsigned settings_line(const struct settings *settings, const char *key);
const char *settings_file(const struct settings *settings, const char *key);
/* Is there a key, or an alias of one, of that name? */
bool settings_has_key(const char *key);
/* Its bit in `given`; 0: there is no such key. */
uint64_t settings_key_bit(const char *key);

/* A 32nd of ram_bytes, at most 32 MiB, and at most an eighth of limit_bytes, unless it was given. */
void settings_default_recovery(struct settings *settings);
/*
 * Give the plugin a reserve, unless one was asked for: a 32nd of ram_bytes, 8 to 64 MiB, and at most half of mem-limit,
 * a quarter of size, and an eighth of limit_bytes.
 * Memory that is ready before it is needed: what stores a page must not wait for memory, which those who wait for that
 * page to be stored would have to free. 0, or an error of settings_add_param().
 */
int settings_default_reserve(struct settings *settings);

/*
 * Check the whole, once all are set, and what the plugin will say to its parameters. 0, or -EINVAL with the reason, which begins
 * with the configuration file and the line if there are any.
 */
int settings_check(const struct settings *settings, struct wrong *wrong);
/* The same, and each mistake is told, if that is what `mistakes` asks for. */
int settings_check_all(const struct settings *settings, struct mistakes *mistakes);

#endif
