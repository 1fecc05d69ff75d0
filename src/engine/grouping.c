/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making groups: cold blocks that are neighbours become one object.
 *
 *   look for up to 16 blocks --> mark, copy | decompress, compress together | store the group --> replace each word that
 *   within 64                   '-- stripe -'                                                     still has its mark
 *                                                                                                 '-- stripe ----------'
 * Invariants
 *   1 a group is stored only if it takes less memory than what it replaces, all in, and is complete before the first word
 *     names it (I2): the entries are stored from the last to the first, then the words;
 *   2 a write, a discard or a move in between wins: the block does not come into the group (rework.h);
 *   3 between two steps no word has a mark, and no entry is counted by this job.
 *
 * The blocks of a group half of whose blocks are gone are looked for as if they were by themselves, and so come into
 * another group. A group of a weaker algorithm is made anew as a whole, if that is asked for.
 *
 * At the limit the group is stored all the same; room.h says how much memory the work holds at most.
 *
 * What gained nothing is noted in process memory, two bytes for each block: a hash of its word. So blocks that do not compress are
 * not tried over and over. A block that is written again is tried again, but for one in 32,768 words that have the same hash, and for
 * an object of the same size in the same slot, which has the same word.
 *
 * Locks: recompress_lock is held during a step.
 */
#include "engine/grouping.h"

#include "engine/entries.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* A step looks at so many words at most, some 10 us, if none of them is to be put into a group. */
#define LOOK              4096u
#define DEFAULT_ALGORITHM "zstd"

/* ------------------------------------------------------------------ life */

static int check(const struct zsblk *dev, const struct zsblk_group_what *what, const char *algorithm,
		 struct zsblk_why *why)
{
	uint64_t blocks = zsblk_size(dev) / BLOCK;
	int r = params_check_algorithm(algorithm, what->has_level, what->level, why);

	if (r)
		return r;
	if (!group_is_possible(codec_by_name(algorithm)))
		return why_fail(why, -EINVAL, "groups cannot be made with algorithm=%s; use zstd%s", algorithm,
				codec_by_id(CODEC_LZMA) ? " or lzma" : "");
	if (what->first > blocks || what->blocks > blocks - what->first)
		return why_fail(why, -EINVAL,
				"first=%" PRIu64 " blocks=%" PRIu64 " is not in the device, which has %" PRIu64
				" blocks",
				what->first, what->blocks, blocks);
	return dev->table.n > dev->layout.max_blocks
		       ? 0
		       : why_fail(
				 why, -ENOTSUP,
				 "the segment has no room for groups: it was made by an older version, or the device has "
				 "the most blocks that there can be");
}

/* Where the parts of the job's memory are: this struct, then decoders, buffers, the compression context. */
static size_t job_bytes(const struct codec *codec, int level)
{
	return sizeof(struct zsblk_grouping) + context_decoder_bytes() + groups_decoder_bytes() +
	       3 * (size_t)GROUP_BYTES + group_cctx_size(codec, level);
}

static int make_coders(struct zsblk_grouping *job)
{
	uint8_t *mem = (uint8_t *)(job + 1);
	int r = context_make_decoders(&job->ctx, mem);

	mem += context_decoder_bytes();
	if (!r)
		r = groups_make_decoder(&job->decoder, mem);
	mem += groups_decoder_bytes();
	job->blocks = mem;
	job->bytes = mem + GROUP_BYTES;
	job->old = mem + 2 * (size_t)GROUP_BYTES;
	job->cctx = mem + 3 * (size_t)GROUP_BYTES;
	return r ? r : group_cctx_init(job->codec, job->cctx, group_cctx_size(job->codec, job->level), job->level);
}

/* What compresses blocks that are taken out of groups: as new ones are. */
static int make_encoder(struct zsblk_grouping *job)
{
	struct zsblk *dev = job->dev;
	int r = encoder_map(&job->encoder, 1, atomic_load(&dev->codec), zsblk_level(dev));

	if (!r)
		r = upkeep_populate_private(dev, job->encoder.mem, job->encoder.bytes);
	if (!r)
		r = encoder_init(&job->encoder, 1);
	if (r)
		return r;
	atomic_store(&job->ctx.encoder, &job->encoder);
	job->ctx.cctx = encoder_cctx(&job->encoder, 0);
	encoder_warm_up(&job->encoder, 0, &job->ctx);
	return 0;
}

