/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's control socket: FOLDER/daemon, org.zsblk.Daemon over Varlink. docs/control.md has rights and limits.
 *
 * A request is answered now or later, with one line for people. The loop never waits for a client: what clients can take is bounded, and
 * is in memory from the start (varlink/server.h). While the system has no memory to spare, clients wait.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "daemon/base/wrong.h"
#include "daemon/state/folder.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sd_event;
struct json_object;
struct control;

/* Bytes of an answer, and of the requests of daemons before 0.1. */
#define CONTROL_TEXT_MAX 1000
/* So many requests wait for their answers at most; varlink/server.h has no more clients. */
#define CONTROL_CLIENTS 8u
/* No client has this number. */
#define CONTROL_NOBODY (~0u)

enum control_verb {
	CONTROL_STATUS,
	CONTROL_STOP,
	CONTROL_STOP_UNUSED, /* only if nobody uses the device */
	CONTROL_UPGRADE,
	CONTROL_RESIZE,
	CONTROL_MAKE_WAY, /* from another daemon, to one whose supervisor has died */
};

struct control_request {
	enum control_verb verb;
	uint64_t size; /* CONTROL_RESIZE: bytes */
};

struct control_spec {
	struct sd_event *loop;
	const struct folder *folder;
	gid_t group; /* whose members may look; (gid_t)-1: nobody's */
	const char *version;
	/* A request: answer it with control_answer(), now or later. No other client gets the same number. */
	void (*request)(void *opaque, unsigned client, const struct control_request *request);
	/* The members of the reply to GetStatus, as things are now, but for the sentence. NULL: no memory. */
	struct json_object *(*report)(void *opaque);
	void *opaque;
};

/*
 * 0, -ENOMEM, or an error of sd-event. A socket that cannot be made is no error: that is said, and tried again every few seconds, as when
 * somebody has removed the socket. *spec is copied.
 */
int control_listen(struct control **control, const struct control_spec *spec);
/* NULL is allowed. */
void control_close(struct control *control);

/* The answer to CONTROL_MAKE_WAY of a daemon that makes way later: it holds files that the next server may need. */
#define CONTROL_ASK_AGAIN "no server has served for long; ask again"

/* Answer a client, who may have gone, or CONTROL_NOBODY. */
void control_answer(struct control *control, unsigned client, bool ok, const char *text);
/* Send what has been answered, also while there is no memory to spare: the daemon is about to end. */
void control_flush(struct control *control);

/*
 * The other side: ask the daemon of an instance and wait for the answer, `seconds` at most (0: as long as it takes).
 * 0 or, when it failed, -EACCES, with its text in answer->text; -ESRCH when no daemon is there; -EREMOTEIO when
 * it does not answer; what folder_open() says. A daemon of a version before 0.1 is asked as such a one was.
 */
int control_ask(const char *top, const char *name, const struct control_request *request, unsigned seconds,
		struct wrong *answer);

#endif
