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

/* Is it one of the words of the line that begins like this? */
static bool lists(const char *said, const char *key, const char *word)
{
	char start[100];
	const char *at;
	size_t length = strlen(word);

	snprintf(start, sizeof start, "\n%s", key);
	at = strstr(said, start);
	if (!at)
		return false;
	for (at += strlen(start); *at && *at != '\n'; at += strspn(at, " ")) {
		size_t next = strcspn(at, " \n");

		if (next == length && memcmp(at, word, length) == 0)
			return true;
		at += next;
	}
	return false;
}

static int features_known(const struct segment_words *words, const char *said, const struct zsblk_segment *segment,
			  struct wrong *wrong)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		const char *name = zsblk_segment_feature(bit);

		/* One that is not known here was refused before. */
		if (segment->features & 1u << bit && name && !says(said, words->feature, name))
			return wrong_say(
				wrong,
				"the %s that is installed now does not know the feature '%s' of segments, which this one has since"
				" something is stored that needs it; install a version that does, or stop, and start anew",
				words->who, name);
	}
	return 0;
}

static int algorithms_known(const struct segment_words *words, const char *said, const struct zsblk_segment *segment,
			    struct wrong *wrong)
{
	for (unsigned i = 0; i < ZSBLK_SEGMENT_ALGORITHMS && segment->algorithms[i][0]; i++)
		if (!lists(said, words->algorithms, segment->algorithms[i]))
			return wrong_say(
				wrong,
				"the %s that is installed now does not have the algorithm '%s', with which something may be stored"
				" in this segment; install one that is built with it, or stop, and start anew",
				words->who, segment->algorithms[i]);
	return 0;
}

int segment_known(const struct segment_words *words, const char *said, const struct zsblk_segment *segment,
		  struct wrong *wrong)
{
	char number[16];
	int r;

	snprintf(number, sizeof number, "%u", segment->version);
	if (!says(said, words->version, number))
		return wrong_say(
			wrong,
			"the %s that is installed now does not know segments of version %s, which this one is; stop, and start anew",
			words->who, number);
	r = features_known(words, said, segment, wrong);
	return r ? r : algorithms_known(words, said, segment, wrong);
}
