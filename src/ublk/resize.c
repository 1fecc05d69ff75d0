/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another size. See resize.h.
 *
 *   larger    the segment, then the disk    whoever is killed in between leaves a disk that is smaller than its segment, which works,
 *   smaller   the disk, then the segment    and the next server tells the driver
 *
 * The commands go through a ring of their own: that of the service belongs to the thread that starts and stops it.
 */
#include "ublk/resize.h"

#include "ublk/device.h"
#include "ublk/driver.h"
#include "ublk/target.h"
#include "ublk/why.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

static int grow(struct driver *driver, uint32_t number, struct zsblk *device, uint64_t size, struct zsblk_why *why)
{
	uint64_t before = zsblk_size(device);
	int r = zsblk_resize(device, size, why);

	if (r)
		return r;
	r = driver_set_size(driver, number, size, why);
	/* Nothing can be stored behind what the disk has. */
	if (r)
		(void)zsblk_resize(device, before, NULL);
	return r;
}

/* Whoever has the device open keeps the claim from being had, and nobody can use it while we have that. */
static int shrink(struct driver *driver, uint32_t number, struct zsblk *device, uint64_t size, struct zsblk_why *why)
{
	uint64_t before = zsblk_size(device);
	struct zsblk_why ignored;
	int claim, r = device_claim(driver, number, &claim, why);

	if (r)
		return r;
	r = driver_set_size(driver, number, size, why);
	if (!r) {
		r = zsblk_resize(device, size, why);
		if (r)
			(void)driver_set_size(driver, number, before, &ignored);
	}
	close(claim);
	return r;
}

/* The number of a device that was removed may be another one's. */
static int check_own(struct driver *driver, uint32_t number, struct zsblk_why *why)
{
	struct uapi_info info = {0};
	int r = driver_info(driver, number, &info, why);

	if (!r)
		r = target_is_ours(&info, why);
	if (!r && info.server != getpid())
		return why_say(why, -EPERM, "/dev/ublkb%" PRIu32 " is served by process %d, and not by this one",
			       number, info.server);
	return r;
}

int resize_device(uint32_t number, struct zsblk *device, uint64_t size, struct zsblk_why *why)
{
	struct driver *driver;
	int r = driver_open(&driver, why);

	if (r)
		return r;
	if (!driver_can_set_size(driver))
		r = why_say(
			why, -EOPNOTSUPP,
			"this kernel's ublk driver cannot change the size of a device (Linux 6.16 and later can); stop and start "
			"again with another size, or use NBD");
	else
		r = check_own(driver, number, why);
	if (!r && size > zsblk_size(device))
		r = grow(driver, number, device, size, why);
	else if (!r && size < zsblk_size(device))
		r = shrink(driver, number, device, size, why);
	driver_close(driver);
	return r;
}

int resize_finish(struct driver *driver, uint32_t number, const struct zsblk *device, struct zsblk_why *why)
{
	uint64_t size = zsblk_size(device);
	struct uapi_params params;
	int r = driver_params(driver, number, &params, why);

	if (r || params.sectors * 512 == size)
		return r;
	if (driver_can_set_size(driver))
		return driver_set_size(driver, number, size, why);
	return why_say(why, -EOPNOTSUPP,
		       "/dev/ublkb%" PRIu32 " has %" PRIu64 " bytes, and its segment %" PRIu64
		       ": this kernel's ublk driver cannot change that (Linux 6.16 and later can)",
		       number, params.sectors * 512, size);
}
