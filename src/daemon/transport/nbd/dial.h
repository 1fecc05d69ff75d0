/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections to a server, up to the end of NBD's handshake. They are made all at once, and nothing
 * waits: a server that is still starting answers when it is ready.
 */
#ifndef DIAL_H
#define DIAL_H

#include <stdint.h>

struct sd_event;
struct connection;
struct dial;

/* What the server says of itself. */
struct dial_server {
	uint64_t size;
	uint64_t flags; /* CONNECTION_..., the protocol's transmission flags that the kernel knows */
};

/* All are ready (0), or one has failed (a negative errno, with the reason). Called once, from the loop. */
typedef void dial_done_fn(void *opaque, int r, const char *why);

/* Begin to make `n` connections to the socket at `path`. */
int dial_start(struct dial **dial, struct sd_event *loop, const char *path, unsigned n, dial_done_fn *done,
	       void *opaque);

/* Of connection `i`, once all are ready. The descriptor stays the connection's. */
int dial_fd(const struct dial *dial, unsigned i);
void dial_server(const struct dial *dial, struct dial_server *server);
/* Take connection `i` out, to go on using it; whoever takes it closes it. */
void dial_take(struct dial *dial, unsigned i, struct connection *connection);

/* Close all that were not taken out; whoever has a copy of a descriptor goes on. NULL is allowed. */
void dial_end(struct dial *dial);

#endif
