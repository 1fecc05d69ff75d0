/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong with a configuration: the first mistake, for a daemon that refuses to start, or each of them, for who asked for a check.
 */
#ifndef MISTAKES_H
#define MISTAKES_H

#include "daemon/base/wrong.h"

#include <stdbool.h>

/* A mistake, for people: it names file, line, value and what would be right. */
typedef void mistake_fn(void *opaque, const char *text);

/* Zeroed at the beginning, but for the first two. */
struct mistakes {
	mistake_fn *tell; /* NULL: whoever reads stops at the first one */
	void *opaque;     /* for `tell` */
	struct wrong first;
	int error; /* of the first, a negative errno; 0: there is none */
};

/* Note a mistake. True: go on and look for more. */
bool mistakes_add(struct mistakes *mistakes, int error, const char *text);

#endif
