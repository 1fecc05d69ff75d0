/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request of the kernel: from its descriptor to the engine and back. Data goes through a buffer of the calling thread,
 * which pread() and pwrite() on /dev/ublkcN fill from the request's pages and empty into them. One small buffer that stays in the
 * processor's cache serves all requests of a thread, however many there may be at a time.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "ublk/uapi.h"
#include "zsblk.h"

/* A request that is larger goes through the buffer in pieces. */
#define REQUEST_BUFFER_BYTES (128u << 10)

/* What requests are served with. A thread has its own. */
struct request_place {
	struct zsblk *device;
	int fd; /* of /dev/ublkcN */
	uint8_t *buffer;
};

/*
 * Serve it. Returns what the driver is told: bytes read or written, 0 for other requests, or a negative errno. Nothing has been
 * lost then: blocks that were not written have their old contents. Allocates nothing.
 */
int request_serve(const struct request_place *place, uint16_t queue, uint16_t tag,
		  const struct uapi_descriptor *request);

#endif
