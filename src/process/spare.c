/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory to spare. See spare.h.
 *
 * The kernel serves an ordinary allocation at once as long as some zone has more free pages than its min watermark and
 * its protection together. When fewer pages than the low watermark are free, it wakes kswapd, which frees memory up to
 * the high one. So an ordinary thread stops half-way between min and low: kswapd is at work by then.
 *
 * A task of a real-time class may go below min, by at least a quarter of min (by half since Linux 6.4). It stops
 * half-way through that quarter. All others wait at min for swapping to make room, and what is left below min is what
 * swapping needs.
 *
 *     free pages  0 ....... 3/4 ....... 7/8 ...... min ....... half-way ....... low ....... high
 *                            |           |          |              |             +- kswapd is woken
 *                            |           |          |              +- ordinary tasks: nothing to spare
 *                            |           |          +- they would wait for reclaim
 *                            |           +- real-time tasks: nothing to spare
 *                            +- they would wait for reclaim
 *
 * Source: the admin-guide of the kernel on vm.min_free_kbytes, vm.watermark_scale_factor and vm.lowmem_reserve_ratio;
 * proc(5) on /proc/zoneinfo.
 */
#include "process/spare.h"

#include "process/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_FIRST (16u * 1024)
/* Bytes that are populated at once, with room for the kernel's tables for them. */
#define PIECE (512u * 1024)

#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif
#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

_Static_assert(TEXT_FIRST >= CGROUP_TEXT, "the same buffer is for both");
#define TEXT_MOST (4u * 1024 * 1024) /* thousands of CPUs and nodes */

struct zone {
	uint64_t free, min, low, protection;
	unsigned told; /* a bit for each of them */
};

#define ALL_TOLD 15u

static bool zone_has_spare(const struct zone *zone, bool realtime)
{
	uint64_t low = zone->low > zone->min ? zone->low : zone->min;
	uint64_t floor = realtime ? zone->min - zone->min / 8 : zone->min + (low - zone->min) / 2;

	/* If the text was cut off inside a zone, nothing is known of that zone. */
	return zone->told == ALL_TOLD && zone->free > floor && zone->free - floor > zone->protection;
}

/*
 * The largest number of a list such as "(0, 188, 188)": the pages that the zone protects from those who can use another
 * zone.
 */
