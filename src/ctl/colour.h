/* SPDX-License-Identifier: BSD-3-Clause */
/* Colours on standard output: only where it is a terminal that has some, and NO_COLOR (https://no-color.org) is not set or empty. */
#ifndef COLOUR_H
#define COLOUR_H

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_DOUBTFUL, COLOUR_BAD };

/* What begins / ends the colour; "" where there is none. */
const char *colour_on(enum colour colour);
const char *colour_off(enum colour colour);

#endif
