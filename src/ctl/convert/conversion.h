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
	const char *path;   /* of what is converted, for messages: conversion_show() has made it */
	const char *device; /* the one that was asked for: "zram1"; NULL: the only one */
	FILE *out;          /* the configuration */
	FILE *said;         /* a line for each thing that is not carried over */
	unsigned lost;      /* those lines */
};

/* What is shown of a path: its end, and a ? for what is no text, such as a newline, behind which a remark would be none. */
#define CONVERSION_SHOWN 101
void conversion_show(const char *path, char shown[CONVERSION_SHOWN]);

/* Is "KEY = VALUE" a line that zsblk.conf(5) has? It takes 199 bytes at most, and a comment sign ends a value. */
bool conversion_fits(const char *key, const char *value);
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
 * The next line, without its end, and with a ? for each byte that is no text: control characters, those behind 0x7f too, and what is no UTF-8.
 * One that is longer is empty, which is told unless `conversion` is NULL. `number`: of the line before; it becomes that of this one. False at
 * the end of the file.
 */
#define CONVERSION_LINE 1024
bool conversion_line(struct conversion *conversion, FILE *file, unsigned *number, char line[CONVERSION_LINE]);
/* Take the blanks at the beginning and the end away. Within `text`. */
char *conversion_trim(char *text);

/*
 * Convert what the file, which is read from its beginning, says. The texts of the file are not trusted. EXIT_DONE, or another exit status
 * with the reason on standard error.
 */
int generator_convert(struct conversion *conversion, FILE *file);
int zramswap_convert(struct conversion *conversion, FILE *file);

#endif
