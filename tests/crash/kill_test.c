/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I5: an acknowledged write survives SIGKILL at any instruction.
 *
 * A child opens a device in shared memory and, from several threads, writes, writes parts, discards,
 * compacts, recompresses, makes groups of blocks, and writes blocks to a backing store (if this zsblk has them). It is killed at a random moment, at times while it still opens the device. Then the
 * segment is opened again: every invariant must hold, and every block must be what was
 * acknowledged, or, if a request was in flight on it, that or what the request was to make of it.
 * Thousands of times, on one segment.
 *
 * Beside that the child changes the size of the device, behind the blocks that are written to: it has the
 * acknowledged size, or, if a change was in flight, that or the new one. The same is true of its settings: the level
 * and the limit change as well, and the next process goes on with them.
 *
 * What was promised is kept in memory that both processes share: two copies of each block, and one
 * byte that says which is acknowledged and whether the other is on its way. The child changes that
 * byte in one store.
 *
 * kill_test [--kills N] [--seed N] [--algorithm A]; the seed is printed.
 */
#include "engine/backing.h"
#include "lib/random.h"
#include "zsblk.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS  1536u
#define THREADS 3u
#define OWN     (BLOCKS / THREADS)
#define BURST   8u    /* most blocks of one request */
#define TAIL    1100u /* most blocks behind them */

enum { CURRENT = 1, IN_FLIGHT = 2 };

struct promise {
	_Atomic uint8_t state[BLOCKS]; /* CURRENT: which copy is acknowledged; IN_FLIGHT: the other may be there too */
	_Atomic uint64_t acknowledged, refused;
	_Atomic bool opened;
	_Atomic uint64_t blocks, next_blocks; /* of the device: acknowledged, and asked for */
	_Atomic uint64_t resizes;
	_Atomic uint64_t recompressed[2]; /* blocks: by recompressions that have ended, and by all */
	_Atomic uint64_t grouped[2];      /* blocks that were put into groups, the same */
	_Atomic uint64_t found_groups;    /* groups that were there after kills */
	_Atomic bool has_stores;          /* this zsblk was built with backing stores */
	_Atomic uint64_t spilled;         /* blocks that were written to the backing store */
	_Atomic uint64_t found_spilled;   /* blocks that were there after kills */
	_Atomic uint64_t level, next_level, limit, next_limit; /* the same */
	_Atomic uint64_t settings;
	uint8_t copy[2][BLOCKS][4096];
};

static struct promise *promise;
static struct zsblk_params params;
static uint64_t seed;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "kill_test: --seed %" PRIu64 ": ", seed);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	zsblk_remove(params.memory, NULL);
	/* The store stays, to be looked at. */
	_exit(1);
}

static char folder[] = "/tmp/zsblk-kill-XXXXXX", store_path[sizeof folder + 8];

/* A process that was killed leaves a store that nobody uses, or a file of which it had made none yet. */
static void attach_store(struct zsblk *dev)
{
	struct zsblk_spill_store store = {.location = store_path, .limit = UINT64_C(5) << 20, .take_over = true};
	struct zsblk_why why;
	int r = zsblk_spill_attach(dev, &store, &why);

	if (r == -EMEDIUMTYPE) {
		store.existing = true;
		r = zsblk_spill_attach(dev, &store, &why);
	}
	atomic_store(&promise->has_stores, r != -EOPNOTSUPP);
	if (r && r != -EOPNOTSUPP && r != -EBUSY)
		die("%s", why.text);
}

static void prepare_store(void)
{
#ifdef HAS_SPILL
	backing_use_library(&spill_functions);
#endif
	if (!mkdtemp(folder))
		die("%s: %s", folder, strerror(errno));
	snprintf(store_path, sizeof store_path, "%s/store", folder);
}

static void remove_store(void)
{
	unlink(store_path);
	rmdir(folder);
}

static struct zsblk *open_device(void)
{
	struct zsblk_why why;
	struct zsblk *dev;

	if (zsblk_open(&params, &dev, &why) || zsblk_start(dev, &why))
		die("%s", why.text);
	return dev;
}

/* ------------------------------------------------------------------ the child */

static struct zsblk *dev;

struct worker {
	uint64_t random;
	unsigned first; /* of its OWN blocks */
	uint8_t data[BURST * 4096];
};

