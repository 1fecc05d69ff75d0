/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a table word means. See sector.h.
 *
 *   type of word | what the block holds            | what lies in the pool
 *   -------------+---------------------------------+----------------------------------------------
 *   empty        | zeroes                          | nothing
 *   same32       | a repeated 32-bit word          | nothing
 *   same64       | a repeated 64-bit word          | an object of 8 bytes, the word
 *   object       | anything                        | an object: the block compressed, or as it is
 *   shared       | anything                        | a group, the object of a shared entry: groups.h
 *   large        | (of an entry)                   | a piece of a group, which goes on in the next entry: entries.h
 *   backed       | anything                        | nothing: its object is in the backing store: backing.h
 *
 * A new type of word is a row of `types`, and a place in sector_store() where a block becomes one.
 */
#include "engine/sector.h"

#include "codec/fill.h"
#include "engine/backing.h"
#include "engine/entries.h"
#include "engine/groups.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* The most bytes of an object that are prefetched: 16 cache lines, about what a processor has on its way at once. */
#define PREFETCH_BYTES (16u * 64)

typedef int sector_load_fn(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len,
			   uint8_t *out);

struct sector_type {
	/* What is wrong with a word of this type, or NULL. */
	const char *(*check)(uint64_t word);
	/* See sector_load(). */
	sector_load_fn *load;
	/* The word names one object (word_object()), which belongs to this block alone. */
	bool has_object;
	/* The block counts as same-filled. */
	bool is_same;
	/* The block is in a group. */
	bool is_shared;
};

_Static_assert(ZS_CLASS_MIN % 8 == 0 && ZS_CLASS_STEP % 8 == 0, "one store changes an object of 8 bytes");
_Static_assert(CODEC_IDS <= 1 << WORD_CODEC_BITS, "every codec identity fits");
_Static_assert(BLOCK == 1 << WORD_SIZE_BITS, "an object has the size of a block at most");
_Static_assert(ZS_LOC_PAGE_BITS <= WORD_PAGE_BITS && ZS_LOC_SLOT_BITS <= WORD_SLOT_BITS &&
		       ZS_BORROW < 1 << WORD_BORROW_BITS,
	       "every place in the pool fits");

/* ------------------------------------------------------------------ the types of words */

static const char *check_empty(uint64_t word)
{
	return word ? "an empty word with bits set" : NULL;
}

static int load_empty(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	memset(out, 0, len);
	return 0;
}

static const char *check_same32(uint64_t word)
{
	if (word & ((UINT64_C(1) << WORD_PATTERN_SHIFT) - 1) & ~(uint64_t)WORD_SAME32)
		return "a same-filled word with reserved bits set";
	return word >> WORD_PATTERN_SHIFT ? NULL : "a same-filled word of zeroes";
}

static int load_same32(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	fill_expand(out, len, from, word_pattern(word));
	return 0;
}

static const char *check_reserved(uint64_t word)
{
	/* The mark and the bit "tried" may be set: neither changes what the word says of its object. */
	word &= ~(UINT64_C(1) << WORD_MARK_SHIFT | UINT64_C(1) << WORD_TRIED_SHIFT);
	return word >> (WORD_PAGE_SHIFT + WORD_PAGE_BITS) ? "an object word with reserved bits set" : NULL;
}

static const char *check_same64(uint64_t word)
{
	struct word_object object = word_object(word);

	if (object.codec != CODEC_RAW || object.size != sizeof(uint64_t))
		return "a same-filled object that is not 8 bytes";
	return check_reserved(word);
}

static int load_same64(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	uint64_t pattern;

	memcpy(&pattern, zs_core_address(dev->core, sector_loc(dev, word)), sizeof pattern);
	fill_expand(out, len, from, pattern);
	return 0;
}

static const char *check_object(uint64_t word)
{
	struct word_object object = word_object(word);

	if (object.codec == CODEC_RAW ? object.size != BLOCK : !codec_by_id(object.codec))
		return "an object of an unknown codec, or a raw one that is not a block";
	return check_reserved(word);
}

int sector_expand(struct context *ctx, uint64_t word, const void *bytes, uint8_t *block)
{
	struct word_object object = word_object(word);

	if (object.codec == CODEC_RAW) {
		memcpy(block, bytes, BLOCK);
		return 0;
	}
	return codec_by_id(object.codec)->decompress(ctx->dctx[object.codec], bytes, object.size, block, BLOCK);
}

