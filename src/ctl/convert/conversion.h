/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a configuration of zram to one of zsblk. What both have is written in zsblk's words; what zsblk has not, or does in another way, is
 * told with file, line and reason, so that nothing is lost unnoticed.
 */
#ifndef CONVERSION_H
#define CONVERSION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct conversion {
	const char *path;   /* of what is converted, for messages */
	const char *device; /* the one that was asked for: "zram1"; NULL: the only one */
	FILE *out;          /* the configuration */
	FILE *said;         /* a line for each thing that is not carried over */
	unsigned lost;      /* those lines */
};

/* "KEY = VALUE" */
__attribute__((format(printf, 3, 4))) void conversion_put(struct conversion *conversion, const char *key,
							  const char *value, ...);
/* This is not carried over. `line` 0: the file as a whole. */
__attribute__((format(printf, 3, 4))) void conversion_lose(struct conversion *conversion, unsigned line,
							   const char *format, ...);

/*
 * The kernel's name of an algorithm, in zsblk's words: one that zsblk has, or the nearest, which is told. NULL: nothing comes near.
 */
const char *conversion_algorithm(struct conversion *conversion, unsigned line, const char *name);
/* Has the algorithm, by zsblk's name, such a level? */
bool conversion_has_level(const char *algorithm, int64_t level);

/*
 * The next line, without its end, and with a ? for each byte that is no text; the rest of one that is longer is left out. False at the end of
 * the file.
 */
#define CONVERSION_LINE 1024
bool conversion_line(FILE *file, char line[CONVERSION_LINE]);
/* Take the blanks at the beginning and the end away. Within `text`. */
char *conversion_trim(char *text);

/*
 * Convert what the file, which is read from its beginning, says. The texts of the file are not trusted. EXIT_DONE, or another exit status
 * with the reason on standard error.
 */
int generator_convert(struct conversion *conversion, FILE *file);
int zramswap_convert(struct conversion *conversion, FILE *file);

#endif
