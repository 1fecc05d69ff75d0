/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines of /proc/PID/maps. See maps.h.
 *
 *   7f1c2a000000-7f1c2a021000 r-xp 00002000 fe:01 1835012    /usr/lib/libz.so.1 (deleted)
 *   range                     mode offset   device inode     path
 */
#include "daemon/kernel/maps.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char deleted[] = " (deleted)";

/* The next field of a line, ended by a NUL in place of its blank; *at goes on behind it. NULL: there is none. */
static char *next_field(char **at)
{
	char *field = *at;
	size_t length = strcspn(field, " ");

	if (!length || !field[length])
		return NULL;
	field[length] = '\0';
	*at = field + length + 1;
	return field;
}

static bool is_range(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t first = strspn(text, digits), second;

	if (!first || text[first] != '-')
		return false;
	second = strspn(text + first + 1, digits);
	return second && !text[first + 1 + second];
}

bool maps_parse(char *line, struct mapping *mapping)
{
	char *at = line, *range = next_field(&at), *mode, *inode, *end;
	size_t length;

	mode = range ? next_field(&at) : NULL;
	/* The offset and the device are of no use here. */
	if (!mode || !next_field(&at) || !next_field(&at))
		return false;
	inode = next_field(&at);
	if (!inode || !is_range(range) || !isdigit((unsigned char)*inode))
		return false;
	mapping->inode = strtoull(inode, &end, 10);
	at += strspn(at, " ");
	if (*end || *at != '/')
		return false;
	at[strcspn(at, "\n")] = '\0';
	length = strlen(at);
	if (length >= sizeof deleted && strcmp(at + length - (sizeof deleted - 1), deleted) == 0)
		at[length - (sizeof deleted - 1)] = '\0';
	mapping->range = range;
	mapping->path = at;
	mapping->is_program = strncmp(mode, "r-x", 3) == 0;
	return true;
}
