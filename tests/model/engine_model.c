/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine against a plain array that always tells the truth.
 *
 * Each thread owns a region of the device and of the array; regions begin and end in the middle of
 * blocks, so that neighbours share one. It does random requests of every kind in its region and
 * compares, and looks that no block is younger than its age says. Beside them one thread works on the device: engine_beside.c. With --fault, allocations fail;
 * a failed write leaves each block old or new. With --max-size, the same thread grows and shrinks the device behind the
 * regions, and has the blocks there. With --switch it changes algorithm, reserve and limit. With --spill blocks go to a backing store
 * in a file and come back. At the end every invariant is checked, and for a
 * shared segment everything once more after closing and opening it.
 *
 * A run is repeated with the seed it prints: engine_model --seed N and the same options. --memory
 * shm is a segment with a key of its own.
 */
#include "engine_model.h"

#include "engine/backing.h"
#include "lib/shm.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 16
#define MAX_REQUEST (40 * 1024)

struct model_options opt = {.ops = 20000, .threads = 2, .region = 600 * 4096 + 1234};

struct zsblk *dev;
uint8_t *truth;
static atomic_ulong refused; /* writes that failed, as they may when faults are injected or memory is limited */

void die(const struct worker *w, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "engine_model: --seed %" PRIu64 ": ", opt.seed);
	if (w)
		fprintf(stderr, "step %" PRIu64 ", %s of %" PRIu64 " bytes at %" PRIu64 ": ", w->step, w->op, w->n,
			w->off);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

void compare(const struct worker *w, const uint8_t *got, const uint8_t *want, uint64_t off, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (got[i] != want[i])
			die(w, "byte %" PRIu64 " (block %" PRIu64 "): is %02x, should be %02x", off + i,
			    (off + i) / 4096, got[i], want[i]);
}

void do_read(struct worker *w)
{
	int r = zsblk_read(dev, w->check, w->n, w->off);

	if (r)
		die(w, "%s", strerror(-r));
	compare(w, w->check, truth + w->off, w->off, w->n);
}

/* The request failed: each block of it is old, as in truth, or new, as in data. Find out. */
static void accept_either(struct worker *w, int error)
{
	int r;

	if (error != -ENOSPC && error != -ENOMEM)
		die(w, "%s", strerror(-error));
	if (!opt.fault && !opt.params.mem_limit)
		die(w, "out of space without a reason");
	atomic_fetch_add(&refused, 1);
	r = zsblk_read(dev, w->check, w->n, w->off);
	if (r)
		die(w, "reading what was left: %s", strerror(-r));
	for (uint64_t at = 0; at < w->n;) {
		uint64_t n = 4096 - (w->off + at) % 4096;

		n = n < w->n - at ? n : w->n - at;
		if (memcmp(w->check + at, w->data + at, n) != 0)
			compare(w, w->check + at, truth + w->off + at, w->off + at, n);
		at += n;
	}
	memcpy(truth + w->off, w->check, w->n);
}

void do_write(struct worker *w)
{
	int r;

	if (random_below(&w->random, 4) == 0)
		random_bytes(&w->random, w->data, w->n);
	else
		for (uint64_t at = 0; at < w->n; at += 4096)
			random_bytes(&w->random, w->data + at, w->n - at < 4096 ? w->n - at : 4096);
	r = zsblk_write(dev, w->data, w->n, w->off);
	if (r)
		accept_either(w, r);
	else
		memcpy(truth + w->off, w->data, w->n);
}

void do_clear(struct worker *w, bool discard)
{
	int r = discard ? zsblk_discard(dev, w->n, w->off) : zsblk_write_zeroes(dev, w->n, w->off);

	memset(w->data, 0, w->n);
	if (r)
		accept_either(w, r);
	else
		memset(truth + w->off, 0, w->n);
}

struct walk {
	struct worker *w;
	uint64_t at;
};

static int see_extent(void *opaque, uint64_t off, uint64_t n, bool hole)
{
	struct walk *walk = opaque;

	if (off != walk->at || n == 0)
		die(walk->w, "extent at %" PRIu64 ", expected at %" PRIu64, off, walk->at);
	walk->at += n;
	for (uint64_t i = off; hole && i < off + n; i++)
		if (truth[i])
			die(walk->w, "byte %" PRIu64 " is in a hole, but not 0", i);
	return 0;
}

static void do_extents(struct worker *w)
{
	struct walk walk = {w, w->off};
	int r = zsblk_extents(dev, w->n, w->off, see_extent, &walk);

	if (r || walk.at != w->off + w->n)
		die(w, "extents end at %" PRIu64 ": %d", walk.at, r);
}

