/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a server of another version can use a segment, by what its program says of itself. */
#ifndef SEGMENT_KNOWN_H
#define SEGMENT_KNOWN_H

#include "daemon/base/wrong.h"

#include "zsblk.h"

/*
 * 0; or -EINVAL, with what it lacks, if `said` has no line of `version` and the segment's version, or none of `feature` and the name of a
 * feature that the segment has. `who` said it: "plugin" or such.
 */
int segment_known(const char *who, const char *said, const char *version, const char *feature,
		  const struct zsblk_segment *segment, struct wrong *wrong);

#endif
