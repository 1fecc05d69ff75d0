/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared entries: which are free, who counts, and what they own. See entries.h. */
#include "engine/entries.h"

#include "engine/groups.h"
#include "engine/sector.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

/* What one search looks at: some 10 us. */
#define LOOK 4096u
/* The search begins anew at the lowest free entry when so many were freed, and an eighth of those in use. */
#define ANEW 64u

/* A count: how many name the entry, and above that a bit for each two places of the group, of which one was read. */
#define COUNT_BITS 24u
#define COUNT_MASK ((1u << COUNT_BITS) - 1)
_Static_assert(ZSBLK_MAX_CONTEXTS + 2 * GROUP_BLOCKS < COUNT_MASK, "blocks, readers and the worker are counted");
_Static_assert(GROUP_BLOCKS <= 2 * (32 - COUNT_BITS), "each two places have a bit");
_Static_assert(GROUP_BLOCKS <= ENTRIES_MOST, "a group takes fewer bytes than its blocks");

/* ------------------------------------------------------------------ life */

int entries_open(struct zsblk *dev)
{
	struct entries *entries = &dev->entries;
	uint64_t first = dev->layout.max_blocks, n = dev->table.n - first;

	if (entries->refs)
		return 0;
	if (!n)
		return -ENOTSUP;
	entries->refs = segment_private_map((size_t)n * sizeof *entries->refs);
	if (!entries->refs)
		return -ENOMEM;
	entries->first = first;
	entries->n = n;
	atomic_store(&entries->low, n);
	return 0;
}

void entries_close(struct entries *entries)
{
	if (entries->refs)
		segment_private_unmap((void *)entries->refs, (size_t)entries->n * sizeof *entries->refs);
	entries->refs = NULL;
}

uint64_t entries_private_resident(const struct entries *entries)
{
	return segment_private_resident((const void *)entries->refs, (size_t)entries->n * sizeof *entries->refs);
}

/* ------------------------------------------------------------------ counts */

static _Atomic uint32_t *refs_of(const struct zsblk *dev, uint32_t entry)
{
	return &dev->entries.refs[entry - dev->entries.first];
}

bool entries_has(const struct zsblk *dev, uint64_t word)
{
	const struct entries *entries = &dev->entries;
	uint64_t at = word_shared(word).entry - entries->first;

	return entries->refs && at < entries->n && entries_count(dev, word_shared(word).entry);
}

void entries_pin(struct zsblk *dev, uint32_t entry)
{
	atomic_fetch_add_explicit(refs_of(dev, entry), 1, memory_order_relaxed);
}

/* Take the word of an entry away, and free what it owned. Returns whether the next entry belongs to it. */
static bool clear_entry(struct zsblk *dev, uint32_t entry)
{
	struct entries *entries = &dev->entries;
	uint64_t word, low = atomic_load(&entries->low), at = entry - entries->first;

	stripe_lock(dev, entry);
	word = table_load(&dev->table, entry);
	table_store(&dev->table, entry, 0);
	stripe_unlock(dev, entry);
	sector_drop(dev, word);
	atomic_fetch_sub(&entries->bytes, sector_object_bytes(word));
	atomic_fetch_sub(&entries->used, 1);
	atomic_fetch_add(&entries->freed, 1);
	while (at < low && !atomic_compare_exchange_weak(&entries->low, &low, at))
		;
	return word_type(word) == WORD_LARGE;
}

void entries_unpin(struct zsblk *dev, uint32_t entry)
{
	if ((atomic_fetch_sub_explicit(refs_of(dev, entry), 1, memory_order_acq_rel) & COUNT_MASK) != 1)
		return;
	/* Nobody names it any more. What was decoded of it goes before the entry can be used again. */
	groups_forget(dev, entry);
	atomic_fetch_sub(&dev->entries.groups, 1);
	atomic_store_explicit(refs_of(dev, entry), 0, memory_order_relaxed);
	for (unsigned i = 0; i < ENTRIES_MOST && clear_entry(dev, entry); i++)
		entry++;
}

unsigned entries_count(const struct zsblk *dev, uint32_t entry)
{
	return atomic_load_explicit(refs_of(dev, entry), memory_order_relaxed) & COUNT_MASK;
}

bool entries_note_read(struct zsblk *dev, uint32_t entry, unsigned place)
{
	uint32_t bit = UINT32_C(1) << (COUNT_BITS + place / 2);

	return atomic_fetch_or_explicit(refs_of(dev, entry), bit, memory_order_relaxed) & bit;
}

