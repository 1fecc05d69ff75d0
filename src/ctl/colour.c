/* SPDX-License-Identifier: BSD-3-Clause */
/* Colours. See colour.h. */
#include "ctl/colour.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool are_wanted(void)
{
	const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(none && *none) && terminal && strcmp(terminal, "dumb") != 0;
}

const char *colour_on(enum colour colour)
{
	static const char *const sequences[] = {
		[COLOUR_NONE] = "",
		[COLOUR_GOOD] = "\033[1;32m",
		[COLOUR_DOUBTFUL] = "\033[1;33m",
		[COLOUR_BAD] = "\033[1;31m",
	};

	return are_wanted() ? sequences[colour] : "";
}

const char *colour_off(enum colour colour)
{
	return colour != COLOUR_NONE && are_wanted() ? "\033[0m" : "";
}
