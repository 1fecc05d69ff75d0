/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks in the backing store: there and back, for the next process too, what gives a place back, and a store that fails. */
#include "lib/device.h"
#include "lib/files.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/backing.h"
#include "engine/engine.h"
#include "engine/sector.h"
#include "segment/claim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define BLOCKS 1200u
#define MIB    (UINT64_C(1) << 20)

static struct zsblk *dev;
static struct zsblk_params params;
static struct zsblk_spill_store store;
static struct zsblk_why why;
static char path[300];
static const struct spill_functions *library;

static int set_up(void **state)
{
	if (files_make(state))
		return -1;
	strcpy(path, files_path("store"));
	store = (struct zsblk_spill_store){.location = path};
	params = device_params(BLOCKS);
	params.memory = test_shm_new()->memory;
	dev = device_open(&params);
	must(ages_add_pages(&dev->ages, 0, ages_pages(&dev->ages)) == 0);
	return 0;
}

static int tear_down(void **state)
{
	if (dev)
		device_ok(dev);
	zsblk_close(dev);
	return files_remove(state);
}

static void attach(void)
{
	if (zsblk_spill_attach(dev, &store, &why))
		fail_msg("%s", why.text);
}

static int spill(const struct zsblk_spill_what *what, struct zsblk_spill_figures *figures)
{
	struct zsblk_spilling *job;
	bool more = true;
	int r = 0;

	must(zsblk_spill_begin(dev, what, &job, &why) == 0);
	while (more)
		r = zsblk_spill_step(job, figures, &more);
	zsblk_spill_end(job);
	return r;
}

static int spill_all(void)
{
	const struct zsblk_spill_what all = {0};
	struct zsblk_spill_figures figures;

	return spill(&all, &figures);
}

/* Long ago. */
static void grow_old(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		__atomic_store_n(&dev->ages.bytes[i], 100, __ATOMIC_RELAXED);
}

static enum block_kind kind_of(unsigned block)
{
	return (enum block_kind)(block % BLOCK_KINDS);
}

static void fill(unsigned tag)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, kind_of(i), tag + i);
}

static void verify(unsigned tag)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if (!device_has(dev, i, kind_of(i), tag + i))
			fail_msg("block %u is not what was written", i);
}

static struct zsblk_spill_stats stats_now(void)
{
	struct zsblk_spill_stats stats;

	must(zsblk_spill_get_stats(dev, &stats));
	return stats;
}

static struct zsblk_block look(unsigned block)
{
	struct zsblk_block found;
	uint64_t next;

	must(zsblk_blocks(dev, block, &found, 1, &next) == 1 && found.block == block);
	return found;
}

/* Blocks that have an object. */
#define WITH_OBJECT (BLOCKS / BLOCK_KINDS * 2)

static void begin(void)
{
	attach();
	fill(0);
	assert_int_equal(spill_all(), 0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	grow_old();
}

static void close_it(void)
{
	device_ok(dev);
	zsblk_close(dev);
	dev = NULL;
}

static int start_again(void)
{
	must(zsblk_open(&params, &dev, &why) == 0);
	return zsblk_start(dev, &why);
}

/* ------------------------------------------------------------------ there and back */

static void test_there_and_back(void **state)
{
	uint64_t before;

	attach();
	fill(0);
	before = device_stats(dev).compr_data_size;
	assert_int_equal(spill_all(), 0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	assert_int_equal(stats_now().bd_writes, WITH_OBJECT);
	/* What is left are blocks of one repeated word. */
	assert_true(device_stats(dev).compr_data_size < before / 10);
	assert_int_equal(device_stats(dev).blocks_stored, 0);
	assert_int_equal(look(BLOCK_NOISE).state, ZSBLK_BLOCK_SPILLED);
	assert_null(look(BLOCK_NOISE).algorithm);
	assert_string_equal(look(BLOCK_TEXT).algorithm, "lz4");
	assert_true(stats_now().used_bytes * 100 <= before * 105 + 100 * MIB);
	device_ok(dev);
	grow_old();
	verify(0);
	assert_int_equal(stats_now().bd_reads, WITH_OBJECT);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	/* They were read a moment ago: now they come back. */
	verify(0);
	assert_int_equal(stats_now().bd_count, 0);
	assert_int_equal(stats_now().returned, WITH_OBJECT);
	assert_int_equal(stats_now().live_bytes, 0);
	device_ok(dev);
	verify(0);
	assert_int_equal(stats_now().bd_reads, 2 * WITH_OBJECT);
}

static void test_parts(void **state)
{
	uint8_t want[BLOCK_BYTES], got[BLOCK_BYTES];

	begin();
	block_make(want, BLOCK_TEXT, BLOCK_TEXT);
	must(zsblk_read(dev, got, 100, BLOCK_TEXT * BLOCK_BYTES + 950) == 0);
	assert_memory_equal(got, want + 950, 100);
	assert_int_equal(look(BLOCK_TEXT).state, ZSBLK_BLOCK_SPILLED);
	memset(want + 10, 7, 100);
	must(zsblk_write(dev, want + 10, 100, BLOCK_TEXT * BLOCK_BYTES + 10) == 0);
	assert_int_equal(look(BLOCK_TEXT).state, ZSBLK_BLOCK_COMPRESSED);
	must(zsblk_read(dev, got, BLOCK_BYTES, BLOCK_TEXT * BLOCK_BYTES) == 0);
	assert_memory_equal(got, want, BLOCK_BYTES);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT - 1);
	must(zsblk_write_zeroes(dev, 5, BLOCK_NOISE * BLOCK_BYTES) == 0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT - 2);
}

/* What is written or discarded gives its place back. */
static void test_places_come_back(void **state)
{
	begin();
	for (unsigned i = 0; i < BLOCKS / 2; i++)
		device_put(dev, i, kind_of(i), 5000 + i);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT / 2);
	device_ok(dev);
	for (unsigned i = 0; i < BLOCKS / 2; i++)
		assert_true(device_has(dev, i, kind_of(i), 5000 + i));
	must(zsblk_discard(dev, BLOCKS * BLOCK_BYTES, 0) == 0);
	assert_int_equal(stats_now().bd_count, 0);
	assert_int_equal(stats_now().live_bytes, 0);
}