/* Decompress an object into `out`, a whole block. */
static int load_whole(struct zsblk *dev, struct context *ctx, uint64_t word, uint8_t *out)
{
	uint64_t began;
	int r;

	if (word_object(word).codec == CODEC_RAW)
		return sector_expand(ctx, word, zs_core_address(dev->core, sector_loc(dev, word)), out);
	began = latency_begin(&ctx->latencies, ZSBLK_LATENCY_DECOMPRESS);
	r = sector_expand(ctx, word, zs_core_address(dev->core, sector_loc(dev, word)), out);
	latency_end(&ctx->latencies, ZSBLK_LATENCY_DECOMPRESS, began);
	return r;
}

static int load_object(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	int r;

	if (len == BLOCK)
		return load_whole(dev, ctx, word, out);
	r = load_whole(dev, ctx, word, ctx->block);
	if (!r)
		memcpy(out, ctx->block + from, len);
	return r;
}

static const char *check_shared(uint64_t word)
{
	struct word_shared shared = word_shared(word);

	if (word_unmark(word) != word_make_shared(&shared))
		return "a word of a group with reserved bits set";
	return shared.n < 2 || shared.n > GROUP_BLOCKS || shared.place >= shared.n ? "a place that no group has" : NULL;
}

static int load_shared(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	return entries_has(dev, word) ? SECTOR_COLD : -EIO;
}

static const char *check_large(uint64_t word)
{
	struct word_object object = word_object(word);

	if (!codec_by_id(object.codec) || object.size != BLOCK)
		return "a piece of a group that does not go on";
	return check_reserved(word);
}

static const char *check_backed(uint64_t word)
{
	struct word_backed backed = word_backed(word);

	if (backed.codec == CODEC_RAW ? backed.size != BLOCK : !codec_by_id(backed.codec))
		return "an object in the backing store of an unknown codec, or a raw one that is not a block";
	return word >> WORD_MARK_SHIFT ? "a word of the backing store with reserved bits set" : NULL;
}

static int load_backed(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	return SECTOR_BACKED;
}

static const char *check_unknown(uint64_t word)
{
	return "a word of an unknown type";
}

static int load_unknown(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len,
			uint8_t *out)
{
	return -EIO;
}

static const struct sector_type types[WORD_TYPES] = {
	[WORD_EMPTY] = {.check = check_empty, .load = load_empty},
	[WORD_OBJECT] = {.check = check_object, .load = load_object, .has_object = true},
	[WORD_SAME32] = {.check = check_same32, .load = load_same32, .is_same = true},
	[WORD_SAME64] = {.check = check_same64, .load = load_same64, .has_object = true, .is_same = true},
	[WORD_SHARED] = {.check = check_shared, .load = load_shared, .is_shared = true},
	[WORD_LARGE] = {.check = check_large, .load = load_unknown, .has_object = true},
	[WORD_BACKED] = {.check = check_backed, .load = load_backed},
	[7] = {.check = check_unknown, .load = load_unknown},
};

static const struct sector_type *type_of(uint64_t word)
{
	return &types[word_type(word)];
}

/* ------------------------------------------------------------------ objects */

static struct zs_loc object_loc(const struct zsblk *dev, const struct word_object *object)
{
	return (struct zs_loc){
		.page = object->page,
		.slot = object->slot,
		.class_index = (uint16_t)(zs_core_class_of(dev->core, object->size) + object->borrow),
	};
}

struct zs_loc sector_loc(const struct zsblk *dev, uint64_t word)
{
	struct word_object object = word_object(word);

	return object_loc(dev, &object);
}

int sector_store_bytes(struct zsblk *dev, uint64_t owner, enum word_type type, unsigned codec, const void *bytes,
		       unsigned size, unsigned beyond, uint64_t *word)
{
	struct word_object object = {.size = (uint16_t)size, .codec = (uint8_t)codec};
	struct zs_loc loc;
	int r = zs_core_alloc_beyond(dev->core, size, (uint32_t)owner, beyond, &loc);

	if (r)
		return -ENOSPC;
	memcpy(zs_core_address(dev->core, loc), bytes, size);
	object.page = loc.page;
	object.slot = loc.slot;
	object.borrow = (uint8_t)(loc.class_index - zs_core_class_of(dev->core, size));
	*word = word_make_object(type, &object);
	return 0;
}

