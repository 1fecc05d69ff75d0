/* SPDX-License-Identifier: BSD-3-Clause */
/* An opening that is refused changes nothing. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "segment/segment.h"

#include <string.h>
#include <sys/shm.h>

/* The pages of a segment that are in memory, and which these are: looking at others would bring them in. */
struct picture {
	size_t pages, n;
	unsigned char *resident;
	uint8_t *bytes;
};

static inline struct picture take_picture(const uint8_t *mem, size_t bytes)
{
	const struct segment seg = {.base = (uint8_t *)(uintptr_t)mem, .bytes = bytes};
	struct picture picture = {.pages = bytes / 4096};

	picture.resident = malloc(picture.pages);
	picture.bytes = malloc(bytes);
	must(segment_resident(&seg, 0, bytes, picture.resident) == 0);
	for (size_t i = 0; i < picture.pages; i++)
		if (picture.resident[i] & 1)
			memcpy(picture.bytes + picture.n++ * 4096, mem + i * 4096, 4096);
	return picture;
}

/* What was looked at may be in memory now, as zeroes; nothing else may differ. */
static inline void same_picture(struct picture *before, struct picture *after)
{
	static const uint8_t zeroes[4096];
	const uint8_t *was = before->bytes, *is = after->bytes;

	for (size_t i = 0; i < before->pages; i++) {
		bool had = before->resident[i] & 1;

		assert_true(!had || (after->resident[i] & 1));
		if (after->resident[i] & 1) {
			assert_memory_equal(is, had ? was : zeroes, 4096);
			is += 4096;
		}
		was += had ? 4096 : 0;
	}
	free(before->resident);
	free(before->bytes);
	free(after->resident);
	free(after->bytes);
}

/* Refused, with these words, and not one byte of the segment changed, nor is it locked. */
static inline void expect_refusal(const struct test_shm *shm, const struct zsblk_params *params, int error,
				  const char *words)
{
	struct zsblk_params locking = *params;
	size_t bytes;
	uint8_t *mem = test_shm_map(shm, &bytes);
	struct picture before = take_picture(mem, bytes), after;
	struct zsblk_why why = {""};
	struct zsblk *dev;

	locking.lock_shared = true;
	assert_int_equal(zsblk_open(&locking, &dev, &why), error);
	assert_null(dev);
	if (!strstr(why.text, words))
		fail_msg("says \"%s\", not \"%s\"", why.text, words);
	assert_int_equal(zsblk_open(params, &dev, NULL), error);
	after = take_picture(mem, bytes);
	same_picture(&before, &after);
	assert_false(test_shm_is_locked(shm));
	shmdt(mem);
}

#endif
