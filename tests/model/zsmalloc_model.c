/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The allocator against the C library's: the same operations on both, objects compared byte by byte.
 *
 * Each thread has objects of its own, each of them twice: in the pool, and as a block of malloc,
 * which is the truth. Beside the threads, two more compact and look at the statistics. With
 * --fault, allocations fail; with --limit, the pool is too small. At the end the pool is checked;
 * one in shared memory is let go of and attached again, and every object compared once more.
 *
 * A run is repeated with the seed it prints: zsmalloc_model --seed N and the same options. --memory
 * shm is a segment with a key of its own.
 */
#include "lib/base.h"
#include "lib/random.h"
#include "lib/shm.h"

/* Pools keep their core to themselves, and the failures are made in there. */
#include "zsmalloc/pool.c"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>

#define MAX_THREADS 16u
#define MAX_OBJECTS 20000u

static struct {
	uint64_t seed;
	unsigned ops, threads, objects, fault;
	struct zs_params params;
} opt = {.ops = 60000, .threads = 2, .objects = 1500, .params = {.max_pages = 1u << 15}};

struct object {
	zs_handle handle;
	uint8_t *truth;
	unsigned size;
};

struct worker {
	pthread_t thread;
	uint64_t random;
	unsigned step;
	struct object objects[MAX_OBJECTS];
};

static struct zs_pool *pool;
static struct worker workers[MAX_THREADS];
static atomic_bool stop;
static atomic_ulong refused;

#define DIE(...)                                                                                                       \
	do {                                                                                                           \
		fprintf(stderr, "zsmalloc_model: --seed %" PRIu64 ": ", opt.seed);                                     \
		fprintf(stderr, __VA_ARGS__);                                                                          \
		fputc('\n', stderr);                                                                                   \
		abort();                                                                                               \
	} while (0)

/* ------------------------------------------------------------------ operations */

static void compare(const struct worker *w, const struct object *object, const void *mem)
{
	if (memcmp(mem, object->truth, object->size) != 0)
		DIE("step %u: an object of %u bytes is not what was written", w->step, object->size);
}

static void do_malloc(struct worker *w, struct object *object)
{
	unsigned size = 1 + (unsigned)random_below(&w->random, random_below(&w->random, 4) ? 4096 : 300);

	object->handle = zs_malloc(pool, size);
	if (!object->handle) {
		if ((errno != ENOSPC && errno != ENOMEM) || (!opt.fault && !opt.params.page_limit))
			DIE("step %u: zs_malloc(%u): %s", w->step, size, strerror(errno));
		atomic_fetch_add(&refused, 1);
		return;
	}
	object->size = size;
	object->truth = malloc(size);
	random_bytes(&w->random, object->truth, size);
	zs_obj_write(pool, object->handle, object->truth, size);
}

static void do_free(struct object *object)
{
	zs_free(pool, object->handle);
	free(object->truth);
	*object = (struct object){0};
}

static void do_read(struct worker *w, struct object *object)
{
	uint8_t lent[ZS_MAX_OBJECT];
	unsigned times = 1 + (unsigned)random_below(&w->random, 3);
	const void *mem;

	if (random_below(&w->random, 2)) {
		mem = zs_obj_read_begin(pool, object->handle, object->size, lent);
		compare(w, object, mem);
		zs_obj_read_end(pool, object->handle, mem);
		return;
	}
	/* Nested. */
	for (unsigned i = 0; i < times; i++)
		compare(w, object, zs_map_object(pool, object->handle, ZS_MM_RO));
	for (unsigned i = 0; i < times; i++)
		zs_unmap_object(pool, object->handle);
}

static void do_change(struct worker *w, struct object *object)
{
	unsigned from = (unsigned)random_below(&w->random, object->size);
	unsigned len = 1 + (unsigned)random_below(&w->random, object->size - from);
	uint8_t *mem = zs_map_object(pool, object->handle, ZS_MM_RW);

	compare(w, object, mem);
	random_bytes(&w->random, object->truth + from, len);
	memcpy(mem + from, object->truth + from, len);
	zs_unmap_object(pool, object->handle);
}

/* Two objects held at once while the others move. */
static void do_hold_two(struct worker *w, struct object *a, struct object *b)
{
	const void *first = zs_map_object(pool, a->handle, ZS_MM_RO);
	const void *second = zs_map_object(pool, b->handle, ZS_MM_RO);

	compare(w, b, second);
	compare(w, a, first);
	zs_unmap_object(pool, a->handle);
	zs_unmap_object(pool, b->handle);
}

static void *work(void *opaque)
{
	struct worker *w = opaque;
	/* Now more is allocated, now more is freed. */
	bool growing = true;

	for (w->step = 0; w->step < opt.ops; w->step++) {
		struct object *object = &w->objects[random_below(&w->random, opt.objects)];
		struct object *other = &w->objects[random_below(&w->random, opt.objects)];
		uint64_t dice = random_below(&w->random, 10);

		if (w->step % (opt.objects * 4) == 0)
			growing = !growing || w->step == 0;
		if (!object->handle) {
			if (growing || dice < 2)
				do_malloc(w, object);
		} else if (dice < (growing ? 2u : 5u)) {
			do_free(object);
		} else if (dice < 7) {
			do_read(w, object);
		} else if (dice < 9) {
			do_change(w, object);
		} else if (other->handle) {
			do_hold_two(w, object, other);
		}
	}
	return NULL;
}