/* What `n` blocks are to become: noted beside what they are, before anything is asked for. */
static void promise_blocks(unsigned block, unsigned n, const uint8_t *data)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t state = atomic_load(&promise->state[block + i]) & CURRENT;

		/* A refused request may have left either: settle what is there before it is built upon. */
		memcpy(promise->copy[!state][block + i], data + i * 4096, 4096);
		atomic_store(&promise->state[block + i], state | IN_FLIGHT);
	}
}

static void acknowledge(unsigned block, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		atomic_store(&promise->state[block + i], !(atomic_load(&promise->state[block + i]) & CURRENT));
	atomic_fetch_add(&promise->acknowledged, 1);
}

/* A request was refused: whichever blocks it did change are now the truth. */
static void settle(struct worker *w, unsigned block, unsigned n)
{
	atomic_fetch_add(&promise->refused, 1);
	for (unsigned i = 0; i < n; i++) {
		uint8_t state = atomic_load(&promise->state[block + i]) & CURRENT;

		if (zsblk_read(dev, w->data, 4096, (block + i) * UINT64_C(4096)))
			die("a block cannot be read after a refused write");
		if (memcmp(w->data, promise->copy[state][block + i], 4096) == 0)
			atomic_store(&promise->state[block + i], state);
		else if (memcmp(w->data, promise->copy[!state][block + i], 4096) == 0)
			atomic_store(&promise->state[block + i], !state);
		else
			die("block %u is neither old nor new after a refused write", block + i);
	}
}

static void request(struct worker *w)
{
	unsigned n = 1 + (unsigned)random_below(&w->random, random_below(&w->random, 4) ? 1 : BURST);
	unsigned block = w->first + (unsigned)random_below(&w->random, OWN - n + 1);
	unsigned kind = (unsigned)random_below(&w->random, 8);
	uint64_t offset = block * UINT64_C(4096), len = n * UINT64_C(4096), from = 0;
	int r;

	for (unsigned i = 0; i < n; i++)
		memcpy(w->data + i * 4096, promise->copy[atomic_load(&promise->state[block + i]) & CURRENT][block + i],
		       4096);
	if (kind < 2) { /* part of the blocks */
		from = random_below(&w->random, len);
		len = 1 + random_below(&w->random, len - from);
	}
	if (kind == 1 || kind == 2)
		memset(w->data + from, 0, len);
	else if (kind == 0)
		random_bytes(&w->random, w->data + from, len);
	else
		for (unsigned i = 0; i < n; i++)
			random_bytes(&w->random, w->data + i * 4096, 4096);
	promise_blocks(block, n, w->data);
	if (kind == 1)
		r = zsblk_write_zeroes(dev, len, offset + from);
	else if (kind == 2)
		r = zsblk_discard(dev, len, offset);
	else
		r = zsblk_write(dev, w->data + from, len, offset + from);
	if (r && r != -ENOSPC)
		die("a request failed: %s", strerror(-r));
	if (r)
		settle(w, block, n);
	else
		acknowledge(block, n);
}

static void *work(void *opaque)
{
	for (;;)
		request(opaque);
	return NULL;
}

/* Use what is behind the blocks, and cut it off or add to it. */
static void resize(uint64_t *random)
{
	uint64_t now = atomic_load(&promise->blocks), next = BLOCKS + random_below(random, TAIL + 1);
	uint8_t data[4096];
	int r;

	if (now > BLOCKS) {
		random_bytes(random, data, sizeof data);
		r = zsblk_write(dev, data, sizeof data, (BLOCKS + random_below(random, now - BLOCKS)) * UINT64_C(4096));
		if (r && r != -ENOSPC)
			die("writing behind the blocks: %s", strerror(-r));
		if (zsblk_discard(dev, (now - BLOCKS) * UINT64_C(4096), BLOCKS * UINT64_C(4096)))
			die("discarding behind the blocks failed");
	}
	atomic_store(&promise->next_blocks, next);
	if (zsblk_resize(dev, next * 4096, NULL))
		die("from %" PRIu64 " blocks to %" PRIu64 ": refused", now, next);
	atomic_store(&promise->blocks, next);
	atomic_fetch_add(&promise->resizes, 1);
}