/* What the device has for groups from now on. */
static int prepare_device(struct zsblk *dev)
{
	int r;

	pthread_mutex_lock(&dev->recompress_lock);
	r = groups_prepare(dev);
	if (!r && !dev->given_up)
		dev->given_up = segment_private_map(given_up_bytes(dev));
	pthread_mutex_unlock(&dev->recompress_lock);
	return r ? r : dev->given_up ? 0 : -ENOMEM;
}

static void release(struct zsblk_grouping *job)
{
	room_close(&job->room);
	encoder_free(&job->encoder);
	segment_private_unmap(job, job->bytes_of_job);
}

/* With change_lock. */
static int make(struct zsblk *dev, const struct codec *codec, int level, struct zsblk_grouping **result)
{
	size_t bytes = job_bytes(codec, level);
	struct zsblk_grouping *job = segment_private_map(bytes);
	int r;

	if (!job)
		return -ENOMEM;
	job->bytes_of_job = bytes;
	job->dev = dev;
	job->codec = codec;
	job->level = level;
	room_open(&job->room, dev);
	r = upkeep_populate_private(dev, job, bytes);
	if (!r)
		r = make_coders(job);
	if (!r)
		r = make_encoder(job);
	if (!r)
		r = prepare_device(dev);
	if (!r)
		r = codecs_begin(dev, codec);
	if (r)
		release(job);
	else
		*result = job;
	return r;
}

/* Make this one the device's. */
static void install(struct zsblk *dev, struct zsblk_grouping *job)
{
	pthread_mutex_lock(&dev->recompress_lock);
	dev->grouping = job;
	pthread_mutex_unlock(&dev->recompress_lock);
}

int zsblk_group_begin(struct zsblk *dev, const struct zsblk_group_what *what, struct zsblk_grouping **result,
		      struct zsblk_why *why)
{
	const char *algorithm = what->algorithm ? what->algorithm : DEFAULT_ALGORITHM;
	int r = check(dev, what, algorithm, why), level;
	struct zsblk_grouping *job = NULL;
	const struct codec *codec;
	bool is_busy;

	*result = NULL;
	if (r)
		return r;
	codec = codec_by_name(algorithm);
	level = what->has_level ? what->level : codec->level_default;
	pthread_mutex_lock(&dev->change_lock);
	r = engine_may_begin(dev, why);
	is_busy = r != 0;
	if (!r)
		r = make(dev, codec, level, &job);
	if (!r) {
		job->what = *what;
		job->block = what->first;
		job->end = what->blocks ? what->first + what->blocks : UINT64_MAX;
		install(dev, job);
	}
	pthread_mutex_unlock(&dev->change_lock);
	if (r)
		return is_busy ? r : encoder_explain(r, algorithm, level, why);
	*result = job;
	return 0;
}

void zsblk_group_end(struct zsblk_grouping *job)
{
	struct zsblk *dev;

	if (!job)
		return;
	dev = job->dev;
	pthread_mutex_lock(&dev->recompress_lock);
	room_give_back(&job->room);
	dev->grouping = NULL;
	entries_settle(dev);
	pthread_mutex_unlock(&dev->recompress_lock);
	release(job);
}

/* ------------------------------------------------------------------ which blocks */

static bool is_old(const struct zsblk_grouping *job, uint64_t block)
{
	uint64_t seconds = 0;
	bool idle;

	/* Nothing is known of a block that has no age: it counts as new. */
	ages_look(&job->dev->ages, block, &seconds, &idle);
	return seconds >= job->what.older_than_s;
}

/* Half of the blocks of its group are gone, or more. */
static bool is_left_over(const struct zsblk_grouping *job, uint64_t word)
{
	struct word_shared shared = word_shared(word);

	return entries_count(job->dev, shared.entry) * 2 <= shared.n;
}

static bool is_weaker(const struct zsblk_grouping *job, uint64_t word)
{
	unsigned codec = CODEC_IDS;

	return job->what.again && !is_left_over(job, word) && entries_look(job->dev, word_shared(word).entry, &codec) &&
	       codec < job->codec->id;
}