/* ------------------------------------------------------------------ free entries */

static bool is_free(const struct zsblk *dev, uint64_t at)
{
	return !table_load(&dev->table, dev->entries.first + at) &&
	       !atomic_load_explicit(&dev->entries.refs[at], memory_order_acquire);
}

/* Where enough were freed, the lowest ones are used again, so that all lie in few pages. */
static void begin_anew(struct entries *entries)
{
	uint64_t low;

	if (atomic_load(&entries->freed) < ANEW + atomic_load(&entries->used) / 8)
		return;
	atomic_store(&entries->freed, 0);
	low = atomic_exchange(&entries->low, entries->n);
	if (low < entries->next)
		entries->next = low;
}

/* Find `n` free entries that follow each other, among the next LOOK ones. */
static int find_free(struct zsblk *dev, unsigned n, uint64_t *found)
{
	struct entries *entries = &dev->entries;
	unsigned run = 0;

	begin_anew(entries);
	for (unsigned i = 0; i < LOOK; i++) {
		if (entries->next >= entries->n) {
			entries->next = 0;
			run = 0;
		}
		run = is_free(dev, entries->next++) ? run + 1 : 0;
		entries->looked++;
		if (run == n) {
			entries->looked = 0;
			*found = entries->next - n;
			return 0;
		}
	}
	/* A run that the end of this search cuts in two is found by the next one. */
	entries->next -= run;
	if (entries->looked < entries->n + 2 * LOOK)
		return -EAGAIN;
	entries->looked = 0;
	return -ENOSPC;
}

/* ------------------------------------------------------------------ making */

/* Have the words and the counts in memory. */
static int populate(struct zsblk *dev, uint64_t at, unsigned n)
{
	uint64_t index = dev->entries.first + at, words = (uint64_t)((uint8_t *)dev->table.words - dev->seg.base);
	int r;

	/* Where words were written there is memory, and with them came the counts. */
	if (table_next_written(&dev->table, index, index + 1) == index &&
	    table_next_written(&dev->table, index + n - 1, index + n) == index + n - 1)
		return 0;
	if (!spare_memory_for(&dev->group_spare, spare_is_realtime(sched_getscheduler(0))))
		return -ENOMEM;
	r = segment_populate(&dev->seg, words + index * sizeof(uint64_t), n * sizeof(uint64_t));
	return r ? r : segment_private_populate((void *)&dev->entries.refs[at], n * sizeof *dev->entries.refs);
}

static unsigned pieces_of(size_t size)
{
	return (unsigned)((size + BLOCK - 1) / BLOCK);
}

static unsigned piece_size(size_t size, unsigned i)
{
	return size - i * BLOCK < BLOCK ? (unsigned)(size - i * BLOCK) : BLOCK;
}

/* Put the pieces into the pool. If it fails, none of them is there. */
static int store_pieces(struct zsblk *dev, unsigned codec, const uint8_t *bytes, size_t size, unsigned beyond,
			uint64_t entry, uint64_t *words)
{
	unsigned n = pieces_of(size);

	for (unsigned i = 0; i < n; i++) {
		enum word_type type = i + 1 < n ? WORD_LARGE : WORD_OBJECT;
		int r = sector_store_bytes(dev, entry + i, type, codec, bytes + i * BLOCK, piece_size(size, i), beyond,
					   &words[i]);

		if (!r)
			continue;
		while (i-- > 0)
			sector_drop(dev, words[i]);
		return r;
	}
	return 0;
}

/* What the segment has to say before the first word of its kind is stored. */
static void set_features(struct zsblk *dev, unsigned pieces)
{
	uint32_t needed = pieces > 1 ? SUPER_HAS_SHARED | SUPER_HAS_LARGE : SUPER_HAS_SHARED;

	if ((__atomic_load_n(&dev->layout.features.incompatible, __ATOMIC_RELAXED) & needed) != needed)
		super_set_incompatible(&dev->seg, &dev->layout, needed, true);
}

