/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes on beside the requests of the engine's model, in one thread: compaction, recompression, groups, other sizes and
 * algorithms, idle blocks, and marks. As long as a word has its mark, nothing may have happened to its block.
 */
#include "engine_model.h"

#include "codec/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

atomic_bool beside_stop;
static unsigned long marks_made, marks_kept, switches_made;

/* ------------------------------------------------------------------ another size */

/* The first byte that is not 0 from `at` on, or the end. */
static uint64_t first_data(uint64_t at)
{
	while (at < opt.params.max_size && !truth[at])
		at++;
	return at;
}

static void resize(struct worker *w)
{
	uint64_t old = zsblk_size(dev);
	struct zsblk_why why;
	int r, expected;

	w->op = "resize";
	w->off = opt.params.size + random_below(&w->random, (opt.params.max_size - opt.params.size) / 4096 + 1) * 4096;
	expected = first_data(w->off) < opt.params.max_size ? -ENOTEMPTY : 0;
	r = zsblk_resize(dev, w->off, &why);
	if (r != expected)
		die(w, "%d, and not %d: %s", r, expected, why.text);
	if (zsblk_size(dev) != (r ? old : w->off))
		die(w, "the device has %" PRIu64 " bytes", zsblk_size(dev));
}

/* Write to, or discard, a block behind the regions, inside or outside of the device. */
static void change_tail(struct worker *w)
{
	uint64_t size = zsblk_size(dev);
	int r;

	w->off = opt.params.size + random_below(&w->random, (opt.params.max_size - opt.params.size) / 4096) * 4096;
	w->n = 4096;
	w->op = "write behind the regions";
	if (w->off < size) {
		if (random_below(&w->random, 3))
			do_clear(w, true);
		else
			do_write(w);
		do_read(w);
		return;
	}
	memset(w->data, 0x5a, w->n);
	r = zsblk_write(dev, w->data, w->n, w->off);
	if (r != -EINVAL)
		die(w, "%d behind the end at %" PRIu64, r, size);
}

/* ------------------------------------------------------------------ another algorithm */

/* At levels that do not take long. */
static void change_algorithm(struct worker *w)
{
	static const struct {
		const char *name;
		int lowest, levels;
	} choices[] = {{"lz4", 1, 30}, {"lz4hc", 1, 6}, {"zstd", -20, 26}, {"lzma", 0, 4}};
	unsigned i = (unsigned)random_below(&w->random, COUNT_OF(choices) - !CODEC_HAS_LZMA);
	int level = choices[i].lowest + (int)random_below(&w->random, (uint64_t)choices[i].levels);
	struct zsblk_why why;

	if (zsblk_set_algorithm(dev, choices[i].name, true, level, &why))
		die(NULL, "%s", why.text);
	if (strcmp(zsblk_algorithm_name(dev), choices[i].name) != 0 || zsblk_level(dev) != level)
		die(NULL, "another algorithm than was asked for");
	switches_made++;
}

/* The reserve, and a limit, if there is one, of half of it at least. */
static void change_memory(struct worker *w)
{
	uint64_t most = opt.params.mem_limit;

	if (most)
		zsblk_set_mem_limit(dev, most - random_below(&w->random, most / 2));
	(void)zsblk_set_reserve(dev, random_below(&w->random, 2000000), NULL);
}

/* ------------------------------------------------------------------ marks */

#define MARKS 64

struct marked {
	uint64_t block, word; /* word 0: none */
	uint8_t bytes[4096];
};

static struct marked marks[MARKS];

/* A second mark on the block would look like the first one, which a write may have taken away meanwhile. */
static bool is_worked_on(uint64_t block)
{
	for (unsigned i = 0; i < MARKS; i++)
		if (marks[i].word && marks[i].block == block)
			return true;
	return false;
}

static void load_held(struct worker *w, struct context *ctx, uint64_t word, uint8_t *bytes)
{
	if (sector_load(dev, ctx, word, 0, 4096, bytes))
		die(w, "the object cannot be read");
}

/* As somebody does who is about to work on the object without holding its block. */
static void mark(struct worker *w, struct marked *m)
{
	struct context *ctx = context_get(&dev->contexts);
	uint64_t word;

	m->word = 0;
	m->block = random_below(&w->random, zsblk_size(dev) / 4096);
	stripe_lock(dev, m->block);
	word = table_load(&dev->table, m->block);
	if ((word_type(word) == WORD_OBJECT || word_type(word) == WORD_SAME64) && !is_worked_on(m->block)) {
		if (word_is_marked(word))
			die(w, "block %" PRIu64 " was marked by nobody", m->block);
		m->word = word_mark(word);
		table_store(&dev->table, m->block, m->word);
		load_held(w, ctx, m->word, m->bytes);
	}
	stripe_unlock(dev, m->block);
	context_put(&dev->contexts, ctx);
}

