/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of an error. See wrong.h. */
#include "daemon/base/wrong.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int wrong_say(struct wrong *wrong, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (wrong)
		vsnprintf(wrong->text, sizeof wrong->text, format, args);
	va_end(args);
	return -EINVAL;
}

void wrong_add(struct wrong *wrong, const char *format, ...)
{
	size_t length = strlen(wrong->text);
	va_list args;

	va_start(args, format);
	vsnprintf(wrong->text + length, sizeof wrong->text - length, format, args);
	va_end(args);
}
