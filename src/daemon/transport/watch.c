/* SPDX-License-Identifier: BSD-3-Clause */
/* When a server hangs. See watch.h. */
#include "daemon/transport/watch.h"

#include <stdio.h>

void watch_init(struct watch *watch, unsigned timeout_ms, unsigned stuck_ms, uint64_t now)
{
	*watch = (struct watch){.timeout = (uint64_t)timeout_ms * 1000,
				.stuck = (uint64_t)stuck_ms * 1000,
				.looked = now,
				.stuck_since = now};
}

uint64_t watch_interval(const struct watch *watch)
{
	return watch->timeout / WATCH_LOOKS;
}

void watch_asked(struct watch *watch, uint64_t now)
{
	watch->asked = now;
	watch->is_out = true;
}

void watch_answered(struct watch *watch, uint64_t now)
{
	if (watch->is_out && now - watch->asked > watch->longest)
		watch->longest = now - watch->asked;
	watch->is_out = false;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

uint64_t watch_stride(uint64_t blocks)
{
	uint64_t stride = blocks / 3 * 2 + 1;

	while (common_divisor(stride, blocks) != 1)
		stride++;
	return stride;
}

static bool is_stuck(struct watch *watch, uint64_t now, const struct watch_device *device)
{
	if (!device->is_known)
		return false;
	if (!device->in_flight || device->completed != watch->completed) {
		watch->completed = device->completed;
		watch->stuck_since = now;
	}
	return now > watch->stuck_since + watch->stuck;
}

enum watch_verdict watch_look(struct watch *watch, uint64_t now, const struct watch_device *device,
			      bool answer_is_there, char *why, size_t size)
{
	uint64_t interval = watch_interval(watch), late = now - watch->looked;

	watch->looked = now;
	if (late > 2 * interval) {
		watch->asked += late - interval;
		watch->stuck_since += late - interval;
	}
	if (watch->is_out && now > watch->asked + watch->timeout && !answer_is_there) {
		snprintf(why, size, "did not answer for %.1f seconds", (double)(now - watch->asked) / 1e6);
		return WATCH_HUNG;
	}
	if (is_stuck(watch, now, device)) {
		snprintf(why, size, "completed none of the device's requests for %.1f seconds",
			 (double)(now - watch->stuck_since) / 1e6);
		return WATCH_HUNG;
	}
	return watch->is_out ? WATCH_WAIT : WATCH_ASK;
}