/* The work is done. Has anything happened meanwhile? Returns whether the mark was still there. */
static bool look_for_mark(struct worker *w, const struct marked *m)
{
	struct context *ctx = context_get(&dev->contexts);
	bool found;

	w->op = "look for the mark";
	w->off = m->block * 4096;
	stripe_lock(dev, m->block);
	found = m->word && table_load(&dev->table, m->block) == m->word;
	if (found) {
		load_held(w, ctx, m->word, w->check);
		compare(w, w->check, m->bytes, w->off, 4096);
		table_store(&dev->table, m->block, word_unmark(m->word));
	}
	stripe_unlock(dev, m->block);
	context_put(&dev->contexts, ctx);
	return found;
}

/* ------------------------------------------------------------------ beside them */

static void mark_idle(uint64_t *random)
{
	struct zsblk_age_range ranges[] = {{.from_s = 0}, {.from_s = 1}, {.from_s = 10}};
	uint64_t marked;

	if (zsblk_mark_idle(dev, random_below(random, 3), &marked) || zsblk_ages(dev, ranges, 3))
		die(NULL, "marking failed");
	if (ranges[0].blocks + ranges[1].blocks + ranges[2].blocks > zsblk_max_size(dev) / 4096)
		die(NULL, "more blocks than there are");
}

/* ------------------------------------------------------------------ recompression */

static uint64_t recompressed;

/*
 * Some steps, or all of them, with a type and an algorithm at random. Words that have a mark are left alone: another
 * worker is at work on their blocks.
 */
static void recompress(uint64_t *random)
{
	static const char *const algorithms[] = {NULL, "lz4", "lz4hc", "zstd", "lzma"};
	struct zsblk_recompress what = {
		.type = (enum zsblk_recompress_type)random_below(random, 4),
		.algorithm = algorithms[random_below(random, COUNT_OF(algorithms) - !CODEC_HAS_LZMA)],
		.has_level = true,
		.level = (int)random_below(random, 6) + 1,
		.threshold = random_below(random, 3) ? 0 : random_below(random, 4097),
		.max_pages = random_below(random, 3) ? 0 : random_below(random, 50),
	};
	uint64_t steps = random_below(random, 200);
	struct zsblk_recompress_figures figures;
	struct zsblk_recompression *job;
	struct zsblk_why why;
	bool more = true;

	if (zsblk_recompress_begin(dev, &what, &job, &why))
		die(NULL, "%s", why.text);
	while (more && steps--)
		if (zsblk_recompress_step(job, &figures, &more))
			die(NULL, "a step failed");
	zsblk_recompress_end(job);
}

/* ------------------------------------------------------------------ groups */

static uint64_t grouped, cold_reads, cold_decodes, regrouped;

/* Some steps, or all of them. The range is that of the regions: what is behind comes and goes. */
static void make_groups(const struct zsblk_group_what *what, uint64_t steps)
{
	struct zsblk_group_figures figures = {0};
	struct zsblk_grouping *job;
	struct zsblk_why why;
	bool more = true;

	if (zsblk_group_begin(dev, what, &job, &why))
		die(NULL, "%s", why.text);
	while (more && steps--)
		if (zsblk_group_step(job, &figures, &more))
			die(NULL, "a step failed");
	zsblk_group_end(job);
	if (figures.blocks > GROUP_BLOCKS * figures.groups)
		die(NULL, "%" PRIu64 " blocks in %" PRIu64 " groups", figures.blocks, figures.groups);
	grouped += figures.blocks;
}

static void group(uint64_t *random)
{
	uint64_t blocks = opt.params.size / 4096, first = random_below(random, blocks);
	struct zsblk_group_what what = {
		.has_level = true,
		.level = (int)random_below(random, 5) + 1,
		.older_than_s = random_below(random, 4) ? 0 : random_below(random, 2),
		.max_groups = random_below(random, 3) ? 0 : random_below(random, 10),
		.again = random_below(random, 2),
		.first = random_below(random, 2) ? 0 : first,
	};

	if (random_below(random, 2))
		what.blocks = random_below(random, blocks - what.first);
	make_groups(&what, random_below(random, 100));
}

