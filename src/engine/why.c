/* SPDX-License-Identifier: BSD-3-Clause */
/* What was wrong, for people. */
#include "engine/engine.h"

#include <stdarg.h>
#include <stdio.h>

int why_fail(struct zsblk_why *why, int error, const char *format, ...)
{
	va_list args;

	if (why) {
		va_start(args, format);
		vsnprintf(why->text, sizeof why->text, format, args);
		va_end(args);
	}
	return error;
}
