/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket of a server: org.zsblk.Device over Varlink, at the path that control= names. docs/control.md tells who may do
 * what there, and what is bounded.
 *
 * A thread of its own serves the socket. No request waits for that thread: its memory is there from the start, it allocates nothing
 * while the system has no memory to spare, and what takes long is a job.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stddef.h>

struct host;
struct control;

/*
 * Bytes of heap: 0.6 MiB for the buffers of connections, and the rest for calls, which are handled one at a time. An object takes json-c some
 * 900 bytes; a call has at most VARLINK_VALUES_MAX of them, and the largest reply, of GetLatencies, 1365. The text of a reply comes on top.
 */
#define CONTROL_HEAP_BYTES (3072u * 1024)

/*
 * Listen, and start the thread. A socket that cannot be made is no error: the reason is said, and the thread tries again every few
 * seconds, also when somebody removes the socket's file. 0 or a negative errno. *host has its device, and stays the caller's until
 * control_stop().
 */
int control_start(struct control **control, struct host *host);
/* End the thread, let go of all clients and remove the socket. NULL is allowed. */
void control_stop(struct control *control);

#endif
