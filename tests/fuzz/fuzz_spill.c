/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a store may show: its first page, what others have there, and objects. A server on another machine can make all
 * of it up, so nothing of it may lead out of bounds, and nothing that was not written is believed.
 *
 * Input: a byte for what is looked at, then the bytes.
 */
#include "fuzz/input.h"
#include "lib/base.h"

#include "spill/bucket.h"
#include "spill/identity.h"
#include "spill/little.h"
#include "spill/object.h"

#include <sodium.h>
#include <xxhash.h>

static void look_at_identity(const uint8_t *bytes, size_t len, bool is_checksum_right)
{
	static uint8_t page[SPILL_PAGE];
	struct spill_identity identity;
	struct spill_holder self;

	memset(page, 0, sizeof page);
	memcpy(page, "zsblkspl\1", 9);
	for (size_t i = 0; i < len && i < sizeof page; i++)
		page[i] ^= bytes[i];
	if (is_checksum_right) {
		little_put64(page + 504, XXH64(page, 504, 0));
		little_put64(page + 568, XXH64(page + 512, 56, 0));
	}
	if (spill_identity_read(page, &identity) != SPILL_PAGE_OURS)
		return;
	must(memcmp(page, "zsblkspl", 8) == 0);
	spill_holder_self(&self);
	must(spill_holder_use(&identity.holder, &self) <= SPILL_USE_UNKNOWN);
}

static void look_at_foreign(const uint8_t *bytes, size_t len)
{
	char text[60];
	const char *found = spill_identity_foreign(bytes, len, text, sizeof text);
	bool is_blank = true;

	for (size_t i = 0; i < len; i++)
		is_blank = is_blank && !bytes[i];
	must(is_blank == !found);
}

/* In memory of exactly that size, so that a sanitizer sees every byte beyond. */
static void decode(const struct spill_seal *seal, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct spill_found found;

	memcpy(copy, bytes, len);
	if (spill_object_decode(seal, 1, copy, len, &found) == 0) {
		must(found.stored <= len && found.count >= 1 && found.count <= SPILL_NUMBERS_MOST);
		must(found.bytes + found.size <= copy + len);
		(void)spill_found_number(&found, found.count - 1);
	}
	free(copy);
}

/* One that was written, with changes: it is refused, or is what it was. */
static void change(const struct spill_seal *seal, struct input *input)
{
	uint32_t numbers[SPILL_NUMBERS_MOST] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	static uint8_t stored[600], before[600];
	struct spill_object object = {numbers, take_below(input, SPILL_NUMBERS_MOST) + 1,
				      "the bytes of an object, some of them", take_below(input, 36) + 1};
	size_t len = spill_object_bytes(object.size, object.count);
	struct spill_found found;

	spill_object_encode(seal, 77, 5, &object, stored);
	memcpy(before, stored, len);
	while (input->left)
		stored[take_below(input, (unsigned)len)] ^= (uint8_t)take(input, 1);
	if (spill_object_decode(seal, 77, stored, len, &found))
		return;
	must(found.size == object.size && found.count == object.count);
	must(memcmp(found.bytes, object.bytes, object.size) == 0);
}

/* Places as a damaged segment might have them. */
static void note(struct input *input)
{
	struct spill_buckets buckets;

	must(spill_buckets_init(&buckets, 6 * (uint64_t)SPILL_BUCKET) == 0);
	while (input->left) {
		uint64_t place = take(input, 6);

		(void)spill_bucket_note(&buckets, place % 8 ? place % (7 * 65536) : place, (size_t)take(input, 3));
	}
	spill_buckets_noted(&buckets, UINT64_MAX);
	must(spill_buckets_are_valid(&buckets));
	spill_buckets_free(&buckets);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const uint8_t key[SPILL_KEY_BYTES] = "a key";
	const struct spill_seal seals[] = {{NULL}, {key}};
	struct input input = {bytes, len};
	unsigned what = (unsigned)take(&input, 1);

	must(sodium_init() >= 0);
	switch (what % 8) {
	case 0:
	case 1:
		look_at_identity(input.at, input.left, what % 2);
		break;
	case 2:
		look_at_foreign(input.at, input.left);
		break;
	case 3:
	case 4:
		decode(&seals[what % 2], input.at, input.left);
		break;
	case 5:
		note(&input);
		break;
	default:
		change(&seals[what % 2], &input);
		break;
	}
	return 0;
}