/* Whatever blocks there are, with an algorithm that gains or does not. */
static void recompress(uint64_t *random)
{
	static const char *const algorithms[] = {"zstd", "lz4hc", "lz4", "lzma"};
	struct zsblk_recompress what = {
		.algorithm = algorithms[random_below(random, CODEC_HAS_LZMA ? 4 : 3)],
		.has_level = true,
		.level = 1 + (int)random_below(random, 5),
	};
	struct zsblk_recompress_figures figures;
	struct zsblk_recompression *job;
	bool more = true;

	if (zsblk_recompress_begin(dev, &what, &job, NULL))
		die("a recompression cannot begin");
	while (more) {
		zsblk_recompress_step(job, &figures, &more);
		atomic_store(&promise->recompressed[1], promise->recompressed[0] + figures.recompressed);
	}
	atomic_store(&promise->recompressed[0], promise->recompressed[1]);
	zsblk_recompress_end(job);
}

/* Groups, and groups of what is left of groups. */
static void group(uint64_t *random)
{
	struct zsblk_group_what what = {
		.has_level = true,
		.level = 1 + (int)random_below(random, 3),
		.first = random_below(random, BLOCKS),
	};
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	bool more = true;

	if (zsblk_group_begin(dev, &what, &job, NULL))
		die("the making of groups cannot begin");
	while (more) {
		zsblk_group_step(job, &figures, &more);
		atomic_store(&promise->grouped[1], promise->grouped[0] + figures.blocks);
	}
	atomic_store(&promise->grouped[0], promise->grouped[1]);
	zsblk_group_end(job);
}

/* Blocks to the store, and what is left of old ones there. */
static void spill(uint64_t *random)
{
	struct zsblk_spill_what what = {.first = random_below(random, BLOCKS), .huge = random_below(random, 2)};
	struct zsblk_spill_figures figures;
	struct zsblk_spilling *job;
	uint64_t before = atomic_load(&promise->spilled);
	bool more = true;
	int r;

	if (zsblk_spill_begin(dev, &what, &job, NULL))
		die("nothing can be written to the store");
	while (more) {
		r = zsblk_spill_step(job, &figures, &more);
		if (r && r != -ENOSPC)
			die("a step of writing to the store failed: %s", strerror(-r));
		atomic_store(&promise->spilled, before + figures.blocks);
	}
	zsblk_spill_end(job);
	r = zsblk_spill_clean_step(dev, &more);
	if (r && r != -ENOSPC)
		die("cleaning failed: %s", strerror(-r));
}

/* Work on objects, of one kind at a time. */
static void *rework(void *opaque)
{
	uint64_t random = (uintptr_t)opaque;

	attach_store(dev);
	for (;;)
		if (atomic_load(&promise->has_stores) && random_below(&random, 2))
			spill(&random);
		else if (random_below(&random, 3))
			group(&random);
		else
			recompress(&random);
	return NULL;
}

/* Another level, or another limit. */
static void change_setting(uint64_t *random)
{
	if (random_below(random, 2)) {
		atomic_store(&promise->next_level, 1 + random_below(random, 3));
		if (zsblk_set_algorithm(dev, NULL, true, (int)atomic_load(&promise->next_level), NULL))
			die("another level was refused");
		atomic_store(&promise->level, atomic_load(&promise->next_level));
	} else {
		atomic_store(&promise->next_limit, params.mem_limit + 4096 * random_below(random, 100));
		zsblk_set_mem_limit(dev, atomic_load(&promise->next_limit));
		atomic_store(&promise->limit, atomic_load(&promise->next_limit));
	}
	atomic_fetch_add(&promise->settings, 1);
}

static void child(uint64_t random)
{
	static struct worker workers[THREADS];
	pthread_t thread;
	bool more;

	dev = open_device();
	atomic_store(&promise->opened, true);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].random = random_next(&random);
		workers[i].first = i * OWN;
		pthread_create(&thread, NULL, work, &workers[i]);
	}
	pthread_create(&thread, NULL, rework, (void *)(uintptr_t)random_next(&random));
	for (;;) {
		zsblk_compact_step(dev, &more);
		if (random_below(&random, 4) == 0)
			resize(&random);
		if (random_below(&random, 4) == 0)
			change_setting(&random);
		if (random_below(&random, 64) == 0)
			usleep(100);
	}
}

/* ------------------------------------------------------------------ the parent */

static void sleep_us(uint64_t us)
{
	struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

	nanosleep(&time, NULL);
}