static int store_same(struct zsblk *dev, uint64_t block, uint64_t pattern, uint64_t *word)
{
	*word = 0;
	if (!pattern)
		return 0;
	if (pattern >> 32 == (uint32_t)pattern) {
		*word = word_make_same32((uint32_t)pattern);
		return 0;
	}
	return sector_store_bytes(dev, block, WORD_SAME64, CODEC_RAW, &pattern, sizeof pattern, 0, word);
}

/* ------------------------------------------------------------------ what requests do */

int sector_store(struct zsblk *dev, struct context *ctx, uint64_t block, const void *data, uint64_t *word)
{
	const struct encoder *encoder = atomic_load_explicit(&ctx->encoder, memory_order_relaxed);
	uint64_t pattern, began;
	size_t size;

	if (fill_detect(data, &pattern))
		return store_same(dev, block, pattern, word);
	began = latency_begin(&ctx->latencies, ZSBLK_LATENCY_COMPRESS);
	size = encoder->codec->compress(ctx->cctx, encoder->level, data, BLOCK, ctx->object, dev->watermark);
	latency_end(&ctx->latencies, ZSBLK_LATENCY_COMPRESS, began);
	if (size)
		return sector_store_bytes(dev, block, WORD_OBJECT, encoder->codec->id, ctx->object, (unsigned)size, 0,
					  word);
	return sector_store_bytes(dev, block, WORD_OBJECT, CODEC_RAW, data, BLOCK, 0, word);
}

int sector_load(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	return type_of(word)->load(dev, ctx, word, from, len, out);
}

/* A repeated 64-bit word that is not a repeated 32-bit one. */
static bool is_same64(const void *data, uint64_t *pattern)
{
	return fill_detect(data, pattern) && *pattern >> 32 != (uint32_t)*pattern;
}

bool sector_refill(struct zsblk *dev, uint64_t block, const void *data)
{
	uint64_t pattern, word;
	bool same;

	/* The word may change until the stripe is held. Looked at first, it saves a look at the data of most blocks. */
	if (word_type(table_load(&dev->table, block)) != WORD_SAME64 || !is_same64(data, &pattern) ||
	    !resize_hold_block(dev, block))
		return false;
	word = table_load(&dev->table, block);
	same = word_type(word) == WORD_SAME64;
	if (same) {
		/* In one store: a process that is killed leaves the old bytes or the new ones. */
		__atomic_store_n((uint64_t *)zs_core_address(dev->core, sector_loc(dev, word)), pattern,
				 __ATOMIC_RELAXED);
		/* After the bytes: a thread that has read the old ones must not find its mark any more. */
		table_store(&dev->table, block, word_unmark(word));
		ages_touch(&dev->ages, block);
	}
	stripe_unlock(dev, block);
	return same;
}

bool sector_count(struct counters *counters, uint64_t word, int sign)
{
	const struct sector_type *type = type_of(word);
	uint64_t one = (uint64_t)sign;
	unsigned size;

	if (type->is_same)
		count(&counters->same, one);
	if (type->is_shared)
		count(&counters->cold, one);
	if (sector_is_backed(word))
		count(&counters->backed, one);
	if (!type->has_object)
		return false;
	size = word_object(word).size;
	count(&counters->compr_bytes, one * size);
	if (type->is_same)
		return false;
	count(&counters->objects, one);
	if (size == BLOCK)
		count(&counters->huge, one);
	return size == BLOCK;
}

uint64_t sector_publish(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word)
{
	uint64_t old = table_load(&dev->table, block);

	if (word || old)
		table_store(&dev->table, block, word);
	sector_count(&ctx->count, old, -1);
	if (sector_count(&ctx->count, word, 1))
		count(&ctx->count.huge_since, 1);
	return old;
}

bool sector_replace(struct zsblk *dev, struct counters *counters, uint64_t block, uint64_t from, uint64_t to)
{
	if (table_load(&dev->table, block) != from)
		return false;
	table_store(&dev->table, block, to);
	sector_count(counters, from, -1);
	sector_count(counters, to, 1);
	return true;
}

