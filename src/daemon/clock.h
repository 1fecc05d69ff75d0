/* SPDX-License-Identifier: BSD-3-Clause */
/* Time as the daemon counts it: microseconds of CLOCK_MONOTONIC, in which a suspended machine's sleep is not. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

#include <systemd/sd-event.h>

static inline uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Have a timer go off once, so many microseconds from now. */
static inline void clock_set(sd_event_source *timer, uint64_t in_us)
{
	sd_event_source_set_time(timer, clock_us() + in_us);
	sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

#endif
