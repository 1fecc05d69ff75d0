/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a ublk device of zsblk looks like to the driver: its parameters, and the mark by which a later server knows it. Pure
 * functions; any thread.
 *
 * The driver keeps 64 bits for the server that made a device. Ours are a magic number and the identifier of the shared segment with
 * the data. Anybody who makes a device can write the same; but ordinary users, where udev lets them at the driver, make devices that
 * the driver knows as theirs, and those are never ours. So the mark protects from mistakes of root's programs: no other program's device
 * is ever taken over or removed, and none of ours is served with the data of another.
 */
#ifndef TARGET_H
#define TARGET_H

#include "ublk/uapi.h"
#include "zsblk.h"

/*
 * The largest request. The server copies it in pieces, so that this costs no memory; a request of this size keeps its queue busy
 * for a millisecond or two.
 */
#define TARGET_MAX_REQUEST (512u << 10)
/*
 * The largest discard, and the largest request to write zeroes. Before Linux 6.11, lengths of 4 GiB and more are cut off; this is
 * less, so that other requests of the queue do not wait long.
 */
#define TARGET_MAX_DISCARD (64u << 20)

/* The segment of a device whose data ends with its server. */
#define TARGET_NO_SEGMENT (-1)

/* What is asked of the driver. `number`: UAPI_ANY_NUMBER, or the one to have. `segment`: identifier of the shared segment. */
void target_info(struct uapi_info *info, uint32_t number, uint16_t queues, uint16_t depth, int segment);
void target_params(struct uapi_params *params, uint64_t size);

/* Did zsblk make this device? Otherwise -EPERM, with the reason. */
int target_is_ours(const struct uapi_info *info, struct zsblk_why *why);
/* The segment of a device of ours; TARGET_NO_SEGMENT: it has none. */
int target_segment(const struct uapi_info *info);
/* Is it the device of that segment, and of that size? Otherwise -EINVAL, with the reason. */
int target_fits(const struct uapi_info *info, const struct uapi_params *params, int segment, uint64_t size,
		struct zsblk_why *why);

#endif
