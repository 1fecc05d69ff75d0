/* SPDX-License-Identifier: BSD-3-Clause */
/* Terminals. See terminal.h. */
#include "ctl/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_USUAL 80u

unsigned terminal_width(int fd)
{
	struct winsize size = {0};

	if (!isatty(fd))
		return 0;
	/* A serial line does not know its size. */
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : WIDTH_USUAL;
}

bool terminal_has_colours(int fd)
{
	const char *none = getenv("NO_COLOR"), *kind = getenv("TERM");

	return isatty(fd) && (!none || !*none) && kind && *kind && strcmp(kind, "dumb") != 0;
}
