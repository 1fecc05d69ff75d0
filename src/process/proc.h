/* SPDX-License-Identifier: BSD-3-Clause */
/* What all files of /proc and /sys have in common. Functions may be called from any thread, and allocate nothing. */
#ifndef PROC_H
#define PROC_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Read a file from its beginning, as a string; what does not fit into `size` - 1 bytes is left out. Returns the length
 * of what was read, or a negative errno, with an empty string, if that is nothing.
 */
ssize_t proc_read(int fd, char *text, size_t size);

/* In a path of mountinfo the kernel writes blanks, newlines and backslashes as \ooo: bring them back, in place. */
void proc_unescape(char *text);

#endif
