/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's control socket: FOLDER/control, SOCK_SEQPACKET, mode 0600. One request a connection, one word:
 * "stop", "stop-unused", "upgrade", "status", or "make-way" (from another daemon, to one whose supervisor has died).
 * The answer comes once that is done: "ok" or "failed", a newline, and a text for people. Both are at most 1000 bytes.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "daemon/base/wrong.h"
#include "daemon/state/folder.h"

#include <stdbool.h>

struct sd_event;
struct control;

#define CONTROL_TEXT_MAX 1000
/* One more, and one that has asked nothing yet has to go. */
#define CONTROL_CLIENTS 8u
/* No client has this number. */
#define CONTROL_NOBODY (~0u)

/* A request: answer it with control_answer(), now or later. No other client gets the same number. */
typedef void control_request_fn(void *opaque, unsigned client, const char *request);

int control_listen(struct control **control, struct sd_event *loop, const struct folder *folder,
		   control_request_fn *request, void *opaque);
void control_close(struct control *control);

/* Answer a client, who may have gone, or CONTROL_NOBODY. */
void control_answer(struct control *control, unsigned client, bool ok, const char *text);

/*
 * The other side: ask the daemon of an instance and wait for the answer, `seconds` at most (0: as long as it takes).
 * 0 or, when it failed, -EACCES, with its text in answer->text; -ESRCH when no daemon is there; -EREMOTEIO when
 * it does not answer; what folder_open() says.
 */
int control_ask(const char *top, const char *name, const char *request, unsigned seconds, struct wrong *answer);

#endif
