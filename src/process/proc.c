/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of /proc and /sys. See proc.h. */
#include "process/proc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ssize_t proc_read(int fd, char *text, size_t size)
{
	size_t length = 0;
	ssize_t n;

	/* The kernel gives long files in pieces. */
	do {
		n = pread(fd, text + length, size - 1 - length, (off_t)length);
		if (n > 0)
			length += (size_t)n;
	} while ((n > 0 && length < size - 1) || (n < 0 && errno == EINTR));
	text[length] = '\0';
	return n < 0 && length == 0 ? -errno : (ssize_t)length;
}

void proc_unescape(char *text)
{
	char *to = text;
	unsigned byte;

	for (const char *from = text; *from; to++) {
		if (*from == '\\' && strspn(from + 1, "01234567") >= 3 && sscanf(from + 1, "%3o", &byte) == 1) {
			*to = (char)byte;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}