int entries_make(struct zsblk *dev, unsigned codec, const uint8_t *bytes, size_t size, unsigned beyond,
		 uint32_t *result)
{
	struct entries *entries = &dev->entries;
	unsigned n = pieces_of(size);
	uint64_t words[ENTRIES_MOST], at, entry;
	int r = n && n <= ENTRIES_MOST ? find_free(dev, n, &at) : -ENOSPC;

	if (!r)
		r = populate(dev, at, n);
	if (r)
		return r;
	entry = entries->first + at;
	r = store_pieces(dev, codec, bytes, size, beyond, entry, words);
	if (r)
		return r;
	set_features(dev, n);
	atomic_store_explicit(&entries->refs[at], 1, memory_order_relaxed);
	for (unsigned i = n; i-- > 0;)
		table_store(&dev->table, entry + i, words[i]);
	atomic_fetch_add(&entries->groups, 1);
	atomic_fetch_add(&entries->used, n);
	atomic_fetch_add(&entries->bytes, size);
	*result = (uint32_t)entry;
	return 0;
}

/* ------------------------------------------------------------------ what they own */

int entries_copy(struct zsblk *dev, uint32_t entry, uint8_t *bytes, size_t room, unsigned *codec, size_t *result)
{
	bool goes_on = true;
	size_t size = 0;

	for (unsigned i = 0; i < ENTRIES_MOST && goes_on; i++, entry++) {
		uint64_t word;
		unsigned n;

		stripe_lock(dev, entry);
		word = entry < dev->table.n ? table_load(&dev->table, entry) : 0;
		n = sector_object_bytes(word);
		goes_on = n && word_type(word) == WORD_LARGE;
		n = n <= room - size ? n : 0;
		if (n)
			memcpy(bytes + size, zs_core_address(dev->core, sector_loc(dev, word)), n);
		stripe_unlock(dev, entry);
		if (!n)
			return -EIO;
		*codec = word_object(word).codec;
		size += n;
	}
	*result = size;
	return goes_on ? -EIO : 0;
}

size_t entries_look(const struct zsblk *dev, uint32_t entry, unsigned *codec)
{
	bool goes_on = true;
	size_t size = 0;

	for (unsigned i = 0; i < ENTRIES_MOST && goes_on && entry < dev->table.n; i++, entry++) {
		uint64_t word = table_load(&dev->table, entry);

		if (!sector_object_bytes(word))
			return 0;
		size += sector_object_bytes(word);
		*codec = word_object(word).codec;
		goes_on = word_type(word) == WORD_LARGE;
	}
	return goes_on ? 0 : size;
}

size_t entries_memory(const struct zsblk *dev, size_t size)
{
	unsigned n = pieces_of(size), rest = piece_size(size, n - 1), class_index = zs_core_class_of(dev->core, rest);
	size_t bytes = n * (sizeof(uint64_t) + sizeof(uint32_t)) + (n - 1) * (size_t)BLOCK;

	return bytes + sector_memory(dev, class_index);
}

/* ------------------------------------------------------------------ scans */

/*
 * In a survey, a count has in its low bits how many blocks name the entry, then n - 1, then whether it follows another one,
 * and above that a bit for each place that a block has.
 */
#define SEEN_COUNT   0xffu
#define SEEN_N_SHIFT 8u
#define SEEN_N       (0xfu << SEEN_N_SHIFT)
#define SEEN_FOLLOWS (1u << 15)
#define SEEN_PLACES  16u
_Static_assert(GROUP_BLOCKS - 1 <= SEEN_N >> SEEN_N_SHIFT && GROUP_BLOCKS <= SEEN_COUNT, "a survey has room for it");

static uint32_t seen_of(const struct entries_survey *survey, uint64_t index)
{
	return atomic_load_explicit(&survey->seen[index - survey->dev->layout.max_blocks], memory_order_relaxed);
}

static void set_seen(struct entries_survey *survey, uint64_t index, uint32_t seen)
{
	atomic_store_explicit(&survey->seen[index - survey->dev->layout.max_blocks], seen, memory_order_relaxed);
}

const char *entries_see_block(struct entries_survey *survey, uint64_t word)
{
	struct word_shared shared = word_shared(word);
	uint32_t seen, n = (shared.n - 1u) << SEEN_N_SHIFT, bit = UINT32_C(1) << (SEEN_PLACES + shared.place);

	if (!survey->seen)
		return "a block in a group, and the segment does not say that there are any";
	if (shared.entry < survey->dev->layout.max_blocks || shared.entry >= survey->dev->table.n)
		return "a block in a group that has no place in the table";
	seen = seen_of(survey, shared.entry);
	if (seen & bit)
		return "a block in a place of a group that another block has";
	if (seen & SEEN_COUNT && (seen & SEEN_N) != n)
		return "a block in a group of another number of blocks";
	survey->named += !(seen & SEEN_COUNT);
	set_seen(survey, shared.entry, (seen | bit | n) + 1);
	return NULL;
}

