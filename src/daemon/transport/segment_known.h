/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a server of another version can use a segment, by what its program says of itself. */
#ifndef SEGMENT_KNOWN_H
#define SEGMENT_KNOWN_H

#include "daemon/base/wrong.h"

#include "zsblk.h"

/* How a program says what it knows. */
struct segment_words {
	const char *who;        /* "plugin" or such */
	const char *version;    /* in front of the number of a version, a line for each */
	const char *feature;    /* in front of the name of a feature, a line for each */
	const char *algorithms; /* in front of the names of all algorithms, in one line, with blanks between them */
};

/*
 * 0; or -EINVAL, with what the program that `said` this lacks: the segment's version, or a feature or an algorithm that the segment has.
 */
int segment_known(const struct segment_words *words, const char *said, const struct zsblk_segment *segment,
		  struct wrong *wrong);

#endif
