/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server's program knows of segments. See segment_known.h. */
#include "daemon/transport/segment_known.h"

#include <stdio.h>
#include <string.h>

/* Is there a line of these two? The first line is the program's own name, or nbdkit's. */
static bool says(const char *said, const char *key, const char *value)
{
	char line[100];

	snprintf(line, sizeof line, "\n%s%s\n", key, value);
	return strstr(said, line);
}

int segment_known(const char *who, const char *said, const char *version, const char *feature,
		  const struct zsblk_segment *segment, struct wrong *wrong)
{
	char number[16];

	snprintf(number, sizeof number, "%u", segment->version);
	if (!says(said, version, number))
		return wrong_say(
			wrong,
			"the %s that is installed now does not know segments of version %s, which this one is; stop, and start anew",
			who, number);
	for (unsigned bit = 0; bit < 32; bit++) {
		const char *name = zsblk_segment_feature(bit);

		/* What is not known here either was refused before. */
		if (segment->features & 1u << bit && name && !says(said, feature, name))
			return wrong_say(
				wrong,
				"the %s that is installed now does not know the feature '%s' of segments, which this one has since"
				" something is stored that needs it; install a version that does, or stop, and start anew",
				who, name);
	}
	return 0;
}