/* Offset and length inside the region: often whole blocks, sometimes any bytes, sometimes single ones. */
static void choose_range(struct worker *w)
{
	uint64_t max = w->len < MAX_REQUEST ? w->len : MAX_REQUEST;

	w->n = random_below(&w->random, 3) ? 1 + random_below(&w->random, 3 * 4096) : 1 + random_below(&w->random, max);
	if (w->n > w->len)
		w->n = w->len;
	w->off = w->start + random_below(&w->random, w->len - w->n + 1);
	if (random_below(&w->random, 2)) {
		uint64_t first = (w->start + 4095) / 4096 * 4096, end = (w->off + w->n + 4095) / 4096 * 4096;

		w->off = w->off / 4096 * 4096 < first ? first : w->off / 4096 * 4096;
		if (end > w->start + w->len)
			end = (w->start + w->len) / 4096 * 4096;
		w->n = end > w->off ? end - w->off : 1;
		if (w->n > MAX_REQUEST)
			w->n = MAX_REQUEST;
	}
}

/* ------------------------------------------------------------------ ages */

static time_t *used; /* when each block was read or written, at least, by the thread that owns it */

static time_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/*
 * The blocks that this thread alone has, and that hold something, were used, at `start` or later. No block is younger than its
 * age says.
 */
static void compare_ages(const struct worker *w, time_t start, bool were_used)
{
	uint64_t first = (w->start + 4095) / 4096, end = (w->start + w->len) / 4096, seconds;
	bool idle;

	for (uint64_t block = w->off / 4096; block * 4096 < w->off + w->n; block++) {
		if (block < first || block >= end || !table_load(&dev->table, block))
			continue;
		if (were_used)
			used[block] = start;
		if (ages_look(&dev->ages, block, &seconds, &idle) && (time_t)seconds > now_seconds() - used[block] + 1)
			die(w, "block %" PRIu64 " has age %" PRIu64 ", and was used %ld s ago", block, seconds,
			    (long)(now_seconds() - used[block]));
	}
}

static void *work(void *opaque)
{
	struct worker *w = opaque;
	static const char *const names[] = {"write", "read", "discard", "write-zeroes", "extents"};

	for (w->step = 0; w->step < opt.ops; w->step++) {
		unsigned dice = (unsigned)random_below(&w->random, 20);
		unsigned op = dice < 9 ? 0 : dice < 16 ? 1 : dice < 18 ? 2 : dice < 19 ? 3 : 4;
		time_t start;

		choose_range(w);
		w->op = names[op];
		start = now_seconds();
		if (op == 0)
			do_write(w);
		else if (op == 1)
			do_read(w);
		else if (op < 4)
			do_clear(w, op == 2);
		else
			do_extents(w);
		compare_ages(w, start, op < 2);
	}
	return NULL;
}

/* ------------------------------------------------------------------ all of it */

/* How blocks are stored, one by one, is what is counted. */
static void check_blocks(const char *when, const struct zsblk_stats *stats)
{
	uint64_t size = 0, raw = 0, same = 0, stored = 0, cold = 0, spilled = 0;
	struct zsblk_spill_stats store;
	struct zsblk_block blocks[100];

	for (uint64_t next = 0; next < zsblk_size(dev) / 4096;) {
		unsigned n = zsblk_blocks(dev, next, blocks, COUNT_OF(blocks), &next);

		for (unsigned i = 0; i < n; i++) {
			/* The shares of blocks in groups are rounded. */
			if (blocks[i].state == ZSBLK_BLOCK_SPILLED) {
				spilled++;
				continue;
			}
			size += blocks[i].state == ZSBLK_BLOCK_COLD ? 0 : blocks[i].size;
			cold += blocks[i].state == ZSBLK_BLOCK_COLD;
			raw += blocks[i].state == ZSBLK_BLOCK_RAW;
			same += blocks[i].state == ZSBLK_BLOCK_SAME;
			stored += blocks[i].state != ZSBLK_BLOCK_SAME;
		}
	}
	if (size != stats->compr_data_size - stats->group_bytes || cold != stats->group_blocks ||
	    raw != stats->huge_pages || same != stats->same_pages || stored != stats->blocks_stored)
		die(NULL,
		    "%s: the blocks have %" PRIu64 " bytes, %" PRIu64 " are raw, %" PRIu64 " same-filled, %" PRIu64
		    " in groups",
		    when, size, raw, same, cold);
	zsblk_spill_get_stats(dev, &store);
	if (spilled != store.bd_count || (!spilled && store.live_bytes))
		die(NULL, "%s: %" PRIu64 " blocks in the backing store, in %" PRIu64 " bytes; counted %" PRIu64, when,
		    spilled, store.live_bytes, store.bd_count);
}

