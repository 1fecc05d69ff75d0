/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of nbd.c, where libnbd is not to be had. */
#include "spill/parts.h"

#include <errno.h>

static int open_none(struct spill_store *store, const struct spill_params *params, bool make, struct spill_why *why)
{
	(void)store;
	(void)make;
	spill_why_set(why, "%s: this build has no NBD client (libnbd)", params->location);
	return -EOPNOTSUPP;
}

static void do_nothing(struct spill_store *store)
{
	(void)store;
}

static void close_none(struct spill_store *store, bool remove)
{
	(void)store;
	(void)remove;
}

const struct spill_backend spill_nbd_backend = {
	.open = open_none,
	.wake = do_nothing,
	.unstick = do_nothing,
	.close = close_none,
};
