/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading blocks that are in groups: cache, decoders, and which blocks come out. See groups.h. */
#include "engine/groups.h"

#include "engine/entries.h"
#include "engine/sector.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NOTHING 0 /* no entry: the first words of a table are those of blocks */

/* ------------------------------------------------------------------ decoders */

static size_t align64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static bool has_groups(unsigned id)
{
	return codec_by_id(id) && group_is_possible(codec_by_id(id));
}

size_t groups_decoder_bytes(void)
{
	size_t bytes = GROUP_BYTES;

	for (unsigned id = 0; id < CODEC_IDS; id++)
		if (has_groups(id))
			bytes += align64(group_dctx_size(codec_by_id(id)));
	return bytes;
}

int groups_make_decoder(struct groups_decoder *decoder, uint8_t *mem)
{
	int r = 0;

	*decoder = (struct groups_decoder){.bytes = mem};
	mem += GROUP_BYTES;
	for (unsigned id = 0; id < CODEC_IDS && !r; id++) {
		const struct codec *codec = codec_by_id(id);

		if (!has_groups(id))
			continue;
		r = group_dctx_init(codec, mem, group_dctx_size(codec));
		decoder->dctx[id] = mem;
		mem += align64(group_dctx_size(codec));
	}
	return r;
}

int groups_decode(struct zsblk *dev, struct groups_decoder *decoder, const struct word_shared *shared, uint8_t *blocks,
		  unsigned *done)
{
	unsigned codec;
	size_t size;
	int r = entries_copy(dev, shared->entry, decoder->bytes, GROUP_BYTES, &codec, &size);

	if (r || !has_groups(codec) || shared->n > GROUP_BLOCKS || shared->place >= shared->n)
		return -EIO;
	r = group_decompress(codec_by_id(codec), decoder->dctx[codec], decoder->bytes, size, blocks, shared->n,
			     shared->place);
	if (r <= shared->place)
		return -EIO;
	*done = (unsigned)r;
	return 0;
}

/* ------------------------------------------------------------------ life */

static unsigned decoders_wanted(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 2 ? 2 : cpus < (long)GROUPS_DECODERS ? (unsigned)cpus : GROUPS_DECODERS;
}

static int fill(struct zsblk *dev, struct groups *groups)
{
	uint8_t *mem = (uint8_t *)groups + align64(sizeof *groups);
	int r = dev->has_worker ? upkeep_populate_private(dev, groups, groups->bytes)
				: segment_private_populate(groups, groups->bytes);

	for (unsigned i = 0; i < GROUPS_CACHED; i++, mem += GROUP_BYTES)
		groups->slots[i].blocks = mem;
	groups->checked = mem;
	mem += GROUP_BYTES;
	for (unsigned i = 0; i < groups->n && !r; i++, mem += groups_decoder_bytes())
		r = groups_make_decoder(&groups->decoders[i], mem);
	return r;
}

int groups_prepare(struct zsblk *dev)
{
	unsigned n = decoders_wanted();
	size_t bytes = align64(sizeof(struct groups)) + (GROUPS_CACHED + 1) * (size_t)GROUP_BYTES +
		       n * align64(groups_decoder_bytes());
	struct groups *groups;
	int r = entries_open(dev);

	if (r || dev->groups)
		return r;
	groups = segment_private_map(bytes);
	if (!groups)
		return -ENOMEM;
	groups->bytes = bytes;
	groups->n = n;
	r = fill(dev, groups);
	if (r) {
		segment_private_unmap(groups, bytes);
		return r;
	}
	pthread_mutex_init(&groups->lock, NULL);
	pthread_cond_init(&groups->changed, NULL);
	dev->groups = groups;
	return 0;
}

void groups_close(struct zsblk *dev)
{
	struct groups *groups = dev->groups;

	entries_close(&dev->entries);
	segment_private_unmap(dev->given_up, given_up_bytes(dev));
	if (!groups)
		return;
	pthread_cond_destroy(&groups->changed);
	pthread_mutex_destroy(&groups->lock);
	segment_private_unmap(groups, groups->bytes);
	dev->groups = NULL;
}