void sector_drop(struct zsblk *dev, uint64_t word)
{
	const struct sector_type *type = type_of(word);

	if (type->has_object)
		zs_core_free(dev->core, sector_loc(dev, word));
	else if (type->is_shared && entries_has(dev, word))
		entries_unpin(dev, word_shared(word).entry);
	else if (sector_is_backed(word))
		backing_drop(dev, word);
}

unsigned sector_smaller(const struct zsblk *dev, uint64_t word)
{
	/* Not the one where it lies: an object that has borrowed a slot saves a page there. */
	unsigned class_index = zs_core_class_of(dev->core, word_object(word).size);

	return class_index ? zs_core_class_size(dev->core, class_index - 1) : 0;
}

int sector_store_smaller(struct zsblk *dev, uint64_t block, uint64_t old, unsigned codec, const void *bytes,
			 unsigned size, unsigned beyond, uint64_t *word)
{
	int r = sector_store_bytes(dev, block, WORD_OBJECT, codec, bytes, size, beyond, word);

	if (r || sector_loc(dev, *word).class_index < sector_loc(dev, old).class_index)
		return r;
	/* It has borrowed a slot where the old one is. */
	sector_drop(dev, *word);
	return -ENOSPC;
}

void sector_forget_tried(struct zsblk *dev, uint64_t block)
{
	uint64_t word;

	stripe_lock(dev, block);
	word = table_load(&dev->table, block);
	if (sector_is_single(word) && word_tried(word))
		/* Without the mark, as all new words: who made it would not know the word again. */
		table_store(&dev->table, block, word_unmark(word_forget_tried(word)));
	stripe_unlock(dev, block);
}

/* Prefetch the object that a word names: its first `most` bytes. */
static inline void prefetch_object(const struct zsblk *dev, uint64_t word, unsigned most, bool is_write)
{
	const char *at;
	unsigned size;

	if (!type_of(word)->has_object)
		return;
	at = zs_core_address(dev->core, sector_loc(dev, word));
	size = word_object(word).size;
	size = size < most ? size : most;
	for (unsigned i = 0; i < size; i += 64) {
		/* The second argument has to be a constant. */
		if (is_write)
			__builtin_prefetch(at + i, 1);
		else
			__builtin_prefetch(at + i);
	}
}

/*
 * Objects lie anywhere in the pool. Without a prefetch, the decompressor waits for each cache line: a fifth of the time
 * of an lz4 read.
 */
void sector_prefetch_load(const struct zsblk *dev, uint64_t block)
{
	ages_prefetch(&dev->ages, block);
	prefetch_object(dev, table_load(&dev->table, block), PREFETCH_BYTES, false);
}

/*
 * The class fills this slot next. Its bytes are in no cache, since nobody read the object that was freed. Without a
 * prefetch, the copy of the next object is waited for at the lock of the stripe: 4 % of the time of an lz4 write.
 */
void sector_prefetch_reuse(const struct zsblk *dev, uint64_t word)
{
	prefetch_object(dev, word, BLOCK, true);
}

void sector_prefetch_drop(const struct zsblk *dev, uint64_t block)
{
	uint64_t word;

	ages_prefetch(&dev->ages, block);
	word = table_load(&dev->table, block);
	if (type_of(word)->has_object)
		zs_core_prefetch_free(dev->core, sector_loc(dev, word));
}

/* ------------------------------------------------------------------ what the allocator asks */

/* True if the word still names the object at `loc`. The block may have been overwritten since the allocator looked. */
static bool is_at(const struct zsblk *dev, uint64_t word, struct zs_loc loc)
{
	struct zs_loc now;

	if (!type_of(word)->has_object)
		return false;
	now = sector_loc(dev, word);
	return now.page == loc.page && now.slot == loc.slot && now.class_index == loc.class_index;
}

/* A word can say that its object lies in one of ZS_BORROW classes above its own. */
static bool may_lie_in(const struct zsblk *dev, uint64_t word, unsigned class_index)
{
	return class_index - zs_core_class_of(dev->core, word_object(word).size) <= ZS_BORROW;
}

static unsigned reach(void *opaque, uint32_t block, struct zs_loc from)
{
	struct zsblk *dev = opaque;
	uint64_t word = table_load(&dev->table, block);

	return is_at(dev, word, from) ? ZS_BORROW - word_object(word).borrow : 0;
}