static uint64_t largest(const char *list)
{
	uint64_t most = 0;

	while (*list == '(' || *list == ',') {
		char *end;
		uint64_t n = strtoull(list + 1, &end, 10);

		if (n > most)
			most = n;
		list = end;
	}
	return most;
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

static bool begins(const char *at, const char *word, const char **rest)
{
	size_t len = strlen(word);

	if (strncmp(at, word, len) != 0)
		return false;
	*rest = skip_blanks(at + len);
	return true;
}

/* A line of a zone. */
static void read_line(struct zone *zone, const char *at)
{
	const char *rest;

	if (begins(at, "pages free ", &rest)) {
		zone->free = strtoull(rest, NULL, 10);
		zone->told |= 1;
	} else if (begins(at, "min ", &rest)) {
		zone->min = strtoull(rest, NULL, 10);
		zone->told |= 2;
	} else if (begins(at, "low ", &rest)) {
		zone->low = strtoull(rest, NULL, 10);
		zone->told |= 4;
	} else if (begins(at, "protection: ", &rest)) {
		zone->protection = largest(rest);
		zone->told |= 8;
	}
}

bool spare_in_zones(const char *text, bool realtime)
{
	struct zone zone = {0};
	bool any = false;

	for (const char *line = text, *end; line; line = end ? end + 1 : NULL) {
		const char *rest, *at = skip_blanks(line);

		end = strchr(line, '\n');
		if (!begins(at, "Node ", &rest)) {
			/* The last line may be cut off, and its number with it. */
			if (end)
				read_line(&zone, at);
			continue;
		}
		if (zone_has_spare(&zone, realtime))
			return true;
		any = true;
		memset(&zone, 0, sizeof zone);
	}
	return !any || zone_has_spare(&zone, realtime);
}

void spare_open(struct spare *spare, const struct cgroup *cgroup)
{
	spare->cgroup = cgroup;
	spare->text = NULL;
	spare->size = TEXT_FIRST;
	spare->fd = open("/proc/zoneinfo", O_RDONLY | O_CLOEXEC);
	while (spare->fd >= 0) {
		char *text = realloc(spare->text, spare->size);

		if (text)
			spare->text = text;
		/* Room for figures that grow by a few digits. */
		if (text && proc_read(spare->fd, text, spare->size) < (ssize_t)(spare->size - spare->size / 8))
			return;
		spare->size *= 2;
		if (!text || spare->size > TEXT_MOST) {
			close(spare->fd);
			spare->fd = -1;
		}
	}
	free(spare->text);
	spare->text = NULL;
}

void spare_close(struct spare *spare)
{
	if (!spare->text)
		return;
	close(spare->fd);
	free(spare->text);
	spare->text = NULL;
}

bool spare_is_realtime(int policy)
{
	policy &= ~SCHED_RESET_ON_FORK;
	return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

static bool in_zones(struct spare *spare, bool realtime)
{
	return !spare->text || proc_read(spare->fd, spare->text, spare->size) <= 0 ||
	       spare_in_zones(spare->text, realtime);
}

/* Asked after the zones, since the kernel needs a page of memory for the answer. */
static bool in_cgroup(struct spare *spare, bool half)
{
	struct cgroup_found found;
	uint64_t margin;

	if (!spare->cgroup)
		return true;
	cgroup_look(spare->cgroup, CGROUP_MARGIN_MOST + PIECE, spare->text, &found);
	margin = cgroup_margin(found.limit);
	return found.room >= (half ? margin / 2 : margin) + PIECE;
}

int64_t spare_in_cgroup(struct spare *spare, uint64_t *limit)
{
	struct cgroup_found found;

	/* The look at the page cache needs memory, so it is left out where there is none to spare. */
	cgroup_look(spare->cgroup, CGROUP_MARGIN_MOST + PIECE, in_zones(spare, false) ? spare->text : NULL, &found);
	*limit = found.limit;
	if (found.limit == CGROUP_NO_LIMIT)
		return INT64_MAX;
	return (int64_t)found.room - (int64_t)cgroup_margin(found.limit);
}

bool spare_memory_for(struct spare *spare, bool realtime)
{
	return in_zones(spare, realtime) && in_cgroup(spare, true);
}

bool spare_memory(struct spare *spare)
{
	return in_zones(spare, spare_is_realtime(sched_getscheduler(0)));
}

bool spare_below_limits(struct spare *spare)
{
	return in_cgroup(spare, false);
}

/* ------------------------------------------------------------------ how much at most */

/* The bytes that a line "NAME: N kB" of the text names; false if there is no such line. */
static bool meminfo_bytes(const char *text, const char *name, uint64_t *bytes)
{
	for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL) {
		const char *rest;

		if (!begins(line, name, &rest))
			continue;
		*bytes = strtoull(rest, NULL, 10) * 1024;
		return true;
	}
	return false;
}

uint64_t spare_in_meminfo(const char *text)
{
	uint64_t total, available, swap = 0;

	if (!meminfo_bytes(text, "MemTotal:", &total))
		return UINT64_MAX;
	/* Before Linux 3.14 there is no estimate. */
	if (!meminfo_bytes(text, "MemAvailable:", &available))
		return total;
	(void)meminfo_bytes(text, "SwapFree:", &swap);
	return available + swap < total ? available + swap : total;
}

uint64_t spare_available(void)
{
	char text[4096];
	size_t len = 0;
	ssize_t n;
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return UINT64_MAX;
	do {
		n = read(fd, text + len, sizeof text - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < sizeof text - 1) || (n < 0 && errno == EINTR));
	close(fd);
	text[len] = '\0';
	return spare_in_meminfo(text);
}
