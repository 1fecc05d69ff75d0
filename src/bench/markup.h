/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text for HTML and SVG. Names of files, processors and the like come from the machine, and have any bytes: here they become text and nothing else.
 */
#ifndef MARKUP_H
#define MARKUP_H

#include <stdio.h>

/*
 * Write `text` so that it is the same text between tags and in a quoted attribute. Control characters, bytes that are not UTF-8, and characters
 * that change the direction of others or cannot be seen are written as '?'.
 */
void markup_text(FILE *out, const char *text);
/* The same of what a format makes; what is longer than 1023 bytes is cut. */
__attribute__((format(printf, 2, 3))) void markup_print(FILE *out, const char *format, ...);
/* A command line that a shell reads as these words, in printable ASCII. `words` end with NULL. */
void markup_command(FILE *out, const char *const *words);

#endif
