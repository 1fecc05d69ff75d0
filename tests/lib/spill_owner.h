/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An owner of objects in a store: a table of places, in memory that outlives the process that uses it, as a segment
 * does. What an object holds follows from its number and its version, and has plain text in it.
 */
#ifndef TEST_SPILL_OWNER_H
#define TEST_SPILL_OWNER_H

#include "lib/base.h"
#include "lib/random.h"

#include "spill/spill.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#define OWNER_OBJECTS 4096u
#define OWNER_TEXT    "The quick brown fox jumps over the lazy dog. "

struct owner_word {
	_Atomic uint64_t place; /* 0: there is none */
	_Atomic uint32_t version;
};

/* What a segment would hold. The version of an object is stored before its place. */
struct owner_table {
	_Atomic bool is_made;
	uint8_t identity[SPILL_IDENTITY_BYTES], key[SPILL_KEY_BYTES];
	_Atomic uint64_t sequence, floor;
	struct spill_busy busy[SPILL_BUSY_KINDS];
	uint32_t last_version;
	struct owner_word words[OWNER_OBJECTS];
};

struct owner {
	struct owner_table *table;
	struct spill_store *store;
	pthread_mutex_t lock; /* of words and drops */
	size_t most;          /* bytes of the largest objects */
};

/* Of an object of this number and version. */
static inline size_t owner_size(const struct owner *owner, uint32_t number, uint32_t version)
{
	uint64_t state = (uint64_t)version << 32 | number;

	return (size_t)random_below(&state, owner->most) + 1;
}

static inline void owner_fill(uint8_t *bytes, size_t size, uint32_t number, uint32_t version)
{
	uint64_t state = (uint64_t)version << 32 | number;
	size_t text = strlen(OWNER_TEXT);

	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = random_next(&state);

		for (size_t k = i; k < size && k < i + 8; k++)
			bytes[k] = k / 64 % 2 ? (uint8_t)(word >> (k % 8 * 8)) : (uint8_t)OWNER_TEXT[k % text];
	}
}

static inline int owner_raise(void *opaque, uint64_t sequence)
{
	struct owner *owner = opaque;
	struct spill_stats stats;

	must(sequence > owner->table->sequence);
	spill_stats(owner->store, &stats);
	must(stats.floor >= owner->table->floor);
	owner->table->floor = stats.floor < owner->table->sequence ? stats.floor : owner->table->sequence;
	owner->table->sequence = sequence;
	return 0;
}

static inline void owner_busy(void *opaque, enum spill_busy_kind kind, struct spill_busy busy)
{
	((struct owner *)opaque)->table->busy[kind] = busy;
}

static inline bool owner_is_live(void *opaque, const uint32_t *numbers, unsigned count, size_t size, uint64_t place)
{
	struct owner *owner = opaque;
	const struct owner_word *word;

	must(count >= 1 && numbers[0] < OWNER_OBJECTS);
	word = &owner->table->words[numbers[0]];
	return word->place == place && owner_size(owner, numbers[0], word->version) == size;
}

static inline bool owner_move(void *opaque, const uint32_t *numbers, unsigned count, uint64_t from, uint64_t to)
{
	struct owner *owner = opaque;
	struct owner_word *word = &owner->table->words[numbers[0]];
	bool is_ours;

	must(count >= 1 && numbers[0] < OWNER_OBJECTS && from != to);
	pthread_mutex_lock(&owner->lock);
	is_ours = word->place == from;
	if (is_ours)
		word->place = to;
	pthread_mutex_unlock(&owner->lock);
	return is_ours;
}

static inline void owner_init(struct owner *owner, struct owner_table *table, size_t most)
{
	*owner = (struct owner){.table = table, .most = most};
	pthread_mutex_init(&owner->lock, NULL);
}