static bool is_wanted(const struct zsblk_grouping *job, uint64_t block, uint64_t word)
{
	if (sector_is_shared(word) ? !is_left_over(job, word) : !sector_is_single(word))
		return false;
	return !word_is_marked(word) && !grouping_was_given_up(job, block, word) && is_old(job, block);
}

static void add(struct zsblk_grouping *job, uint64_t block, uint64_t word)
{
	job->found[job->n++] = (struct grouping_block){.block = block, .word = word};
}

/*
 * A group of a weaker algorithm, of which this is the first block: make it anew, if all of its blocks are old enough. What was
 * found before stays for later.
 */
static bool find_weaker(struct zsblk_grouping *job, uint64_t block, uint64_t word)
{
	struct zsblk *dev = job->dev;
	uint64_t from = block < GROUPING_SPAN ? 0 : block - GROUPING_SPAN, end = block + GROUPING_SPAN;
	uint32_t entry = word_shared(word).entry;

	end = end < zsblk_size(dev) / BLOCK ? end : zsblk_size(dev) / BLOCK;
	job->n = 0;
	for (uint64_t at = from; at < end && job->n < GROUP_BLOCKS; at++) {
		uint64_t now = table_load(&dev->table, at);

		if (!sector_is_shared(now) || word_shared(now).entry != entry)
			continue;
		if (at < block || word_is_marked(now) || grouping_was_given_up(job, at, now) || !is_old(job, at))
			return false;
		add(job, at, now);
	}
	return job->n == entries_count(dev, entry);
}

/* Make it in the place of those that were found so far, which are put back. False: try again, with more room. */
static bool make_anew(struct zsblk_grouping *job, uint64_t block, uint64_t word)
{
	struct grouping_block kept[GROUP_BLOCKS];
	unsigned n = job->n;
	bool done = true;

	memcpy(kept, job->found, sizeof kept);
	job->is_anew = true;
	if (find_weaker(job, block, word))
		done = grouping_make(job);
	job->is_anew = false;
	memcpy(job->found, kept, sizeof kept);
	job->n = n;
	return done;
}

/* They may have changed since they were found, or moved. */
static void look_again(struct zsblk_grouping *job)
{
	unsigned n = job->n;

	job->n = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t block = job->found[i].block, word = table_load(&job->dev->table, block);

		if (is_wanted(job, block, word))
			add(job, block, word);
	}
}

static bool is_complete(const struct zsblk_grouping *job, uint64_t end)
{
	return job->n == GROUP_BLOCKS || job->block >= end ||
	       (job->n && job->block >= job->found[0].block + GROUPING_SPAN);
}

/* Look at the next words for blocks of the next group. True: it can be made. */
static bool find_next(struct zsblk_grouping *job, uint64_t end)
{
	struct zsblk *dev = job->dev;

	for (unsigned i = 0; i < LOOK; i++, job->block++) {
		uint64_t word;

		job->block = table_next_written(&dev->table, job->block, end);
		if (is_complete(job, end))
			return true;
		word = table_load(&dev->table, job->block);
		if (sector_is_shared(word) && is_weaker(job, word)) {
			/* A step makes one group at most. */
			job->block += make_anew(job, job->block, word);
			return false;
		}
		if (is_wanted(job, job->block, word))
			add(job, job->block, word);
	}
	return false;
}

/* ------------------------------------------------------------------ counting */

/* Is it worth a try to make a group of those that were found? One block alone is none, but may be taken out of a group of its own. */
static bool can_be_tried(const struct zsblk_grouping *job)
{
	uint64_t word = job->n ? job->found[0].word : 0;

	return job->n > 1 || (sector_is_shared(word) && entries_count(job->dev, word_shared(word).entry) == 1);
}

/* The group of a weaker algorithm, of which this is the first block. What was found before stays. */
static bool can_be_made_anew(struct zsblk_grouping *job, uint64_t block, uint64_t word)
{
	struct grouping_block kept[GROUP_BLOCKS];
	unsigned n = job->n;
	bool can;

	memcpy(kept, job->found, sizeof kept);
	can = find_weaker(job, block, word);
	memcpy(job->found, kept, sizeof kept);
	job->n = n;
	return can;
}