static void test_which_blocks(void **state)
{
	struct zsblk_spill_what what = {.huge = true};
	struct zsblk_spill_figures figures;

	attach();
	fill(0);
	assert_int_equal(spill(&what, &figures), 0);
	assert_int_equal(figures.blocks, WITH_OBJECT / 2);
	assert_int_equal(figures.done, BLOCKS);
	what = (struct zsblk_spill_what){.older_than_s = 3600};
	assert_int_equal(spill(&what, &figures), 0);
	assert_int_equal(figures.blocks, 0);
	what = (struct zsblk_spill_what){.first = 100, .blocks = 50, .max_blocks = 4};
	assert_int_equal(spill(&what, &figures), 0);
	assert_int_equal(figures.blocks, 4);
	assert_int_equal(figures.total, 50);
	what = (struct zsblk_spill_what){.first = BLOCKS, .blocks = 1};
	assert_int_equal(zsblk_spill_begin(dev, &what, &(struct zsblk_spilling *){NULL}, &why), -EINVAL);
}

/* ------------------------------------------------------------------ the next process */

static void test_next_process(void **state)
{
	begin();
	close_it();
	/* By what the segment says. */
	must(start_again() == 0);
	assert_string_equal(stats_now().location, path);
	verify(0);
	close_it();
	/* And by what the server was told. */
	must(zsblk_open(&params, &dev, &why) == 0);
	attach();
	must(zsblk_start(dev, &why) == 0);
	verify(0);
}

