/* SPDX-License-Identifier: BSD-3-Clause */
/* What is behind a descriptor that is printed to: how wide it is, and whether colours make sense there. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>

/* Columns of the terminal; 0: it is none. */
unsigned terminal_width(int fd);

/* May text have colours there? Not in a file, on a terminal without any, or where the environment has NO_COLOR (no-color.org). */
bool terminal_has_colours(int fd);

#endif
