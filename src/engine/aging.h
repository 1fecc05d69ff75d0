/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the ages of a device's blocks are kept, and what users ask of them: marking, and the table of ages. ages.h has
 * the bytes.
 */
#ifndef AGING_H
#define AGING_H

#include "engine/engine.h"

/* Find the place of the ages. Where the segment has none, process memory is taken. -ENOMEM. */
int aging_open(struct zsblk *dev);
/* Ages are kept from now on. With the claim, before the first request. 0, or a negative errno of madvise or mincore. */
int aging_start(struct zsblk *dev);
void aging_close(struct zsblk *dev);
/* So much time has passed: let all blocks grow older. For one thread at a time. */
void aging_pass(struct zsblk *dev, uint64_t seconds);
/* If a second has passed, let all blocks grow older. For the worker. */
void aging_keep(struct zsblk *dev);

#endif
