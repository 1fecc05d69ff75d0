/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another size for the device, while it is in use. The segment has the size; the server changes it there. Whoever is killed in between
 * leaves the old size or the new one: the next server is started with the segment's, and the kernel is told.
 */
#ifndef RESIZE_H
#define RESIZE_H

#include "daemon/instance.h"

#include <stdint.h>

struct stop;
struct use;
struct resize;

/* 0, -ENOMEM, or an error of sd_event_add_time(3). *stop and *use have to live as long. */
int resize_create(struct resize **resize, struct instance *instance, struct stop *stop, struct use *use);
/* NULL is allowed. */
void resize_free(struct resize *resize);

/* Give the device `size` bytes. The client is answered when it has them, or cannot have them. */
void resize_request(struct resize *resize, unsigned client, uint64_t size);

/* A server serves: the one that was waited for; or one of an earlier daemon (`is_adopted`), which may not have come to the end of a resize. */
void resize_serves(struct resize *resize, bool is_adopted);

/* ------------------------------------------------------------------ a decision: no side effects, tested by a table */

struct resize_facts {
	const char *device; /* "/dev/nbd0" */
	uint64_t has, wanted;
	bool is_swap, is_mounted, is_held; /* held: something is made of it, as LUKS or LVM does */
};
/* May the device have the size that is wanted? If not, what has to happen first is in *wrong. */
bool resize_may(const struct resize_facts *facts, struct wrong *wrong);

#endif
