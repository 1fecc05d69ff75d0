/* SPDX-License-Identifier: BSD-3-Clause */
/* Swap on a device. See job_swap.h. */
#include "daemon/jobs/job_swap.h"

#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/child/command.h"
#include "daemon/jobs/job_device.h"
#include "daemon/kernel/sysctls.h"
#include "machine/program.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

/* Somebody else's swapoff may take so long: it reads back what is swapped out. */
#define OTHER_SWAPOFF_MS 60000
/* What mkswap writes: one page of the system. */
#define SWAP_HEADER ((uint64_t)sysconf(_SC_PAGESIZE))

/* ------------------------------------------------------------------ on */

int job_swap_on(const void *what, struct wrong *wrong)
{
	const struct job_swap *swap = what;
	/*
	 * Without a UUID and a label, by which udev would make links to it: systemd makes a unit of each, and on the way down it
	 * is one of those that it tries swapoff by, while the daemon still sees whether there is room.
	 */
	const char *const arguments[] = {"mkswap", "--uuid", "clear", swap->device->path, NULL};
	int r = job_device_hold(swap->device, swap->backend, wrong), flags = SWAP_FLAG_DISCARD;

	if (!r)
		r = command_run(arguments, wrong);
	if (r)
		return r;
	if (swap->managed)
		device_lose_links(swap->device);
	if (swap->tune)
		sysctls_make(SYSCTLS_RECORD);
	if (swap->priority >= 0)
		flags |= SWAP_FLAG_PREFER | (swap->priority & SWAP_FLAG_PRIO_MASK);
	if (swapon(swap->device->path, flags) == 0)
		return 0;
	r = -errno;
	wrong_say(wrong, "swapon %s: %s", swap->device->path, strerror(-r));
	return r;
}

/* The kernel's mark of a swap area, at the end of its first block. */
static bool has_swap_header(int fd)
{
	static const char mark[] = "SWAPSPACE2";
	char found[sizeof mark - 1];

	return pread(fd, found, sizeof found, (off_t)(SWAP_HEADER - sizeof found)) == sizeof found &&
	       memcmp(found, mark, sizeof found) == 0;
}

int job_swap_forget(const void *what, struct wrong *wrong)
{
	const struct job_swap *swap = what;
	int fd, r = job_device_hold(swap->device, swap->backend, wrong);
	uint64_t range[2] = {SWAP_HEADER, 0};

	if (r)
		return r;
	/* Open the device exclusively: as long as it is open, nobody makes it swap again. */
	fd = open(swap->device->path, O_RDWR | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (has_swap_header(fd) && ioctl(fd, BLKGETSIZE64, &range[1]) == 0 && range[1] > SWAP_HEADER) {
		range[1] -= SWAP_HEADER;
		if (ioctl(fd, BLKDISCARD, range) < 0) {
			r = -errno;
			wrong_say(wrong, "%s: what was swapped out stays in memory: discard: %s", swap->device->path,
				  strerror(-r));
		}
	}
	close(fd);
	return r;
}

/* ------------------------------------------------------------------ off */

static uint64_t meminfo_kib(const char *name)
{
	char line[128], format[40];
	uint64_t kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	snprintf(format, sizeof format, "%s: %%" SCNu64, name);
	while (f && fgets(line, sizeof line, f) && sscanf(line, format, &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib;
}

/*
 * Is there room for what is swapped out? If not, swapoff is not just in vain: as long as it tries, nobody can swap to
 * the area, and the kernel kills one process after the other; when there is none left that may be killed, it panics.
 */
static bool room_for_swapoff(const struct device *device, uint64_t *available)
{
	uint64_t cached = meminfo_kib("SwapCached"), swapped = device_swapped_kib(device);
	/* Memory for those who go on meanwhile. */
	uint64_t margin = meminfo_kib("MemTotal") / 32;

	*available = meminfo_kib("MemAvailable") + device_other_swap_kib(device);
	return swapped <= cached || swapped - cached + margin <= *available;
}

/* In a process of its own: the kernel makes a process in swapoff(2) the OOM killer's first choice. */
static int swapoff_in_child(const char *path)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid == 0) {
		program_end_with(parent);
		_exit(swapoff(path) == 0 ? 0 : errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ENOMEM;
}

/* While somebody else's swapoff (systemd's, at shutdown) is at work, swapoff(2) fails with EINVAL. Wait for its end. */
static int wait_for_other_swapoff(const struct device *device)
{
	uint64_t until = clock_after_ms(OTHER_SWAPOFF_MS);
	char area[DEVICE_PATH_MAX];

	do {
		int r = device_swap_area(device, area) ? swapoff_in_child(area) : 0;

		if (r != -EINVAL)
			return r;
	} while (clock_pause(until, 100));
	return device_user(device) == DEVICE_USER_SWAP ? -EBUSY : 0;
}

int job_swap_off(const struct device *device, struct wrong *wrong)
{
	uint64_t available, swapped = device_swapped_kib(device);
	char area[DEVICE_PATH_MAX];
	int r = room_for_swapoff(device, &available) ? 0 : -ENOMEM;

	if (!r && swapped)
		say(SAY_NOTICE,
		    "swapoff %s: %.1f MiB are swapped out to it, and are read back first; --status says how much is left",
		    device->path, (double)swapped / 1024);
	/* Each partition can have an area. */
	while (!r && device_swap_area(device, area))
		r = swapoff_in_child(area);
	if (r == -EINVAL)
		r = wait_for_other_swapoff(device);
	if (!r)
		return 0;
	wrong_say(wrong,
		  "swapoff %s: %s; %" PRIu64 " MiB are swapped out to it, and there is room for %" PRIu64 " MiB%s",
		  device->path, strerror(-r), device_swapped_kib(device) / 1024, available / 1024,
		  r == -ENOMEM ? "; end some programs first" : "");
	return r;
}
