/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of instances. See name.h. */
#include "text/name.h"

#include <string.h>

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define DROP_INS   ".conf.d"

bool name_is_good(const char *name)
{
	size_t length = strlen(name), end = strlen(DROP_INS);

	return length > 0 && length <= NAME_MAX_CHARS && strspn(name, NAME_CHARS) == length && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 && !(length >= end && strcmp(name + length - end, DROP_INS) == 0);
}