static void test_killed(void **state)
{
	int status;
	pid_t pid;

	close_it();
	pid = fork();
	if (pid == 0) {
		must(start_again() == 0);
		begin();
		kill(getpid(), SIGKILL);
	}
	must(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (start_again())
		fail_msg("%s", why.text);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	device_ok(dev);
	grow_old();
	verify(0);
	/* A process that comes later does not use a place that is live. */
	fill(70000);
	assert_int_equal(spill_all(), 0);
	verify(70000);
}

static void wait_until_found(void)
{
	while (!stats_now().is_reachable)
		usleep(20000);
}

/* A device has to start without its store: nobody can swap to it otherwise, nor read what is in memory. */
static void test_store_is_missing(void **state)
{
	char away[400];

	store.deadline_ms = 100;
	begin();
	device_put(dev, BLOCK_TEXT, BLOCK_TEXT, 7000);
	close_it();
	snprintf(away, sizeof away, "%s.away", path);
	must(rename(path, away) == 0);
	must(start_again() == 0);
	assert_false(stats_now().is_reachable);
	assert_non_null(strstr(stats_now().trouble, path));
	assert_int_equal(stats_now().bd_count, WITH_OBJECT - 1);
	/* What is in memory is there. */
	assert_true(device_has(dev, BLOCK_TEXT, BLOCK_TEXT, 7000));
	assert_true(device_has(dev, BLOCK_ZERO, BLOCK_ZERO, 0));
	/* What is not, is waited for; the deadline is that of the process before. */
	assert_int_equal(zsblk_read(dev, &(char){0}, 1, BLOCK_NOISE * BLOCK_BYTES), -EIO);
	assert_int_equal(zsblk_write(dev, "?", 1, BLOCK_NOISE * BLOCK_BYTES), -EIO);
	assert_int_equal(stats_now().waiting, 0);
	assert_int_equal(spill_all(), -ENOTCONN);
	/* Blocks are written and discarded, and their places are free. */
	device_put(dev, BLOCK_NOISE, BLOCK_NOISE, BLOCK_NOISE);
	must(zsblk_discard(dev, BLOCK_KINDS * BLOCK_BYTES, BLOCK_KINDS * BLOCK_BYTES) == 0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT - 4);
	/* Nothing was made there. */
	assert_int_equal(access(path, F_OK), -1);
	must(rename(away, path) == 0);
	wait_until_found();
	assert_int_equal(stats_now().away_ms, 0);
	device_put(dev, BLOCK_TEXT, BLOCK_TEXT, BLOCK_TEXT);
	for (unsigned i = BLOCK_KINDS; i < 2 * BLOCK_KINDS; i++)
		device_put(dev, i, kind_of(i), i);
	verify(0);
	grow_old();
	assert_int_equal(spill_all(), 0);
	verify(0);
}

/* The segment is to say where the store is: so it has to be where it was not before. */
static void test_store_has_moved(void **state)
{
	char away[400];

	begin();
	close_it();
	snprintf(away, sizeof away, "%s.away", path);
	must(rename(path, away) == 0);
	must(zsblk_open(&params, &dev, &why) == 0);
	store.location = files_path("elsewhere");
	assert_true(zsblk_spill_attach(dev, &store, &why) < 0);
	assert_non_null(strstr(why.text, path));
	assert_int_equal(access(files_path("elsewhere"), F_OK), -1);
	store.location = away;
	attach();
	must(zsblk_start(dev, &why) == 0);
	verify(0);
	close_it();
	must(start_again() == 0);
	assert_string_equal(stats_now().location, away);
	verify(0);
}

/* Nothing is there and nobody asks for it: the segment can be opened without stores. One who asks later finds it. */
static void test_set_aside(void **state)
{
	begin();
	must(zsblk_discard(dev, BLOCKS * BLOCK_BYTES, 0) == 0);
	close_it();
	must(start_again() == 0);
	assert_int_equal(dev->layout.features.incompatible & SUPER_HAS_BACKED, 0);
	assert_false(zsblk_spill_get_stats(dev, &(struct zsblk_spill_stats){0}));
	begin();
	verify(0);
	must(zsblk_discard(dev, BLOCKS * BLOCK_BYTES, 0) == 0);
	close_it();
	/* A new one, where the old one is no more. */
	must(unlink(path) == 0 && start_again() == 0);
	begin();
	verify(0);
}

static int killed_before(struct spill_params *made, struct spill_store **at, struct spill_why *reason)
{
	must(close(open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)) == 0);
	must(made->owner.made(made->owner.opaque, (const uint8_t *)"an identity, new", (const uint8_t *)path) == 0);
	kill(getpid(), SIGKILL);
	return 0;
}

static int killed_after(struct spill_params *made, struct spill_store **at, struct spill_why *reason)
{
	must(library->make(made, at, reason) == 0);
	kill(getpid(), SIGKILL);
	return 0;
}

static void attach_and_be_killed(int (*make)(struct spill_params *, struct spill_store **, struct spill_why *))
{
	struct spill_functions killed = *library;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		must(start_again() == 0);
		killed.make = make;
		backing_use_library(&killed);
		attach();
		_exit(1);
	}
	must(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A process that is killed while it makes a store: the next one has it, or makes it. */
static void test_killed_while_making(void **state)
{
	close_it();
	attach_and_be_killed(killed_after);
	must(start_again() == 0);
	begin();
	verify(0);
	must(zsblk_discard(dev, BLOCKS * BLOCK_BYTES, 0) == 0);
	close_it();
	/* So that the next one is made anew. */
	must(unlink(path) == 0);
	attach_and_be_killed(killed_before);
	must(start_again() == 0);
	assert_int_equal(dev->layout.features.incompatible & SUPER_HAS_BACKED, 0);
	begin();
	verify(0);
}

static void test_relative_path(void **state)
{
	char before[400];

	must(getcwd(before, sizeof before) && chdir(files_top) == 0);
	store.location = "store";
	begin();
	assert_string_equal(stats_now().location, path);
	must(chdir(before) == 0);
	close_it();
	must(start_again() == 0);
	verify(0);
}

/* While a store is made, which can take long, the device can be changed and worked on. */
static int make_meanwhile(struct spill_params *made, struct spill_store **at, struct spill_why *reason)
{
	bool more;

	must(zsblk_resize(dev, (BLOCKS - 1) * BLOCK_BYTES, &why) == 0);
	must(zsblk_spill_clean_step(dev, &more) == 0);
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -EBUSY);
	return library->make(made, at, reason);
}