/* All that can be marked is, and nothing is once it was read. */
static void check_idle(void)
{
	struct zsblk_age_range all = {.from_s = 0};
	struct zsblk_stats stats;
	uint64_t marked;
	uint8_t block;

	zsblk_get_stats(dev, &stats);
	if (zsblk_mark_idle(dev, 0, &marked) || zsblk_ages(dev, &all, 1))
		die(NULL, "marking failed");
	if (all.idle != stats.blocks_stored || all.blocks * 4096 != stats.orig_data_size ||
	    all.bytes > stats.compr_data_size || all.bytes + stats.group_blocks < stats.compr_data_size)
		die(NULL, "%" PRIu64 " blocks are idle of %" PRIu64 ", in %" PRIu64 " bytes", all.idle, all.blocks,
		    all.bytes);
	for (uint64_t at = 0; at < zsblk_size(dev); at += 4096)
		if (zsblk_read(dev, &block, 1, at))
			die(NULL, "a block cannot be read");
	if (zsblk_ages(dev, &all, 1) || all.idle)
		die(NULL, "%" PRIu64 " blocks are idle that were read", all.idle);
}

static void check_all(const char *when)
{
	struct zsblk_why why;
	struct zsblk_stats stats;
	uint8_t *all = malloc(zsblk_size(dev));

	if (zsblk_check(dev, &why))
		die(NULL, "%s: %s", when, why.text);
	if (zsblk_read(dev, all, zsblk_size(dev), 0))
		die(NULL, "%s: the device cannot be read", when);
	for (uint64_t i = 0; i < zsblk_size(dev); i++)
		if (all[i] != truth[i])
			die(NULL, "%s: byte %" PRIu64 " of block %" PRIu64 " is %02x, should be %02x", when, i % 4096,
			    i / 4096, all[i], truth[i]);
	free(all);
	zsblk_get_stats(dev, &stats);
	check_blocks(when, &stats);
	printf("# %s: %" PRIu64 " bytes in %" PRIu64 ", pool %" PRIu64 ", same %" PRIu64 ", huge %" PRIu64
	       ", in %" PRIu64 " groups %" PRIu64 ", refused %lu\n",
	       when, stats.orig_data_size, stats.compr_data_size, stats.pool_bytes, stats.same_pages, stats.huge_pages,
	       stats.groups, stats.group_blocks, atomic_load(&refused));
}

/* The store of the device: the same one for each process. */
static void attach_store(void)
{
	char path[sizeof opt.folder + 8];
	struct zsblk_spill_store store = {.location = path, .limit = UINT64_C(5) << 20};
	struct zsblk_why why;

	snprintf(path, sizeof path, "%s/store", opt.folder);
	if (zsblk_spill_attach(dev, &store, &why))
		die(NULL, "%s", why.text);
}

static void remove_store(void)
{
	char path[sizeof opt.folder + 8];

	if (!opt.folder[0])
		return;
	snprintf(path, sizeof path, "%s/store", opt.folder);
	unlink(path);
	rmdir(opt.folder);
}

static void open_device(void)
{
	struct zsblk_why why;

	if (zsblk_open(&opt.params, &dev, &why) || zsblk_start(dev, &why))
		die(NULL, "%s", why.text);
	if (opt.folder[0] && !zsblk_spill_get_stats(dev, &(struct zsblk_spill_stats){0}))
		attach_store();
}

static void run_threads(void)
{
	static struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS], beside;
	uint64_t seed = opt.seed;

	for (unsigned i = 0; i < opt.threads; i++) {
		workers[i] = (struct worker){
			.random = random_next(&seed),
			.start = i * opt.region,
			.len = opt.region,
			.data = malloc(MAX_REQUEST + 4096),
			.check = malloc(MAX_REQUEST + 4096),
		};
		pthread_create(&threads[i], NULL, work, &workers[i]);
	}
	pthread_create(&beside, NULL, beside_run, NULL);
	for (unsigned i = 0; i < opt.threads; i++) {
		pthread_join(threads[i], NULL);
		free(workers[i].data);
		free(workers[i].check);
	}
	atomic_store(&beside_stop, true);
	pthread_join(beside, NULL);
}