uint64_t groups_private_resident(const struct zsblk *dev)
{
	const struct groups *groups = dev->groups;

	if (!groups)
		return 0;
	return segment_private_resident(groups, groups->bytes) + entries_private_resident(&dev->entries) +
	       segment_private_resident(dev->given_up, given_up_bytes(dev));
}

/* ------------------------------------------------------------------ the cache; `lock` is held */

static struct groups_slot *find_slot(struct groups *groups, uint32_t entry)
{
	for (unsigned i = 0; i < GROUPS_CACHED; i++)
		if (groups->slots[i].entry == entry)
			return &groups->slots[i];
	return NULL;
}

/* The slot that was used longest ago, of those that nobody uses now. NULL: all are in use. */
static struct groups_slot *oldest_slot(struct groups *groups)
{
	struct groups_slot *oldest = NULL;

	for (unsigned i = 0; i < GROUPS_CACHED; i++) {
		struct groups_slot *slot = &groups->slots[i];

		if (!slot->users && !slot->is_filling && (!oldest || slot->used < oldest->used))
			oldest = slot;
	}
	return oldest;
}

static struct groups_decoder *free_decoder(struct groups *groups)
{
	for (unsigned i = 0; i < groups->n; i++)
		if (!groups->decoders[i].is_busy)
			return &groups->decoders[i];
	return NULL;
}

/*
 * Find a slot that has the block, or one in which to decode it, with *decoder then. NULL: wait for what others do, and try
 * again.
 */
static struct groups_slot *choose(struct groups *groups, const struct word_shared *shared,
				  struct groups_decoder **decoder)
{
	struct groups_slot *slot = find_slot(groups, shared->entry);

	*decoder = NULL;
	if (slot && slot->is_filling)
		return NULL;
	/* Who comes after a reader that waits for the rest of the group waits, too: otherwise that one might wait for ever. */
	if (slot && slot->done > shared->place)
		return slot->is_awaited ? NULL : slot;
	/* It was decoded, and not far enough. Those that copy from it have to be done first. */
	if (slot)
		slot->is_awaited = true;
	if (slot && slot->users)
		return NULL;
	if (!slot)
		slot = oldest_slot(groups);
	*decoder = slot ? free_decoder(groups) : NULL;
	return *decoder ? slot : NULL;
}

/* Decode the group into the slot. The lock is released meanwhile. */
static int fill_slot(struct zsblk *dev, struct groups_slot *slot, struct groups_decoder *decoder,
		     struct word_shared shared)
{
	struct groups *groups = dev->groups;
	/* It was asked for once and not far enough: now all of it. */
	bool again = slot->entry == shared.entry && slot->done;
	uint8_t asked = shared.place;
	unsigned done = 0;
	int r;

	if (again)
		shared.place = (uint8_t)(shared.n - 1);
	slot->entry = shared.entry;
	slot->is_filling = decoder->is_busy = true;
	slot->is_awaited = false;
	slot->done = 0;
	pthread_mutex_unlock(&groups->lock);
	r = groups_decode(dev, decoder, &shared, slot->blocks, &done);
	if (r && shared.place != asked) {
		/* What is damaged may lie behind the block that was asked for. */
		shared.place = asked;
		r = groups_decode(dev, decoder, &shared, slot->blocks, &done);
	}
	pthread_mutex_lock(&groups->lock);
	slot->is_filling = decoder->is_busy = false;
	slot->done = r ? 0 : done;
	if (r)
		slot->entry = NOTHING;
	pthread_cond_broadcast(&groups->changed);
	return r;
}

static void copy_out(struct groups *groups, struct groups_slot *slot, size_t at, unsigned len, uint8_t *out)
{
	slot->used = ++groups->clock;
	slot->users++;
	pthread_mutex_unlock(&groups->lock);
	memcpy(out, slot->blocks + at, len);
	pthread_mutex_lock(&groups->lock);
	if (!--slot->users)
		pthread_cond_broadcast(&groups->changed);
}

int groups_fetch(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out,
		 bool *cached)
{
	struct word_shared shared = word_shared(word);
	struct groups *groups = dev->groups;
	struct groups_decoder *decoder;
	struct groups_slot *slot;
	int r = 0;

	pthread_mutex_lock(&groups->lock);
	while (!(slot = choose(groups, &shared, &decoder)))
		pthread_cond_wait(&groups->changed, &groups->lock);
	*cached = !decoder;
	if (decoder) {
		count(&ctx->count.cold_decodes, 1);
		r = fill_slot(dev, slot, decoder, shared);
	}
	if (!r)
		copy_out(groups, slot, (size_t)shared.place * BLOCK + from, len, out);
	pthread_mutex_unlock(&groups->lock);
	return r;
}