static inline struct owner_table *owner_new_table(void)
{
	void *table = mmap(NULL, sizeof(struct owner_table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(table != MAP_FAILED);
	return table;
}

/* Note all places, and start. */
static inline void owner_start(struct owner *owner)
{
	for (uint32_t i = 0; i < OWNER_OBJECTS; i++) {
		const struct owner_word *word = &owner->table->words[i];

		if (word->place)
			must(spill_note_live(owner->store, word->place, owner_size(owner, i, word->version)) == 0);
	}
	spill_start(owner->store);
}

/* Open the store of this table, or make it. The params are the caller's but for what the owner knows. */
static inline int owner_open(struct owner *owner, struct spill_params *params, struct spill_why *why)
{
	struct owner_table *table = owner->table;
	int r;

	params->owner = (struct spill_owner){owner, NULL, owner_raise, owner_busy, owner_is_live, owner_move};
	if (table->is_made) {
		memcpy(params->identity, table->identity, sizeof table->identity);
		memcpy(params->key, table->key, sizeof table->key);
		params->sequence = table->sequence;
		params->floor = table->floor;
		memcpy(params->busy, table->busy, sizeof params->busy);
		r = spill_open(params, &owner->store, why);
	} else {
		r = spill_make(params, &owner->store, why);
		if (!r) {
			memcpy(table->identity, params->identity, sizeof table->identity);
			memcpy(table->key, params->key, sizeof table->key);
			table->is_made = true;
		}
	}
	if (!r)
		owner_start(owner);
	return r;
}

static inline void owner_close(struct owner *owner)
{
	spill_close(owner->store);
	owner->store = NULL;
}

/* The owner has no such object any more. */
static inline void owner_drop(struct owner *owner, uint32_t number)
{
	struct owner_word *word = &owner->table->words[number];
	uint64_t place;

	pthread_mutex_lock(&owner->lock);
	place = word->place;
	word->place = 0;
	pthread_mutex_unlock(&owner->lock);
	if (place)
		spill_drop(owner->store, place, owner_size(owner, number, word->version));
}

/* What was put is in the store: the words say so from now on. */
static inline int owner_publish(struct owner *owner, uint32_t from, uint32_t to, const uint64_t *places,
				const uint32_t *versions)
{
	int r = spill_flush(owner->store);

	for (; from < to && !r; from++) {
		owner_drop(owner, from);
		pthread_mutex_lock(&owner->lock);
		owner->table->words[from].version = versions[from];
		owner->table->words[from].place = places[from];
		pthread_mutex_unlock(&owner->lock);
	}
	return r;
}

/* New versions of objects in a row, in one flush where they fit. */
static inline int owner_put(struct owner *owner, uint32_t first, uint32_t count)
{
	static uint8_t bytes[SPILL_OBJECT_MOST];
	static uint64_t places[OWNER_OBJECTS];
	static uint32_t versions[OWNER_OBJECTS];
	uint32_t from = first;

	for (uint32_t i = first; i < first + count; i++) {
		uint32_t version = versions[i] = ++owner->table->last_version;
		uint32_t numbers[SPILL_NUMBERS_MOST] = {i, 7};
		/* Single blocks have one number, and groups several. */
		unsigned names = owner->most > 4096 ? 1 + version % SPILL_NUMBERS_MOST : 1;
		struct spill_object object = {numbers, names, bytes, owner_size(owner, i, version)};
		int r;

		owner_fill(bytes, object.size, i, version);
		r = spill_put(owner->store, &object, &places[i]);
		if (r) {
			int published = owner_publish(owner, from, i, places, versions);

			from = i;
			if (!published && r == -ENOBUFS)
				r = spill_put(owner->store, &object, &places[i]);
			if (published || r)
				return published ? published : r;
		}
	}
	return owner_publish(owner, from, first + count, places, versions);
}

/* Read an object. 0: it is what it has to be. A word that has changed meanwhile is looked at again. */
static inline int owner_get(struct owner *owner, uint32_t number)
{
	uint8_t *got = malloc(SPILL_OBJECT_MOST + 16), *wanted = malloc(SPILL_OBJECT_MOST);
	struct owner_word *word = &owner->table->words[number];
	size_t bytes = 0;
	int r = 0;

	for (;;) {
		uint32_t version;
		size_t size;
		struct spill_read read = {.number = number, .buffer = got};

		pthread_mutex_lock(&owner->lock);
		read.place = word->place;
		version = word->version;
		size = owner_size(owner, number, version);
		/* As the words of groups have it: rounded up. */
		read.bytes = size > 4096 ? (size + 15) / 16 * 16 : size;
		pthread_mutex_unlock(&owner->lock);
		if (!read.place)
			break;
		r = spill_get_now(owner->store, &read, &bytes);
		if (read.place != word->place)
			continue;
		owner_fill(wanted, size, number, version);
		if (!r && (bytes != size || memcmp(got, wanted, size)))
			r = -EUCLEAN;
		break;
	}
	free(got);
	free(wanted);
	return r;
}

static inline int owner_get_all(struct owner *owner)
{
	for (uint32_t i = 0; i < OWNER_OBJECTS; i++) {
		int r = owner_get(owner, i);

		if (r)
			return r;
	}
	return 0;
}

static inline int owner_clean(struct owner *owner)
{
	bool more = true;
	int r = 0;

	while (more && !r)
		r = spill_clean_step(owner->store, &more);
	return r;
}

#endif
