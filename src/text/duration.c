/* SPDX-License-Identifier: BSD-3-Clause */
/* Times. See duration.h. */
#include "text/duration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int duration_parse(const char *text, uint64_t *seconds)
{
	static const char letters[] = "smhd";
	static const uint64_t units[] = {1, 60, 3600, 86400};
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