static void clear_and_check(void)
{
	struct zsblk_stats stats;

	zs_core_inject_failures(zsblk_pool(dev), 0);
	if (zsblk_discard(dev, zsblk_size(dev), 0))
		die(NULL, "the final discard failed");
	zsblk_get_stats(dev, &stats);
	if (stats.mem_used_total || stats.orig_data_size || stats.compr_data_size || stats.groups)
		die(NULL, "an empty device still uses %" PRIu64 " bytes for %" PRIu64, stats.mem_used_total,
		    stats.orig_data_size);
	memset(truth, 0, zsblk_size(dev));
	check_all("emptied");
}

static void set_option(int o, uint64_t n)
{
	switch (o) {
	case 's':
		opt.seed = n;
		break;
	case 'o':
		opt.ops = n;
		break;
	case 't':
		opt.threads = n < MAX_THREADS ? (unsigned)n : MAX_THREADS;
		break;
	case 'a':
		opt.params.algorithm = optarg;
		break;
	case 'l':
		opt.params.level = atoi(optarg);
		opt.params.has_level = true;
		break;
	case 'f':
		opt.fault = (unsigned)n;
		break;
	case 'm':
		opt.params.mem_limit = n;
		break;
	case 'r':
		opt.params.reserve = n;
		break;
	case 'M':
		opt.params.memory = strcmp(optarg, "shm") ? optarg : test_shm_new()->memory;
		break;
	case 'c':
		opt.params.chain = (unsigned)n;
		break;
	case 'R':
		opt.region = n;
		break;
	case 'w':
		opt.switches = true;
		break;
	case 'p':
		strcpy(opt.folder, "/tmp/zsblk-model-XXXXXX");
		if (!mkdtemp(opt.folder))
			die(NULL, "%s: %s", opt.folder, strerror(errno));
		break;
	case 'x':
		opt.params.max_size = (n + 4095) / 4096 * 4096;
		break;
	default:
		exit(2);
	}
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", 1, NULL, 's'},      {"ops", 1, NULL, 'o'},     {"threads", 1, NULL, 't'},
		{"algorithm", 1, NULL, 'a'}, {"level", 1, NULL, 'l'},   {"fault", 1, NULL, 'f'},
		{"limit", 1, NULL, 'm'},     {"reserve", 1, NULL, 'r'}, {"memory", 1, NULL, 'M'},
		{"chain", 1, NULL, 'c'},     {"region", 1, NULL, 'R'},  {"max-size", 1, NULL, 'x'},
		{"switch", 0, NULL, 'w'},    {"spill", 0, NULL, 'p'},   {0},
	};
	int o;

	zsblk_params_init(&opt.params);
	opt.params.lock_shared = geteuid() == 0; /* others may lock too little */
	opt.seed = getenv("ZSBLK_SEED") ? strtoull(getenv("ZSBLK_SEED"), NULL, 0)
					: (uint64_t)time(NULL) << 16 ^ (uint64_t)getpid();
	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0)
		set_option(o, optarg ? strtoull(optarg, NULL, 0) : 0);
	opt.params.size = (opt.threads * opt.region + 4095) / 4096 * 4096;
	opt.ops = test_amount((unsigned)opt.ops);
}

int main(int argc, char **argv)
{
	bool shared;

#ifdef HAS_SPILL
	backing_use_library(&spill_functions);
#endif
	parse(argc, argv);
	printf("# engine_model --seed %" PRIu64 " --threads %u --ops %" PRIu64 " --algorithm %s\n", opt.seed,
	       opt.threads, opt.ops, opt.params.algorithm);
	fflush(stdout);
	shared = strcmp(opt.params.memory, "anon") != 0;
	truth = calloc(1, opt.params.max_size ? opt.params.max_size : opt.params.size);
	used = calloc(opt.params.size / 4096, sizeof *used);
	if (shared)
		zsblk_remove(opt.params.memory, NULL);
	open_device();
	zs_core_inject_failures(zsblk_pool(dev), opt.fault);
	run_threads();
	beside_print();
	check_all("after the run");
	zs_core_inject_failures(zsblk_pool(dev), 0);
	beside_group_all();
	check_all("in groups");
	check_idle();
	zsblk_compact(dev);
	check_all("compacted");
	beside_spill_all();
	check_all("in the store");
	if (opt.fault && !atomic_load(&refused))
		die(NULL, "no allocation failed: --fault has no effect");
	if (shared) {
		opt.params.size = zsblk_size(dev);
		beside_spill_all();
		zsblk_close(dev);
		open_device();
		check_all("opened again");
	}
	clear_and_check();
	zsblk_close(dev);
	if (shared && zsblk_remove(opt.params.memory, NULL))
		die(NULL, "the segment cannot be removed");
	remove_store();
	free(truth);
	free(used);
	return 0;
}
