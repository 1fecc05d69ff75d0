/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole numbers. See number.h. */
#include "text/number.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

int number_parse(const char *text, int64_t min, int64_t max, int64_t *number)
{
	intmax_t n;
	char *end;

	errno = 0;
	n = strtoimax(text, &end, 10);
	/* strtoimax() would take blanks and a + as well. */
	if (errno || *end || !isdigit((unsigned char)text[text[0] == '-']) || n < min || n > max)
		return -EINVAL;
	*number = n;
	return 0;
}
