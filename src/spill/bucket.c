/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The account of a store's buckets. See bucket.h.
 *
 *          take           flush, or no room                nothing live, nobody reads
 *   FREE --------> OPEN -------------------> FULL -----------------------------------> FREE
 *     |              |                        |  ^
 *     | discard      | the end of a write     |  | cleaned
 *     v              v is not known           v  |
 *   BUSY           LOST                      BUSY
 *
 * Invariants:
 *  1. A bucket is free only if no object in it is live, and no read of it is under way. So a reader that was told a
 *     place while it was live never sees what is written there later.
 *  2. `live` is the sum of spill_object_account() over all objects that were added and not subtracted.
 *  3. `used` counts all that are not free, those that are being discarded as well.
 */
#include "spill/bucket.h"

#include "spill/object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNITS (SPILL_BUCKET / SPILL_UNIT) /* in a bucket */

static uint32_t count_of(uint64_t capacity)
{
	uint64_t count = capacity / SPILL_BUCKET, most = (UINT64_C(1) << SPILL_PLACE_BITS) / UNITS;

	return (uint32_t)(count < most ? count : most);
}

int spill_buckets_init(struct spill_buckets *buckets, uint64_t capacity)
{
	*buckets = (struct spill_buckets){
		.count = count_of(capacity),
		.used = 1,
		.lowest_free = 1,
		.lowest_dirty = 1,
		.top = 1,
	};
	buckets->limit = buckets->count;
	buckets->of = calloc(buckets->count, sizeof buckets->of[0]);
	if (!buckets->of)
		return -ENOMEM;
	buckets->of[0].state = SPILL_BUCKET_IDENTITY;
	return 0;
}

int spill_buckets_resize(struct spill_buckets *buckets, uint64_t capacity)
{
	uint32_t count = count_of(capacity);
	struct spill_bucket *of;

	for (uint32_t i = count; i < buckets->count; i++)
		if (buckets->of[i].state != SPILL_BUCKET_FREE)
			return -ENOSPC;
	if (count > buckets->count) {
		of = calloc(count, sizeof of[0]);
		if (!of)
			return -ENOMEM;
		memcpy(of, buckets->of, buckets->top * sizeof of[0]);
		free(buckets->of);
		buckets->of = of;
	}
	for (uint32_t i = count; i < buckets->top; i++)
		buckets->dirty -= buckets->of[i].is_dirty;
	buckets->top = buckets->top < count ? buckets->top : count;
	buckets->count = buckets->limit = count;
	return 0;
}

void spill_buckets_free(struct spill_buckets *buckets)
{
	free(buckets->of);
	buckets->of = NULL;
}

uint32_t spill_bucket_number(const struct spill_buckets *buckets, const struct spill_bucket *bucket)
{
	return (uint32_t)(bucket - buckets->of);
}

struct spill_bucket *spill_bucket_of(const struct spill_buckets *buckets, uint64_t place, size_t account)
{
	uint64_t number = place / UNITS;

	if (number == 0 || number >= buckets->count || place % UNITS * SPILL_UNIT + account > SPILL_BUCKET)
		return NULL;
	return &buckets->of[number];
}

void spill_bucket_add(struct spill_buckets *buckets, struct spill_bucket *bucket, unsigned objects, size_t account)
{
	bucket->live += (uint32_t)account;
	buckets->live_bytes += account;
	buckets->objects += objects;
}

void spill_bucket_subtract(struct spill_buckets *buckets, struct spill_bucket *bucket, unsigned objects, size_t account)
{
	bucket->live -= (uint32_t)account;
	buckets->live_bytes -= account;
	buckets->objects -= objects;
	spill_bucket_settle(buckets, bucket);
}

void spill_bucket_extend(struct spill_buckets *buckets, struct spill_bucket *bucket, uint32_t end)
{
	if (end <= bucket->end)
		return;
	buckets->used_bytes += end - bucket->end;
	bucket->end = end;
}