const struct zs_settler sector_settler = {.move = sector_move, .reach = reach};

bool sector_move(void *opaque, uint32_t block, struct zs_loc from)
{
	struct zsblk *dev = opaque;
	struct zs_loc to;
	uint64_t word;
	bool moved;

	stripe_lock(dev, block);
	word = table_load(&dev->table, block);
	moved = is_at(dev, word, from) && zs_core_move_to(dev->core, block, from, &to) == 0;
	if (moved && !may_lie_in(dev, word, to.class_index)) {
		zs_core_free(dev->core, to);
		moved = false;
	}
	if (moved) {
		struct word_object object = word_object(word);

		memcpy(zs_core_address(dev->core, to), zs_core_address(dev->core, from), object.size);
		object.page = to.page;
		object.slot = to.slot;
		object.borrow = (uint8_t)(to.class_index - zs_core_class_of(dev->core, object.size));
		/* Without the mark, as all new words, but the object is the same. */
		table_store(&dev->table, block, word_make_object(word_type(word), &object) | word_tried(word));
	}
	stripe_unlock(dev, block);
	if (moved)
		zs_core_free(dev->core, from);
	return moved;
}

/* ------------------------------------------------------------------ what people see */

/* What a block in a group has of it, if all take the same. */
static void describe_shared(const struct zsblk *dev, uint64_t word, struct zsblk_block *found)
{
	unsigned codec = CODEC_RAW, blocks = entries_has(dev, word) ? entries_count(dev, word_shared(word).entry) : 0;
	size_t size = entries_look(dev, word_shared(word).entry, &codec);

	*found = (struct zsblk_block){.state = ZSBLK_BLOCK_COLD};
	found->algorithm = size && codec_by_id(codec) ? codec_by_id(codec)->name : NULL;
	if (!size || !blocks)
		return;
	found->size = (unsigned)(size / blocks);
	found->stored = (unsigned)(entries_memory(dev, size) / blocks);
}

bool sector_describe(const struct zsblk *dev, uint64_t word, struct zsblk_block *found)
{
	const struct sector_type *type = type_of(word);
	struct word_object object = word_object(word);

	if (!word)
		return false;
	if (type->is_shared) {
		describe_shared(dev, word, found);
		return true;
	}
	*found = (struct zsblk_block){.state = ZSBLK_BLOCK_SAME};
	if (type->has_object) {
		found->size = object.size;
		found->stored = zs_core_class_size(dev->core, object_loc(dev, &object).class_index);
		found->tried = word_tried(word);
	}
	if (type->is_same)
		return true;
	found->state = sector_is_backed(word)      ? ZSBLK_BLOCK_SPILLED
		       : object.codec == CODEC_RAW ? ZSBLK_BLOCK_RAW
						   : ZSBLK_BLOCK_COMPRESSED;
	if (sector_is_backed(word))
		found->size = object.size;
	found->algorithm = object.codec == CODEC_RAW ? NULL : codec_by_id(object.codec)->name;
	return true;
}

/* ------------------------------------------------------------------ what a word holds */

bool sector_has_data(uint64_t word)
{
	return word_type(word) == WORD_OBJECT || type_of(word)->is_shared;
}

bool sector_is_single(uint64_t word)
{
	return word_type(word) == WORD_OBJECT;
}

bool sector_is_shared(uint64_t word)
{
	return type_of(word)->is_shared;
}

bool sector_is_backed(uint64_t word)
{
	return word_type(word) == WORD_BACKED;
}

bool sector_is_marked(uint64_t word)
{
	return (type_of(word)->has_object || type_of(word)->is_shared) && word_is_marked(word);
}

unsigned sector_memory(const struct zsblk *dev, unsigned class_index)
{
	return zs_core_class_size(dev->core, class_index) +
	       (zs_core_is_huge(dev->core, class_index) ? 0 : (unsigned)sizeof(uint32_t));
}

unsigned sector_object_bytes(uint64_t word)
{
	return type_of(word)->has_object ? word_object(word).size : 0;
}

/* ------------------------------------------------------------------ checks */

const char *sector_check(uint64_t word)
{
	return type_of(word)->check(word);
}
