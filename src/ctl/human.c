/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes and times as people read them. See human.h. */
#include "ctl/human.h"

#include <inttypes.h>
#include <stdio.h>

const char *human_size(uint64_t bytes, char text[HUMAN_BYTES])
{
	static const char letters[] = "BKMGTPE";
	unsigned unit = 0, shift, tenths;
	uint64_t whole;

	while (unit + 2 < sizeof letters && bytes >> 10 * (unit + 1))
		unit++;
	shift = 10 * unit;
	whole = bytes >> shift;
	/* Of 1024ths, so that no product overflows. */
	tenths = unit ? (unsigned)(((bytes >> (shift - 10)) & 1023) * 10 + 512) / 1024 : 0;
	if (tenths == 10) {
		whole++;
		tenths = 0;
	}
	if (tenths)
		snprintf(text, HUMAN_BYTES, "%" PRIu64 ".%u%c", whole, tenths, letters[unit]);
	else
		snprintf(text, HUMAN_BYTES, "%" PRIu64 "%c", whole, letters[unit]);
	return text;
}

const char *human_time(uint64_t seconds, char text[HUMAN_BYTES])
{
	static const struct {
		uint64_t seconds;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	size_t i = 0;
	uint64_t rest;

	while (i < 3 && seconds < units[i].seconds)
		i++;
	/* Seconds are of no interest beside minutes. */
	rest = i < 2 ? seconds % units[i].seconds / units[i + 1].seconds : 0;
	if (rest)
		snprintf(text, HUMAN_BYTES, "%" PRIu64 " %s %" PRIu64 " %s", seconds / units[i].seconds, units[i].name,
			 rest, units[i + 1].name);
	else
		snprintf(text, HUMAN_BYTES, "%" PRIu64 " %s", seconds / units[i].seconds, units[i].name);
	return text;
}