static void test_nothing_waits_for_attach(void **state)
{
	/* The device keeps a pointer to it. */
	static struct spill_functions slow;

	slow = *library;
	slow.make = make_meanwhile;
	backing_use_library(&slow);
	attach();
	backing_use_library(library);
}

/* A process that was forked has the claim before it writes to the segment: its parent's may be gone by then. */
static void test_claims_first(void **state)
{
	int status;
	pid_t pid;

	close_it();
	must(zsblk_open(&params, &dev, &why) == 0);
	pid = fork();
	if (pid == 0) {
		attach();
		_exit(claim_holder(&dev->seg) == getpid() ? 0 : 1);
	}
	must(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
	zsblk_close(dev);
	must(start_again() == 0);
}

/* ------------------------------------------------------------------ what is refused */

static void test_refused(void **state)
{
	char location[300] = "nbds://";
	struct zsblk *other;
	struct zsblk_params others = device_params(BLOCKS);

	memset(location + 7, 'a', 249);
	store.location = location;
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -ENAMETOOLONG);
	store.location = "http://there";
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -EINVAL);
	store.location = path;
	attach();
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -EBUSY);
	other = device_open(&others);
	assert_int_equal(zsblk_spill_attach(other, &store, &why), -EBUSY);
	zsblk_close(dev);
	dev = NULL;
	/* A store of somebody else, who does not use it now. */
	assert_int_equal(zsblk_spill_attach(other, &store, &why), -EEXIST);
	zsblk_close(other);
}

/* As a location does that leads to the device's own server: what is written to the store is in the device. */
static int make_in_itself(struct spill_params *made, struct spill_store **at, struct spill_why *reason)
{
	int fd, r = library->make(made, at, reason);
	uint8_t page[BLOCK_BYTES];

	must(r == 0 && (fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
	must(pread(fd, page, sizeof page, 0) == sizeof page && close(fd) == 0);
	must(zsblk_write(dev, page, sizeof page, 0) == 0);
	return 0;
}

static void test_on_itself(void **state)
{
	struct spill_functions itself = *library;

	itself.make = make_in_itself;
	backing_use_library(&itself);
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -ELOOP);
	backing_use_library(library);
	assert_non_null(strstr(why.text, "leads to this device itself"));
	/* It was blank before. */
	assert_true(device_has(dev, 0, BLOCK_ZERO, 0));
	assert_false(zsblk_spill_get_stats(dev, &(struct zsblk_spill_stats){0}));
}

static void test_needs_a_store(void **state)
{
	const struct zsblk_spill_what all = {0};
	struct zsblk_spilling *job, *second;
	struct zsblk_grouping *grouping;

	assert_int_equal(zsblk_spill_begin(dev, &all, &job, &why), -ENODEV);
	attach();
	must(zsblk_spill_begin(dev, &all, &job, &why) == 0);
	assert_int_equal(zsblk_spill_begin(dev, &all, &second, &why), -EBUSY);
	assert_int_equal(zsblk_group_begin(dev, &(struct zsblk_group_what){0}, &grouping, &why), -EBUSY);
	zsblk_spill_end(job);
	must(zsblk_group_begin(dev, &(struct zsblk_group_what){0}, &grouping, &why) == 0);
	assert_int_equal(zsblk_spill_begin(dev, &all, &job, &why), -EBUSY);
	zsblk_group_end(grouping);
}

/* ------------------------------------------------------------------ a store that fails */

static void test_full(void **state)
{
	bool more = true;

	store.limit = 4 * MIB;
	attach();
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	assert_int_equal(spill_all(), -ENOSPC);
	assert_in_range(stats_now().bd_count, 100, BLOCKS - 100);
	device_ok(dev);
	grow_old();
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));
	must(zsblk_discard(dev, BLOCKS / 2 * BLOCK_BYTES, 0) == 0);
	while (more)
		must(zsblk_spill_clean_step(dev, &more) == 0);
	/* There is room again. */
	(void)spill_all();
	assert_true(sector_is_backed(table_load(&dev->table, BLOCKS / 2)));
	device_ok(dev);
	for (unsigned i = BLOCKS / 2; i < BLOCKS; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));
}