/* The next piece of a group, of which the first was named. */
static const char *see_piece(struct entries_survey *survey, uint64_t index, uint64_t word)
{
	const struct codec *codec = codec_by_id(word_object(word).codec);

	if (!codec || !group_is_possible(codec))
		return "a group of a codec that has none";
	if (survey->pieces && codec->id != survey->codec)
		return "a group that goes on with another codec";
	if (survey->pieces == ENTRIES_MOST)
		return "a group of too many entries";
	if (survey->pieces)
		set_seen(survey, index, SEEN_FOLLOWS);
	survey->codec = codec->id;
	survey->pieces++;
	survey->bytes += sector_object_bytes(word);
	survey->last = index;
	survey->goes_on = word_type(word) == WORD_LARGE;
	return NULL;
}

const char *entries_see(struct entries_survey *survey, uint64_t index, uint64_t word)
{
	bool is_named;

	if (!survey->seen)
		return word ? "an entry, and the segment does not say that there are any" : NULL;
	if (word_type(word) == WORD_LARGE && !(survey->dev->layout.features.incompatible & SUPER_HAS_LARGE))
		return "an entry that goes on, and the segment does not say that there are any";
	is_named = seen_of(survey, index) & SEEN_COUNT;
	if (survey->goes_on && survey->last + 1 == index)
		return !word      ? "a group that breaks off"
		       : is_named ? "the middle of a group that blocks name"
				  : see_piece(survey, index, word);
	if (survey->goes_on)
		return "an entry behind a group that breaks off";
	if (!is_named) {
		survey->orphans += word != 0;
		return NULL;
	}
	survey->heads++;
	survey->groups++;
	survey->pieces = 0;
	return word ? see_piece(survey, index, word) : "an empty entry that blocks name";
}

const char *entries_see_end(const struct entries_survey *survey)
{
	if (survey->goes_on)
		return "the last group breaks off";
	return survey->heads == survey->named ? NULL : "blocks name entries that are not there";
}

bool entries_agree(const struct zsblk *dev, const struct entries_survey *survey)
{
	const struct entries *entries = &dev->entries;

	if (survey->orphans || survey->groups != atomic_load(&entries->groups) ||
	    survey->bytes != atomic_load(&entries->bytes))
		return false;
	for (uint64_t at = 0; entries->refs && survey->seen && at < entries->n; at++) {
		at = table_next_written(&dev->table, entries->first + at, dev->table.n) - entries->first;
		if (at < entries->n && (seen_of(survey, entries->first + at) & SEEN_COUNT) !=
					       (atomic_load(&entries->refs[at]) & COUNT_MASK))
			return false;
	}
	return true;
}

void entries_adopt(struct zsblk *dev, const struct entries_survey *survey)
{
	struct entries *entries = &dev->entries;

	if (!entries->refs)
		return;
	for (uint64_t index = entries->first; index < dev->table.n; index++) {
		uint64_t word;
		uint32_t seen;

		index = table_next_written(&dev->table, index, dev->table.n);
		word = index < dev->table.n ? table_load(&dev->table, index) : 0;
		if (!word)
			continue;
		seen = atomic_load(&entries->refs[index - entries->first]);
		atomic_store(&entries->refs[index - entries->first], seen & SEEN_COUNT);
		entries->used++;
		if (seen)
			continue;
		entries->bytes += sector_object_bytes(word);
		clear_entry(dev, (uint32_t)index);
	}
	atomic_fetch_add(&entries->groups, survey->groups);
	atomic_fetch_add(&entries->bytes, survey->bytes);
	entries_settle(dev);
}

void entries_settle(struct zsblk *dev)
{
	uint32_t features = SUPER_HAS_SHARED | SUPER_HAS_LARGE;

	if (!(__atomic_load_n(&dev->layout.features.incompatible, __ATOMIC_RELAXED) & features) ||
	    atomic_load(&dev->entries.used))
		return;
	super_set_incompatible(&dev->seg, &dev->layout, features, false);
	/* Who frees an entry has stored its last word before it is used no more, and nobody makes one now. */
	table_release(&dev->table, &dev->seg, dev->layout.max_blocks, dev->table.n);
}

void entries_keep(struct zsblk *dev)
{
	/* A step of a job can take long, and the job does the same when it ends. */
	if (pthread_mutex_trylock(&dev->recompress_lock) != 0)
		return;
	if (!dev->grouping)
		entries_settle(dev);
	pthread_mutex_unlock(&dev->recompress_lock);
}