/* Work on objects, of which the children did none yet or of which nothing was found after a kill. */
struct missing {
	uint64_t grouped, recompressed, spilled; /* what was done so far; UINT64_MAX: nothing is missing */
};

static struct missing what_is_missing(void)
{
	bool spills = atomic_load(&promise->has_stores) && !atomic_load(&promise->found_spilled);

	return (struct missing){
		.grouped = atomic_load(&promise->found_groups) ? UINT64_MAX : atomic_load(&promise->grouped[1]),
		.recompressed = atomic_load(&promise->recompressed[1]) ? UINT64_MAX : 0,
		.spilled = spills ? atomic_load(&promise->spilled) : UINT64_MAX,
	};
}

/*
 * The children's work on objects takes longer to begin, on an emulated processor, than the few milliseconds that a child lives. So a child
 * lives until it has done work of a kind that is missing, for 10 s at most.
 */
static void wait_for_work(void)
{
	const struct missing before = what_is_missing();

	if (before.grouped == UINT64_MAX && before.recompressed == UINT64_MAX && before.spilled == UINT64_MAX)
		return;
	for (unsigned ms = 0; ms < 10000; ms++) {
		if (atomic_load(&promise->grouped[1]) > before.grouped ||
		    atomic_load(&promise->recompressed[1]) > before.recompressed ||
		    atomic_load(&promise->spilled) > before.spilled)
			return;
		sleep_us(1000);
	}
}

static void kill_one(uint64_t *random)
{
	uint64_t child_seed = random_next(random);
	int status;
	pid_t pid;

	atomic_store(&promise->opened, false);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0)
		child(child_seed);
	/* Mostly at work, one time in eight while it still opens. */
	if (random_below(random, 8)) {
		while (!atomic_load(&promise->opened) && waitpid(pid, &status, WNOHANG) == 0)
			sleep_us(100);
		wait_for_work();
	}
	sleep_us(random_below(random, random_below(random, 2) ? 500 : 8000));
	if (waitpid(pid, &status, WNOHANG) != 0)
		die("the child ended by itself, status 0x%x", (unsigned)status);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status))
		die("the child ended by itself, status 0x%x", (unsigned)status);
}

static void verify_block(unsigned block, const uint8_t *got, uint64_t *either)
{
	uint8_t state = atomic_load(&promise->state[block]);
	unsigned now = state & CURRENT;

	if (memcmp(got, promise->copy[now][block], 4096) != 0) {
		if (!(state & IN_FLIGHT))
			die("block %u is not what was acknowledged", block);
		if (memcmp(got, promise->copy[!now][block], 4096) != 0)
			die("block %u is neither old nor new", block);
		now = !now;
	}
	*either += state >> 1;
	atomic_store(&promise->state[block], (uint8_t)now);
}

/* Whoever starts the next server asks what there is. */
static void find_size(void)
{
	uint64_t blocks = atomic_load(&promise->blocks), next = atomic_load(&promise->next_blocks);
	struct zsblk_segment found;
	struct zsblk_why why;
	int r = zsblk_inspect(params.memory, &found, &why);

	/* Killed before there was one. */
	if (r == -ENOENT || (!r && !found.size))
		return;
	if (r)
		die("%s", why.text);
	if (found.size != blocks * 4096 && found.size != next * 4096)
		die("the device has %" PRIu64 " bytes, and neither %" PRIu64 " nor %" PRIu64 " blocks", found.size,
		    blocks, next);
	params.size = found.size;
	atomic_store(&promise->blocks, found.size / 4096);
	atomic_store(&promise->next_blocks, found.size / 4096);
}

/* Acknowledged, or asked for. From now on it is what there is. */
static void verify_setting(const char *what, uint64_t found, _Atomic uint64_t *now, _Atomic uint64_t *next)
{
	if (found != atomic_load(now) && found != atomic_load(next))
		die("the device goes on with %s %" PRIu64 ", and neither with %" PRIu64 " nor with %" PRIu64, what,
		    found, atomic_load(now), atomic_load(next));
	atomic_store(now, found);
	atomic_store(next, found);
}

static void verify_settings(void)
{
	struct zsblk_spill_stats store;
	struct zsblk_stats stats;

	zsblk_get_stats(dev, &stats);
	atomic_fetch_add(&promise->found_groups, stats.groups);
	if (zsblk_spill_get_stats(dev, &store))
		atomic_fetch_add(&promise->found_spilled, store.bd_count);
	verify_setting("limit", stats.mem_limit, &promise->limit, &promise->next_limit);
	verify_setting("level", (uint64_t)zsblk_level(dev), &promise->level, &promise->next_level);
}

