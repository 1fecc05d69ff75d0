/* SPDX-License-Identifier: BSD-3-Clause */
/* Our devices. See target.h. */
#include "ublk/target.h"

#include "ublk/why.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* "zsbk", and below it the segment. */
#define MARK ((uint64_t)0x7a73626b << 32)

#define SECTOR_SHIFT 9
#define BLOCK_SHIFT  12
_Static_assert(1u << BLOCK_SHIFT == ZSBLK_BLOCK_SIZE, "the device's blocks are the engine's");
_Static_assert(TARGET_MAX_REQUEST <= UAPI_MAX_REQUEST_BYTES, "the driver has no room for more");

/* Of a device whose data is lost with its server: it ends with that, too. */
#define FLAGS (UAPI_F_CMD_IOCTL_ENCODE | UAPI_F_USER_COPY)
/* Of one that waits for the next server. What its last one had not answered comes again: the same data at the same place. */
#define RECOVERY (UAPI_F_USER_RECOVERY | UAPI_F_USER_RECOVERY_REISSUE)

static uint64_t mark_of(int segment)
{
	return MARK | (uint32_t)segment;
}

void target_info(struct uapi_info *info, uint32_t number, uint16_t queues, uint16_t depth, int segment)
{
	*info = (struct uapi_info){
		.queues = queues,
		.depth = depth,
		.max_request_bytes = TARGET_MAX_REQUEST,
		.device = number,
		.flags = FLAGS | (segment == TARGET_NO_SEGMENT ? 0 : RECOVERY),
		.target = mark_of(segment),
	};
}

void target_params(struct uapi_params *params, uint64_t size)
{
	*params = (struct uapi_params){
		.types = UAPI_PARAM_BASIC | UAPI_PARAM_DISCARD,
		.logical_block_shift = BLOCK_SHIFT,
		.physical_block_shift = BLOCK_SHIFT,
		.optimal_io_shift = BLOCK_SHIFT,
		.minimum_io_shift = BLOCK_SHIFT,
		.max_sectors = TARGET_MAX_REQUEST >> SECTOR_SHIFT,
		.sectors = size >> SECTOR_SHIFT,
		.discard_granularity = ZSBLK_BLOCK_SIZE,
		.max_discard_sectors = TARGET_MAX_DISCARD >> SECTOR_SHIFT,
		.max_write_zeroes_sectors = TARGET_MAX_DISCARD >> SECTOR_SHIFT,
		.max_discard_segments = 1,
	};
}

int target_is_ours(const struct uapi_info *info, struct zsblk_why *why)
{
	if ((info->target & ~(uint64_t)UINT32_MAX) != MARK || (info->flags & FLAGS) != FLAGS ||
	    (info->flags & UAPI_F_UNPRIVILEGED))
		return why_say(why, -EPERM, "/dev/ublkb%" PRIu32 " is not a device of zsblk: another program made it",
			       info->device);
	return 0;
}

int target_segment(const struct uapi_info *info)
{
	return (int32_t)(uint32_t)info->target;
}

int target_fits(const struct uapi_info *info, const struct uapi_params *params, int segment, uint64_t size,
		struct zsblk_why *why)
{
	if (segment == TARGET_NO_SEGMENT || (info->flags & RECOVERY) != RECOVERY)
		return why_say(why, -EINVAL,
			       "/dev/ublkb%" PRIu32
			       " cannot be taken over: with memory=anon the data ends with the server. "
			       "Use memory=shm:KEY from the start",
			       info->device);
	if (info->target != mark_of(segment))
		return why_say(why, -EINVAL,
			       "/dev/ublkb%" PRIu32 " is the device of segment %" PRId32
			       ", and not of segment %d; give "
			       "memory=shm:id=%" PRId32 " or the key of that (ipcs -m)",
			       info->device, (int32_t)(uint32_t)info->target, segment, (int32_t)(uint32_t)info->target);
	/* The segment grows first: whoever had grown it may have been killed before the driver was told. */
	if (params->sectors > size >> SECTOR_SHIFT)
		return why_say(why, -EINVAL,
			       "/dev/ublkb%" PRIu32 " has %" PRIu64 " bytes, and size=%" PRIu64 " is less",
			       info->device, params->sectors << SECTOR_SHIFT, size);
	return 0;
}
