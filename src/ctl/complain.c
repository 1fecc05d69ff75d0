/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes wrong. See complain.h. */
#include "ctl/complain.h"

#include <stdarg.h>
#include <stdio.h>

int complain_note(struct complaint *complaint, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(complaint->text, sizeof complaint->text, format, args);
	va_end(args);
	return code;
}

int complain(int code, const char *format, ...)
{
	va_list args;

	/* What is on standard output already comes before it where both are one terminal. */
	fflush(stdout);
	fputs("zsblkctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}
