/* SPDX-License-Identifier: BSD-3-Clause */
/* Time as the daemon counts it: microseconds of CLOCK_MONOTONIC, in which a suspended machine's sleep is not. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <systemd/sd-event.h>

static inline uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline uint64_t clock_after_ms(uint64_t ms)
{
	return clock_us() + ms * 1000;
}

/*
 * For a loop that looks for something until `until`: wait for `ms`, and true; or false, when it is past. Whatever each look
 * takes, the loop ends in time.
 */
static inline bool clock_pause(uint64_t until, long ms)
{
	if (clock_us() >= until)
		return false;
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
	return true;
}

/* Have a timer go off once, so many microseconds from now. */
static inline void clock_set(sd_event_source *timer, uint64_t in_us)
{
	sd_event_source_set_time(timer, clock_us() + in_us);
	sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

#endif
