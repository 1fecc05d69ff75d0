/* SPDX-License-Identifier: BSD-3-Clause */
/* Colours. See colour.h. */
#include "ctl/colour.h"

#include "ctl/terminal.h"

#include <unistd.h>

const char *colour_on(enum colour colour)
{
	static const char *const sequences[] = {
		[COLOUR_NONE] = "",
		[COLOUR_GOOD] = "\033[1;32m",
		[COLOUR_DOUBTFUL] = "\033[1;33m",
		[COLOUR_BAD] = "\033[1;31m",
	};

	return terminal_has_colours(STDOUT_FILENO) ? sequences[colour] : "";
}

const char *colour_off(enum colour colour)
{
	return colour != COLOUR_NONE && terminal_has_colours(STDOUT_FILENO) ? "\033[0m" : "";
}