static void mark_dirty(struct spill_buckets *buckets, struct spill_bucket *bucket)
{
	uint32_t number = spill_bucket_number(buckets, bucket);

	bucket->is_dirty = true;
	buckets->dirty++;
	if (number < buckets->lowest_dirty)
		buckets->lowest_dirty = number;
	if (number >= buckets->top)
		buckets->top = number + 1;
}

static void mark_used(struct spill_buckets *buckets, struct spill_bucket *bucket, enum spill_bucket_state state)
{
	uint32_t number = spill_bucket_number(buckets, bucket);

	if (number >= buckets->top)
		buckets->top = number + 1;
	buckets->used++;
	if (bucket->is_dirty)
		buckets->dirty--;
	bucket->is_dirty = false;
	bucket->state = (uint8_t)state;
}

int spill_bucket_note(struct spill_buckets *buckets, uint64_t place, size_t bytes)
{
	size_t account = spill_object_account(bytes);
	struct spill_bucket *bucket = spill_bucket_of(buckets, place, account);
	uint32_t end;

	if (!bucket || bytes == 0 || bytes > SPILL_OBJECT_MOST)
		return -ERANGE;
	if (bucket->live + account > SPILL_BUCKET)
		return -EUCLEAN;
	if (bucket->state == SPILL_BUCKET_FREE) {
		mark_used(buckets, bucket, SPILL_BUCKET_FULL);
		bucket->first_sequence = buckets->floor;
	}
	spill_bucket_add(buckets, bucket, 1, account);
	/* With more than one number the object ends up to 64 bytes later; a flush ends on a page. */
	end = (uint32_t)(place % UNITS * SPILL_UNIT + account + 4 * (SPILL_NUMBERS_MOST - 1));
	end = (end + 4095u) & ~4095u;
	spill_bucket_extend(buckets, bucket, end < SPILL_BUCKET ? end : SPILL_BUCKET);
	return 0;
}

void spill_buckets_lose(struct spill_buckets *buckets, uint32_t first, uint32_t count)
{
	for (uint32_t i = first ? first : 1; count && i < buckets->count && i - first < count; i++) {
		struct spill_bucket *bucket = &buckets->of[i];

		if (bucket->state == SPILL_BUCKET_FREE)
			mark_used(buckets, bucket, SPILL_BUCKET_BUSY);
		spill_bucket_set(buckets, bucket, SPILL_BUCKET_LOST);
	}
}

uint64_t spill_buckets_floor(const struct spill_buckets *buckets)
{
	uint64_t floor = UINT64_MAX;

	for (uint32_t i = 1; i < buckets->top; i++)
		if (buckets->of[i].live && buckets->of[i].first_sequence < floor)
			floor = buckets->of[i].first_sequence;
	return floor;
}

void spill_buckets_noted(struct spill_buckets *buckets, uint64_t dirty_end)
{
	for (uint32_t i = 1; i < buckets->count && (uint64_t)i * SPILL_BUCKET < dirty_end; i++)
		if (buckets->of[i].state == SPILL_BUCKET_FREE && !buckets->of[i].is_dirty)
			mark_dirty(buckets, &buckets->of[i]);
}

struct spill_bucket *spill_bucket_take(struct spill_buckets *buckets, bool for_cleaning)
{
	if (buckets->used + (for_cleaning ? 0 : 1) >= buckets->limit)
		return NULL;
	for (uint32_t i = buckets->lowest_free; i < buckets->count; i++) {
		struct spill_bucket *bucket = &buckets->of[i];

		buckets->lowest_free = i;
		if (bucket->state != SPILL_BUCKET_FREE)
			continue;
		mark_used(buckets, bucket, SPILL_BUCKET_OPEN);
		bucket->is_left = false;
		return bucket;
	}
	return NULL;
}