void beside_group_all(void)
{
	struct zsblk_group_what what = {.has_level = true, .level = 1};

	make_groups(&what, UINT64_MAX);
}

/* ------------------------------------------------------------------ the backing store */

static uint64_t spilled;
static struct zsblk_spill_stats store;

/* Some steps, or all of them. The store has less room than there are blocks. */
static void spill(const struct zsblk_spill_what *what, uint64_t steps)
{
	struct zsblk_spill_figures figures = {0};
	struct zsblk_spilling *job;
	struct zsblk_why why;
	bool more = true;

	if (zsblk_spill_begin(dev, what, &job, &why))
		die(NULL, "%s", why.text);
	while (more && steps--) {
		int r = zsblk_spill_step(job, &figures, &more);

		if (r && r != -ENOSPC)
			die(NULL, "a step failed: %s", strerror(-r));
	}
	zsblk_spill_end(job);
	spilled += figures.blocks;
}

static void spill_some(uint64_t *random)
{
	struct zsblk_spill_what what = {
		.older_than_s = random_below(random, 4) ? 0 : random_below(random, 2),
		.idle = random_below(random, 4) == 0,
		.huge = random_below(random, 4) == 0,
		.max_blocks = random_below(random, 3) ? 0 : random_below(random, 100),
	};
	bool more = true;

	spill(&what, random_below(random, 20));
	for (uint64_t steps = random_below(random, 4); more && steps; steps--) {
		int r = zsblk_spill_clean_step(dev, &more);

		if (r && r != -ENOSPC)
			die(NULL, "cleaning failed: %s", strerror(-r));
	}
}

void beside_spill_all(void)
{
	const struct zsblk_spill_what all = {0};

	if (opt.folder[0])
		spill(&all, UINT64_MAX);
}

/* One thing that goes on in the background. */
static void work_once(uint64_t *random)
{
	struct zsblk_stats stats;
	bool more;

	if (opt.folder[0] && random_below(random, 2)) {
		spill_some(random);
		return;
	}
	switch (random_below(random, 8)) {
	case 0:
		zsblk_compact(dev);
		break;
	case 2:
		mark_idle(random);
		break;
	case 3:
		recompress(random);
		break;
	case 4:
	case 5:
		group(random);
		break;
	case 1:
		zsblk_get_stats(dev, &stats);
		break;
	default:
		zsblk_compact_step(dev, &more);
	}
}

void *beside_run(void *opaque)
{
	uint64_t random = opt.seed ^ 0x5eed;
	struct worker tail = {.random = random, .data = malloc(4096), .check = malloc(4096)};
	struct zsblk_stats stats;

	(void)opaque;
	while (!atomic_load(&beside_stop)) {
		for (unsigned i = 0; opt.params.max_size && i < 20; i++, tail.step++)
			if (random_below(&random, 2))
				resize(&tail);
			else
				change_tail(&tail);
		for (unsigned i = 0; i < MARKS; i += 1 + (unsigned)random_below(&random, 8)) {
			marks_kept += look_for_mark(&tail, &marks[i]);
			mark(&tail, &marks[i]);
			marks_made += marks[i].word != 0;
		}
		if (opt.switches) {
			change_algorithm(&tail);
			change_memory(&tail);
		}
		work_once(&random);
		usleep((unsigned)random_below(&random, 300));
	}
	zsblk_get_stats(dev, &stats);
	recompressed = stats.recompressed;
	cold_reads = stats.cold_reads;
	cold_decodes = stats.cold_decodes;
	regrouped = stats.regrouped;
	zsblk_spill_get_stats(dev, &store);
	free(tail.data);
	free(tail.check);
	return NULL;
}

void beside_print(void)
{
	printf("# %lu blocks were marked, and nothing happened to %lu of them for a while\n", marks_made, marks_kept);
	printf("# %" PRIu64 " blocks were recompressed\n", recompressed);
	printf("# %" PRIu64 " blocks were put into groups, %" PRIu64 " of them out of others; %" PRIu64
	       " reads of them took %" PRIu64 " decodes\n",
	       grouped, regrouped, cold_reads, cold_decodes);
	if (opt.folder[0])
		printf("# %" PRIu64 " blocks went to the backing store, %" PRIu64 " were read there, %" PRIu64
		       " came back\n",
		       spilled, store.bd_reads, store.returned);
	if (opt.switches)
		printf("# the algorithm changed %lu times\n", switches_made);
}