static void *disturb(void *opaque)
{
	struct zs_pool_stats stats;
	struct zs_class_stats class;
	unsigned cursor = 0;
	bool more;

	while (!atomic_load(&stop)) {
		if (opaque) {
			zs_compact(pool);
		} else {
			zs_compact_step(pool, &cursor, &more);
			cursor = more ? cursor : 0;
		}
		zs_pool_stats(pool, &stats);
		zs_class_stats(pool, cursor, &class);
		if (opt.params.page_limit && stats.pages_used > opt.params.page_limit)
			DIE("%" PRIu64 " pages in use, above the limit", stats.pages_used);
		usleep(100);
	}
	return NULL;
}

/* ------------------------------------------------------------------ the whole */

static void check_all(const char *when)
{
	struct zs_pool_stats stats;
	uint64_t objects = 0;
	char why[200] = "";

	if (zs_check(pool, why, sizeof why))
		DIE("%s: %s", when, why);
	for (unsigned t = 0; t < opt.threads; t++) {
		for (unsigned i = 0; i < opt.objects; i++) {
			if (!workers[t].objects[i].handle)
				continue;
			do_read(&workers[t], &workers[t].objects[i]);
			objects++;
		}
	}
	zs_pool_stats(pool, &stats);
	if (stats.objects != objects)
		DIE("%s: %" PRIu64 " objects, and %" PRIu64 " are counted", when, objects, stats.objects);
	printf("# %s: %" PRIu64 " objects in %" PRIu64 " pages, %" PRIu64 " compacted, refused %lu\n", when, objects,
	       stats.pages_used, stats.pages_compacted, atomic_load(&refused));
}

static void make_pool(void)
{
	int r = zs_create_pool("model", &opt.params, &pool);

	if (r)
		DIE("zs_create_pool: %s", strerror(-r));
}

static void run_threads(void)
{
	pthread_t disturbers[2];
	uint64_t seed = opt.seed;

	for (size_t i = 0; i < COUNT_OF(disturbers); i++)
		pthread_create(&disturbers[i], NULL, disturb, i ? pool : NULL);
	for (unsigned i = 0; i < opt.threads; i++) {
		workers[i].random = random_next(&seed);
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (unsigned i = 0; i < opt.threads; i++)
		pthread_join(workers[i].thread, NULL);
	atomic_store(&stop, true);
	for (size_t i = 0; i < COUNT_OF(disturbers); i++)
		pthread_join(disturbers[i], NULL);
}

static void free_all(void)
{
	for (unsigned t = 0; t < opt.threads; t++)
		for (unsigned i = 0; i < opt.objects; i++)
			if (workers[t].objects[i].handle)
				do_free(&workers[t].objects[i]);
	check_all("emptied");
	if (zs_get_total_pages(pool))
		DIE("an empty pool uses %" PRIu64 " pages", zs_get_total_pages(pool));
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", 1, NULL, 's'},    {"ops", 1, NULL, 'o'},
		{"threads", 1, NULL, 't'}, {"objects", 1, NULL, 'O'},
		{"fault", 1, NULL, 'f'},   {"limit", 1, NULL, 'l'},
		{"chain", 1, NULL, 'c'},   {"memory", 1, NULL, 'm'},
		{"pages", 1, NULL, 'p'},   {0},
	};
	int o;

	opt.seed = getenv("ZSBLK_SEED") ? strtoull(getenv("ZSBLK_SEED"), NULL, 0)
					: (uint64_t)time(NULL) << 16 ^ (uint64_t)getpid();
	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		unsigned n = (unsigned)strtoul(optarg ? optarg : "0", NULL, 0);

		switch (o) {
		case 's':
			opt.seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			opt.ops = n;
			break;
		case 't':
			opt.threads = n < MAX_THREADS ? n : MAX_THREADS;
			break;
		case 'O':
			opt.objects = n < MAX_OBJECTS ? n : MAX_OBJECTS;
			break;
		case 'f':
			opt.fault = n;
			break;
		case 'l':
			opt.params.page_limit = n;
			break;
		case 'c':
			opt.params.chain = n;
			break;
		case 'p':
			opt.params.max_pages = n;
			break;
		case 'm':
			opt.params.memory = strcmp(optarg, "shm") ? optarg : test_shm_new()->memory;
			break;
		default:
			exit(2);
		}
	}
	opt.params.max_objects = MAX_OBJECTS * opt.threads;
	opt.ops = test_amount(opt.ops);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	printf("# zsmalloc_model --seed %" PRIu64 " --threads %u --ops %u\n", opt.seed, opt.threads, opt.ops);
	fflush(stdout);
	make_pool();
	zs_core_inject_failures(pool->core, opt.fault);
	run_threads();
	check_all("after the run");
	zs_compact(pool);
	check_all("compacted");
	if ((opt.fault || opt.params.page_limit) && !atomic_load(&refused))
		DIE("no allocation failed: --fault or --limit has no effect");
	if (opt.params.memory) {
		zs_destroy_pool(pool, NULL, NULL);
		make_pool();
		check_all("attached again");
	}
	free_all();
	if (zs_destroy_pool(pool, NULL, NULL))
		DIE("objects left in an empty pool");
	return 0;
}