void spill_bucket_settle(struct spill_buckets *buckets, struct spill_bucket *bucket)
{
	uint32_t number = spill_bucket_number(buckets, bucket);

	if (bucket->state != SPILL_BUCKET_FULL || bucket->live || bucket->readers)
		return;
	bucket->state = SPILL_BUCKET_FREE;
	if (bucket->end > 0)
		mark_dirty(buckets, bucket);
	buckets->used_bytes -= bucket->end;
	bucket->end = 0;
	buckets->used--;
	if (number < buckets->lowest_free)
		buckets->lowest_free = number;
}

void spill_bucket_set(struct spill_buckets *buckets, struct spill_bucket *bucket, enum spill_bucket_state state)
{
	if (state == SPILL_BUCKET_LOST && bucket->state != SPILL_BUCKET_LOST)
		buckets->lost++;
	bucket->state = (uint8_t)state;
	spill_bucket_settle(buckets, bucket);
}

struct spill_bucket *spill_bucket_worst(const struct spill_buckets *buckets)
{
	struct spill_bucket *worst = NULL;

	for (uint32_t i = 1; i < buckets->top; i++) {
		struct spill_bucket *bucket = &buckets->of[i];

		if (bucket->state == SPILL_BUCKET_FULL && !bucket->is_left && bucket->live <= SPILL_BUCKET / 4 * 3 &&
		    (!worst || bucket->live < worst->live))
			worst = bucket;
	}
	return worst;
}

struct spill_bucket *spill_buckets_dirty(struct spill_buckets *buckets, uint32_t most, uint32_t *count)
{
	struct spill_bucket *first = NULL;

	*count = 0;
	if (buckets->dirty == 0)
		return NULL;
	for (uint32_t i = buckets->lowest_dirty; i < buckets->top && *count < most; i++) {
		struct spill_bucket *bucket = &buckets->of[i];

		buckets->lowest_dirty = i;
		if (bucket->state == SPILL_BUCKET_FREE && bucket->is_dirty) {
			first = first ? first : bucket;
			mark_used(buckets, bucket, SPILL_BUCKET_BUSY);
			++*count;
		} else if (first) {
			break;
		}
	}
	return first;
}

void spill_buckets_discarded(struct spill_buckets *buckets, struct spill_bucket *first, uint32_t count,
			     enum spill_bucket_state state, bool is_dirty)
{
	uint32_t number = spill_bucket_number(buckets, first);

	for (struct spill_bucket *bucket = first; bucket < first + count; bucket++) {
		bucket->state = (uint8_t)state;
		if (state == SPILL_BUCKET_LOST) {
			buckets->lost++;
			continue;
		}
		buckets->used--;
		if (is_dirty)
			mark_dirty(buckets, bucket);
	}
	if (state == SPILL_BUCKET_FREE && number < buckets->lowest_free)
		buckets->lowest_free = number;
}

bool spill_buckets_are_valid(const struct spill_buckets *buckets)
{
	uint64_t live = 0, end = 0;
	uint32_t used = 0, dirty = 0, lost = 0;

	for (uint32_t i = 0; i < buckets->count; i++) {
		const struct spill_bucket *bucket = &buckets->of[i];
		bool is_free = bucket->state == SPILL_BUCKET_FREE;

		if (bucket->live > SPILL_BUCKET || bucket->end > SPILL_BUCKET ||
		    (is_free && (bucket->live || bucket->readers || i < buckets->lowest_free)))
			return false;
		if ((bucket->is_dirty && (!is_free || i < buckets->lowest_dirty)) ||
		    (i >= buckets->top && (!is_free || bucket->is_dirty)))
			return false;
		if (bucket->state == SPILL_BUCKET_FULL && !bucket->live && !bucket->readers)
			return false;
		live += bucket->live;
		end += bucket->end;
		used += !is_free;
		dirty += bucket->is_dirty;
		lost += bucket->state == SPILL_BUCKET_LOST;
	}
	return live == buckets->live_bytes && end == buckets->used_bytes && used == buckets->used &&
	       dirty == buckets->dirty && lost == buckets->lost;
}
