/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of an error, for people: what was wrong, with which value, and what would be right. Functions that can fail in ways that
 * people must hear of take a struct wrong, and return a negative errno besides.
 */
#ifndef WRONG_H
#define WRONG_H

struct wrong {
	char text[400];
};

/* Replace the text; what does not fit is cut off. `wrong` may be NULL. Returns -EINVAL, so that it can be returned at once. */
__attribute__((format(printf, 2, 3))) int wrong_say(struct wrong *wrong, const char *format, ...);

/* Add to the text; what does not fit is cut off. */
__attribute__((format(printf, 2, 3))) void wrong_add(struct wrong *wrong, const char *format, ...);

#endif