void groups_forget(struct zsblk *dev, uint32_t entry)
{
	struct groups *groups = dev->groups;
	struct groups_slot *slot;

	pthread_mutex_lock(&groups->lock);
	slot = find_slot(groups, entry);
	/* Whoever uses a slot has its entry pinned. */
	if (slot)
		slot->entry = NOTHING;
	pthread_mutex_unlock(&groups->lock);
}

/* ------------------------------------------------------------------ which blocks come out */

/* Two reads of a block within so many seconds make it one that is used. */
#define USED_AGAIN_S 60u

/*
 * The rule. A block that is read stays in its group: it was cold, and one read does not tell that it is so no more. It comes out
 * when it was read from the group within the last minute already, and the group had to be decoded for it once more. So a look at
 * everything, once, takes nothing out; what is asked for again and again costs two decodes at most; and blocks of a group
 * that are all read together are served by the cache.
 */
static bool comes_out(bool used_lately, bool read_before, bool cached)
{
	return used_lately && read_before && !cached;
}

static bool is_used_lately(const struct zsblk *dev, uint64_t block)
{
	uint64_t seconds = 0;
	bool idle;

	return ages_look_held(&dev->ages, block, &seconds, &idle) && seconds < USED_AGAIN_S;
}

/* Store a block that was read as an object of its own. It stays in the group where there is no room for that. */
static void take_out(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word, const uint8_t *data)
{
	uint64_t now;
	bool done;

	if (sector_store(dev, ctx, block, data, &now))
		return;
	stripe_lock(dev, block);
	/* The entry is pinned, so nothing but the same group can have the same word. */
	done = word_unmark(table_load(&dev->table, block)) == word_unmark(word);
	if (done)
		word = sector_publish(dev, ctx, block, now);
	stripe_unlock(dev, block);
	sector_drop(dev, done ? word : now);
}

int groups_read(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word, unsigned from, unsigned len,
		uint8_t *out)
{
	struct word_shared shared = word_shared(word);
	bool lately = is_used_lately(dev, block), before, cached;
	uint8_t *whole = out;
	int r;

	entries_pin(dev, shared.entry);
	ages_touch(&dev->ages, block);
	stripe_unlock(dev, block);
	count(&ctx->count.cold_reads, 1);
	r = groups_fetch(dev, ctx, word, from, len, out, &cached);
	before = entries_note_read(dev, shared.entry, shared.place);
	if (!r && comes_out(lately, before, cached)) {
		bool ignored;

		if (len < BLOCK)
			whole = ctx->block;
		if (len == BLOCK || !groups_fetch(dev, ctx, word, 0, BLOCK, whole, &ignored))
			take_out(dev, ctx, block, word, whole);
	}
	entries_unpin(dev, shared.entry);
	return r;
}

/* ------------------------------------------------------------------ check */

const char *groups_check(struct zsblk *dev, uint64_t block, uint64_t word)
{
	struct word_shared shared = word_shared(word);
	struct groups *groups = dev->groups;
	struct groups_decoder *decoder;
	unsigned done;
	int r;

	entries_pin(dev, shared.entry);
	stripe_unlock(dev, block);
	shared.place = (uint8_t)(shared.n - 1);
	pthread_mutex_lock(&groups->lock);
	while (groups->is_checking || !(decoder = free_decoder(groups)))
		pthread_cond_wait(&groups->changed, &groups->lock);
	groups->is_checking = decoder->is_busy = true;
	pthread_mutex_unlock(&groups->lock);
	/* From the pool, and not what the cache has of it: the bytes may have been damaged since. */
	r = groups_decode(dev, decoder, &shared, groups->checked, &done);
	pthread_mutex_lock(&groups->lock);
	groups->is_checking = decoder->is_busy = false;
	pthread_cond_broadcast(&groups->changed);
	pthread_mutex_unlock(&groups->lock);
	entries_unpin(dev, shared.entry);
	return r ? "its group is not what its codec has made" : NULL;
}
