/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes wrong, said to people on standard error. */
#ifndef COMPLAIN_H
#define COMPLAIN_H

/* The text of what went wrong, for people: what, with which value, and what would be right. */
struct complaint {
	char text[600];
};

/* Replace the text, cut off what does not fit, and return `code`. */
__attribute__((format(printf, 3, 4))) int complain_note(struct complaint *complaint, int code, const char *format, ...);

/* "zsblkctl: TEXT" on standard error; returns `code`. */
__attribute__((format(printf, 2, 3))) int complain(int code, const char *format, ...);

#endif
