/* SPDX-License-Identifier: BSD-3-Clause */
/* One line on standard error that says what goes on, where somebody can see it. */
#include "bench/bench.h"

#include <stdarg.h>
#include <unistd.h>

static bool shown;

void progress(const char *format, ...)
{
	va_list args;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(args, format);
	fputc('\r', stderr);
	vfprintf(stderr, format, args);
	fputs("\033[K", stderr);
	fflush(stderr);
	va_end(args);
	shown = true;
}

void progress_clear(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}