static void test_damaged(void **state)
{
	uint64_t word;
	uint8_t got[BLOCK_BYTES];
	int fd;

	begin();
	word = table_load(&dev->table, BLOCK_NOISE);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	must(fd >= 0 && pwrite(fd, "?", 1, (off_t)(word_backed(word).place * 16 + 60)) == 1 && close(fd) == 0);
	assert_int_equal(zsblk_read(dev, got, BLOCK_BYTES, BLOCK_NOISE * BLOCK_BYTES), -EIO);
	assert_int_equal(zsblk_write(dev, got, 5, BLOCK_NOISE * BLOCK_BYTES), -EIO);
	assert_int_equal(stats_now().failed_reads, 2);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	/* This one only, and until it is written. */
	device_put(dev, BLOCK_NOISE, BLOCK_NOISE, BLOCK_NOISE);
	verify(0);
}

static void test_no_room_in_memory(void **state)
{
	begin();
	/* What is there takes the limit. */
	zsblk_set_mem_limit(dev, 1);
	verify(0);
	verify(0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	assert_int_equal(zsblk_write(dev, "?", 1, BLOCK_NOISE * BLOCK_BYTES), -ENOSPC);
	zsblk_set_mem_limit(dev, 0);
	verify(0);
}

/* ------------------------------------------------------------------ requests meanwhile */

static _Atomic bool is_over;

static void *use(void *opaque)
{
	unsigned first = (unsigned)(uintptr_t)opaque * (BLOCKS / 3), tags[BLOCKS / 3];
	uint64_t random = first + 1;

	for (unsigned i = 0; i < BLOCKS / 3; i++)
		tags[i] = first + i;
	while (!is_over) {
		unsigned i = (unsigned)random_below(&random, BLOCKS / 3);

		if (random_below(&random, 3) == 0)
			device_put(dev, first + i, kind_of(first + i), ++tags[i] + 100000);
		else
			must(device_has(dev, first + i, kind_of(first + i), tags[i] + 100000));
	}
	return NULL;
}

static void test_range_is_gone(void **state)
{
	const struct zsblk_spill_what tail = {.first = 1000};
	struct zsblk_spill_figures figures;
	struct zsblk_spilling *job;
	bool more = true;

	attach();
	device_put(dev, 0, BLOCK_TEXT, 1);
	must(zsblk_spill_begin(dev, &tail, &job, &why) == 0);
	must(zsblk_resize(dev, 500 * BLOCK_BYTES, &why) == 0);
	for (unsigned steps = 0; more; steps++) {
		must(zsblk_spill_step(job, &figures, &more) == 0);
		assert_int_equal(figures.done, 0);
		assert_int_equal(figures.total, 0);
		assert_true(steps < 10);
	}
	zsblk_spill_end(job);
}

static void test_requests_meanwhile(void **state)
{
	unsigned rounds = test_env("ZSBLK_SHORT") ? 20 : 100;
	pthread_t thread[3];
	bool more;

	store.limit = 8 * MIB;
	attach();
	fill(100000);
	is_over = false;
	for (uintptr_t i = 0; i < 3; i++)
		must(pthread_create(&thread[i], NULL, use, (void *)i) == 0);
	for (unsigned i = 0; i < rounds; i++) {
		int r = spill_all();

		must(r == 0 || r == -ENOSPC);
		r = zsblk_spill_clean_step(dev, &more);
		must(r == 0 || r == -ENOSPC);
		grow_old();
	}
	is_over = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back),
		TEST(test_parts),
		TEST(test_places_come_back),
		TEST(test_which_blocks),
		TEST(test_next_process),
		TEST(test_killed),
		TEST(test_store_is_missing),
		TEST(test_store_has_moved),
		TEST(test_set_aside),
		TEST(test_killed_while_making),
		TEST(test_relative_path),
		TEST(test_nothing_waits_for_attach),
		TEST(test_claims_first),
		TEST(test_refused),
		TEST(test_on_itself),
		TEST(test_needs_a_store),
		TEST(test_full),
		TEST(test_damaged),
		TEST(test_no_room_in_memory),
		TEST(test_requests_meanwhile),
		TEST(test_range_is_gone),
	};
	void *module;

	/* The module as it was built, in place of one that may be installed. */
	must((module = dlopen(SPILL_BUILT, RTLD_NOW | RTLD_LOCAL)) != NULL);
	must((library = dlsym(module, "spill_functions")) != NULL && !dlsym(module, "spill_open"));
	backing_use_library(library);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
