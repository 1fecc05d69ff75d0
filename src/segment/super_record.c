/* SPDX-License-Identifier: BSD-3-Clause */
/* Records. See super_record.h. */
#include "segment/super_record.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

/* Of the largest copy there is. */
#define MOST_BYTES 2048u

struct record {
	uint64_t checksum;
	uint64_t generation; /* from 1 on */
	uint8_t contents[MOST_BYTES - SUPER_RECORD_HEAD];
};
_Static_assert(sizeof(struct record) == MOST_BYTES && offsetof(struct record, contents) == SUPER_RECORD_HEAD,
	       "no padding");

static uint64_t checksum(const struct record *record, size_t copy)
{
	return XXH64(&record->generation, copy - sizeof record->checksum, 0);
}

/* Take the copy at `place`, since a writer may be at work on it. False: it is not whole. */
static bool take(struct record *record, const void *place, size_t copy)
{
	memcpy(record, place, copy);
	return record->generation && record->checksum == checksum(record, copy);
}

/* Take the copy that counts. Its number, or -1: neither counts. */
static int newest(struct record *record, const uint8_t *place, size_t copy)
{
	struct record other;
	bool first = take(record, place, copy);

	bool second = take(&other, place + copy, copy) && !(first && record->generation > other.generation);

	if (second)
		*record = other;
	/* A record can have a key in it, and what lies on the stack comes into core dumps. */
	explicit_bzero(&other, sizeof other);
	return second ? 1 : first ? 0 : -1;
}

bool super_record_read(const void *place, size_t copy, void *contents, size_t bytes)
{
	struct record record;
	bool is_there = newest(&record, place, copy) >= 0;

	assert(copy <= MOST_BYTES && bytes <= copy - SUPER_RECORD_HEAD);
	if (is_there)
		memcpy(contents, record.contents, bytes);
	explicit_bzero(&record, sizeof record);
	return is_there;
}

/* A killed process leaves what it had stored so far, in program order. So only the compiler must not reorder stores. */
static void store_in_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void super_record_write(void *place, size_t copy, const void *contents, size_t bytes)
{
	struct record record;
	int now = newest(&record, place, copy);
	struct record *to = (struct record *)((uint8_t *)place + (now == 0 ? copy : 0));

	assert(copy <= MOST_BYTES && bytes <= copy - SUPER_RECORD_HEAD);
	record.generation = now < 0 ? 1 : record.generation + 1;
	memset(record.contents, 0, copy - SUPER_RECORD_HEAD);
	memcpy(record.contents, contents, bytes);
	__atomic_store_n(&to->checksum, 0, __ATOMIC_RELAXED);
	store_in_order();
	memcpy(&to->generation, &record.generation, copy - sizeof record.checksum);
	store_in_order();
	__atomic_store_n(&to->checksum, checksum(&record, copy), __ATOMIC_RELEASE);
	explicit_bzero(&record, sizeof record);
}
