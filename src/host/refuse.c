/* SPDX-License-Identifier: BSD-3-Clause */
/* Refusals. See refuse.h. */
#include "host/refuse.h"

#include <stdarg.h>
#include <stdio.h>

int host_refuse(struct zsblk_why *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
	return error;
}
