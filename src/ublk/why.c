/* SPDX-License-Identifier: BSD-3-Clause */
/* Reasons, for people. See why.h. */
#include "ublk/why.h"

#include <stdarg.h>
#include <stdio.h>

int why_say(struct zsblk_why *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
	return error;
}
