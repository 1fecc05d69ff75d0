/* SPDX-License-Identifier: BSD-3-Clause */
/* Times. See duration.h. */
#include "text/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "smhd";
static const uint64_t units[] = {1, 60, 3600, 86400};

int duration_parse(const char *text, uint64_t *seconds)
{
	uint64_t unit = 1, number;
	const char *letter;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		letter = strchr(letters, *end);
		if (!letter || end[1])
			return -EINVAL;
		unit = units[letter - letters];
	}
	if (number > UINT64_MAX / unit)
		return -EINVAL;
	*seconds = number * unit;
	return 0;
}

const char *duration_text(uint64_t seconds, char text[DURATION_BYTES])
{
	size_t unit = sizeof units / sizeof units[0] - 1;

	while (unit && (!seconds || seconds % units[unit]))
		unit--;
	snprintf(text, DURATION_BYTES, "%" PRIu64 "%c", seconds / units[unit], letters[unit]);
	return text;
}