static void verify(uint64_t *either)
{
	static uint8_t data[BLOCKS * 4096];
	struct zsblk_why why;
	int r;

	find_size();
	dev = open_device();
	verify_settings();
	r = zsblk_check(dev, &why);
	if (r)
		die("%s", why.text);
	r = zsblk_read(dev, data, sizeof data, 0);
	if (r)
		die("the device cannot be read: %s", strerror(-r));
	for (unsigned block = 0; block < BLOCKS; block++)
		verify_block(block, data + block * 4096, either);
	zsblk_close(dev);
}

/* Has each kind of work been done at least once, and has something been in flight? */
static bool did_everything(uint64_t either)
{
	return atomic_load(&promise->acknowledged) && atomic_load(&promise->resizes) &&
	       atomic_load(&promise->settings) && atomic_load(&promise->recompressed[1]) && either &&
	       atomic_load(&promise->grouped[1]) && atomic_load(&promise->found_groups) &&
	       (!atomic_load(&promise->has_stores) || atomic_load(&promise->found_spilled));
}

static void report(uint64_t kills, uint64_t either)
{
	printf("# %" PRIu64 " kills, %" PRIu64 " sizes, %" PRIu64 " settings, %" PRIu64
	       " requests acknowledged, %" PRIu64 " refused for lack of space, "
	       "%" PRIu64 " blocks recompressed, %" PRIu64 " put into groups, %" PRIu64
	       " groups found after kills, %" PRIu64 " written to the store, %" PRIu64
	       " blocks found there after kills, %" PRIu64 " in flight when killed; nothing lost\n",
	       kills, atomic_load(&promise->resizes), atomic_load(&promise->settings),
	       atomic_load(&promise->acknowledged), atomic_load(&promise->refused),
	       atomic_load(&promise->recompressed[1]), atomic_load(&promise->grouped[1]),
	       atomic_load(&promise->found_groups), atomic_load(&promise->spilled),
	       atomic_load(&promise->found_spilled), either);
	fflush(stdout);
	if (!did_everything(either))
		die("the children did not do each kind of work: the test is void");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", 1, NULL, 's'}, {"kills", 1, NULL, 'k'}, {"algorithm", 1, NULL, 'a'}, {0}};
	uint64_t kills = 700, done, either = 0, random;
	char memory[40];
	int o;

	zsblk_params_init(&params);
	params.lock_shared = geteuid() == 0; /* others may lock too little */
	seed = (uint64_t)time(NULL) << 16 ^ (uint64_t)getpid();
	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (o == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (o == 'k')
			kills = strtoull(optarg, NULL, 0);
		else if (o == 'a')
			params.algorithm = optarg;
		else
			return 2;
	}
	if (getenv("ZSBLK_LONG"))
		kills *= 20;
	printf("# kill_test --seed %" PRIu64 " --kills %" PRIu64 " --algorithm %s\n", seed, kills, params.algorithm);
	fflush(stdout);
	prepare_store();
	promise = mmap(NULL, sizeof *promise, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (promise == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	snprintf(memory, sizeof memory, "shm:0x%x", 0x7a000000u | ((unsigned)getpid() & 0xffffff));
	params.memory = memory;
	params.size = BLOCKS * 4096;
	params.max_size = (BLOCKS + TAIL) * 4096;
	promise->blocks = promise->next_blocks = BLOCKS;
	params.contexts = THREADS + 1;
	params.mem_limit = BLOCKS * 4096 / 2; /* full at times: refusals are part of it */
	params.reserve = 256 * 1024;
	promise->limit = promise->next_limit = params.mem_limit;
	promise->level = promise->next_level = (uint64_t)zsblk_algorithm_by_name(params.algorithm)->level_default;
	random = seed;
	zsblk_remove(memory, NULL);
	/* On a slow machine a child may be killed before it has come to the rarer kinds of work: further ones do that. */
	for (done = 0; done < kills || (done < 20 * kills && !did_everything(either)); done++) {
		kill_one(&random);
		verify(&either);
	}
	zsblk_remove(memory, NULL);
	remove_store();
	report(done, either);
	return 0;
}