/* Look at the next words, as find_next() does. Returns how many groups can be tried. */
static uint64_t count_next(struct zsblk_grouping *job, uint64_t end)
{
	struct zsblk *dev = job->dev;
	uint64_t groups = 0;

	for (unsigned i = 0; i < LOOK; i++, job->block++) {
		uint64_t word;

		job->block = table_next_written(&dev->table, job->block, end);
		if (is_complete(job, end)) {
			groups += can_be_tried(job);
			job->n = 0;
		}
		if (job->block >= end)
			break;
		word = table_load(&dev->table, job->block);
		/* The table may be damaged: a job would find that out. */
		if (sector_is_shared(word) && !entries_has(dev, word))
			continue;
		if (sector_is_shared(word) && is_weaker(job, word))
			groups += can_be_made_anew(job, job->block, word);
		else if (is_wanted(job, job->block, word))
			add(job, job->block, word);
	}
	return groups;
}

int zsblk_group_count(struct zsblk *dev, const struct zsblk_group_what *what, uint64_t most, uint64_t *groups,
		      struct zsblk_why *why)
{
	const char *algorithm = what->algorithm ? what->algorithm : DEFAULT_ALGORITHM;
	int r = check(dev, what, algorithm, why);
	struct zsblk_grouping *job; /* too large for the stack */
	uint64_t found = 0;
	bool more = true;

	if (r)
		return r;
	job = segment_private_map(sizeof *job);
	if (!job)
		return why_fail(why, -ENOMEM, "there is no memory to look for blocks that groups can be made of");
	job->dev = dev;
	job->what = *what;
	job->codec = codec_by_name(algorithm);
	job->block = what->first;
	job->end = what->blocks ? what->first + what->blocks : UINT64_MAX;
	while (more && found < most) {
		uint64_t end;

		pthread_mutex_lock(&dev->recompress_lock);
		end = zsblk_size(dev) / BLOCK;
		end = end < job->end ? end : job->end;
		found += count_next(job, end);
		more = job->block < end;
		pthread_mutex_unlock(&dev->recompress_lock);
	}
	segment_private_unmap(job, sizeof *job);
	*groups = found < most ? found : most;
	return 0;
}

/* ------------------------------------------------------------------ steps */

static void make_room_step(struct zsblk_grouping *job)
{
	room_step(&job->room);
	if (!job->room.is_made)
		look_again(job);
}

static bool is_at_end(const struct zsblk_grouping *job, uint64_t end)
{
	return job->is_over || (job->block >= end && !job->n) ||
	       (job->what.max_groups && job->figures.groups >= job->what.max_groups);
}

/* Make the next group, if its blocks are among the next LOOK words. */
static void make_next(struct zsblk_grouping *job, uint64_t end)
{
	if (!find_next(job, end))
		return;
	if (grouping_make(job))
		job->n = 0;
	else
		look_again(job);
}

/* Where the range ends now. The device may have become smaller than where it begins. */
static uint64_t end_of_range(const struct zsblk_grouping *job)
{
	uint64_t end = zsblk_size(job->dev) / BLOCK;

	end = end < job->end ? end : job->end;
	return end > job->what.first ? end : job->what.first;
}

int zsblk_group_step(struct zsblk_grouping *job, struct zsblk_group_figures *figures, bool *more)
{
	struct zsblk *dev = job->dev;
	uint64_t end;

	pthread_mutex_lock(&dev->recompress_lock);
	end = end_of_range(job);
	if (job->room.is_made)
		make_room_step(job);
	else if (!is_at_end(job, end))
		make_next(job, end);
	*more = !is_at_end(job, end) || job->room.is_made;
	/* What the last groups hold goes back before the job ends. */
	if (!*more && room_is_due(&job->room, true))
		*more = room_make(&job->room, job->figures.groups, 1);
	if (!*more)
		entries_settle(dev);
	job->figures.done = job->block < end ? job->block - job->what.first : end - job->what.first;
	job->figures.total = end - job->what.first;
	*figures = job->figures;
	pthread_mutex_unlock(&dev->recompress_lock);
	return 0;
}
