/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device is for: swap or a file system. It is put to use once a server serves it for the first time, and looked after from then
 * on: somebody else may switch swap off, and on again.
 */
#ifndef USE_H
#define USE_H

#include "daemon/instance.h"

struct status;
struct stop;
struct use;

/* The device is in use, or ready for it. Called once. */
typedef void use_ready_fn(void *opaque);

/* 0 or -ENOMEM. *stop and *status have to live as long. */
int use_create(struct use **use, struct instance *instance, struct stop *stop, struct status *status,
	       use_ready_fn *ready, void *opaque);
/* NULL is allowed. */
void use_free(struct use *use);

/* The first time: swap on the device, or mount it, unless a daemon before did so. If that fails, the instance is stopped. */
void use_begin(struct use *use);
/* Has somebody switched swap off, or on? */
void use_look_for_swapoff(struct use *use);
/* If somebody has switched swap off, switch it on. */
void use_swap_again(struct use *use);

bool use_is_ready(const struct use *use);
/* Has somebody else switched swap off? */
bool use_swap_is_off(const struct use *use);

#endif
