/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes. See size.h. */
#include "text/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SECTOR 512

uint64_t size_unit(char suffix)
{
	static const char suffixes[] = "BKMGTPE";
	const char *at = suffix ? strchr(suffixes, toupper((unsigned char)suffix)) : NULL;

	return at ? UINT64_C(1) << 10 * (at - suffixes) : 0;
}

int size_parse(const char *text, uint64_t *bytes)
{
	uint64_t unit = 1;
	intmax_t number;
	char *end;

	errno = 0;
	number = strtoimax(text, &end, 10);
	if (end == text || errno || number < 0)
		return -EINVAL;
	if (*end) {
		unit = toupper((unsigned char)*end) == 'S' ? SECTOR : size_unit(*end);
		end++;
	}
	if (*end || !unit || (uint64_t)number > INT64_MAX / unit)
		return -EINVAL;
	*bytes = (uint64_t)number * unit;
	return 0;
}
