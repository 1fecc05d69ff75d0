/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of /proc/PID/maps, in the format of proc(5). For any thread; nothing is allocated or asked of the kernel. */
#ifndef MAPS_H
#define MAPS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Room for the longest line: a path, and the numbers before it. */
#define MAPS_LINE_MAX (PATH_MAX + 128)

/* A mapping of a file. Strings point into the line that it was read from. */
struct mapping {
	const char *range; /* "START-END", the name of its link in /proc/PID/map_files */
	const char *path;  /* absolute; without the kernel's " (deleted)" */
	uint64_t inode;
	bool is_program; /* readable and executable: each program and library has one such mapping */
};

/*
 * Take a line apart, in place, with or without its newline. False if it is not in that format, or no mapping of a file
 * with a path.
 */
bool maps_parse(char *line, struct mapping *mapping);

#endif
