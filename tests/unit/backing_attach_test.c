/* SPDX-License-Identifier: BSD-3-Clause */
/* A device and its backing store: the next process, a store that is away or somewhere else, and one that is being made. */
#include "lib/emulator.h"
#include "lib/spilling.h"

#include "engine/backing_parts.h"

#include "segment/claim.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

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

/* A store that takes reads and gives no answers. */
static struct spill_read *kept[BACKING_WAITS];
static _Atomic unsigned kept_n;

static int keep(struct spill_store *at, struct spill_read *read)
{
	static _Atomic unsigned begun;
	unsigned n = begun++;

	must(n < BACKING_WAITS);
	kept[n] = read;
	kept_n++;
	return 0;
}

static void *read_one(void *opaque)
{
	return (void *)(intptr_t)zsblk_read(dev, &(char){0}, 1, (uintptr_t)opaque * BLOCK_BYTES);
}

/* A request ends by its deadline also if others have all places to wait in. */
static void test_no_place_to_wait_in(void **state)
{
	static struct spill_functions silent;
	pthread_t thread[BACKING_WAITS];
	void *r;

	silent = *library;
	silent.get = keep;
	backing_use_library(&silent);
	store.deadline_ms = 100;
	begin();
	kept_n = 0;
	for (uintptr_t i = 0; i < BACKING_WAITS; i++)
		must(pthread_create(&thread[i], NULL, read_one, (void *)(BLOCK_NOISE + i * BLOCK_KINDS)) == 0);
	while (kept_n < BACKING_WAITS)
		usleep(1000);
	assert_int_equal(stats_now().waiting, BACKING_WAITS);
	assert_int_equal((intptr_t)read_one((void *)(uintptr_t)BLOCK_TEXT), -EIO);
	assert_int_equal(zsblk_write(dev, "?", 1, BLOCK_TEXT * BLOCK_BYTES), -EIO);
	for (unsigned i = 0; i < BACKING_WAITS; i++)
		kept[i]->done(kept[i], -EIO, 0);
	for (unsigned i = 0; i < BACKING_WAITS; i++)
		must(pthread_join(thread[i], &r) == 0 && (intptr_t)r == -EIO);
	assert_int_equal(stats_now().failed_reads, BACKING_WAITS + 2);
	backing_use_library(library);
	close_it();
	must(start_again() == 0);
	verify(0);
}

static int get_slowly(struct spill_store *at, struct spill_read *read)
{
	usleep(60000);
	return library->get(at, read);
}

/* One deadline for all blocks of a request, and not one for each of them. */
static void test_one_deadline(void **state)
{
	static struct spill_functions slow;
	static uint8_t data[50 * BLOCK_BYTES];

	slow = *library;
	slow.get = get_slowly;
	backing_use_library(&slow);
	store.deadline_ms = 500;
	begin();
	assert_int_equal(zsblk_read(dev, data, sizeof data, 0), -EIO);
	assert_in_range(stats_now().bd_reads, 1, 10);
	backing_use_library(library);
	close_it();
	must(start_again() == 0);
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

static bool matches(const uint8_t *bytes, const uint8_t *masked, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((bytes[i] ^ 0x55) != masked[i])
			return false;
	return true;
}

/* All that a core dump of this process would have. True: the bytes are in it. `masked`: so that they are not there a second time. */
static bool is_dumped(const uint8_t *masked, size_t size)
{
	uint64_t from = 0, to = 0, next_from, next_to, kib, touched_kib = 0;
	bool is_there = false;
	char line[512];
	FILE *maps = fopen("/proc/self/smaps", "re");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	static uint8_t bytes[1 << 16];

	must(maps && memory >= 0);
	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &next_from, &next_to) == 2) {
			from = next_from;
			to = next_to;
		}
		if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
			touched_kib = kib;
		if (sscanf(line, "Swap: %" SCNu64 " kB", &kib) == 1)
			touched_kib += kib;
		/* What was never touched is zeroes, and can be terabytes. */
		if (strncmp(line, "VmFlags:", 8) || !touched_kib || strstr(line, " dd") || strstr(line, " io"))
			continue;
		for (uint64_t at = from; at < to && !is_there;) {
			size_t most = to - at < sizeof bytes ? (size_t)(to - at) : sizeof bytes;
			ssize_t n = pread(memory, bytes, most, (off_t)at);

			if (n < (ssize_t)size)
				break;
			for (ssize_t i = 0; i + (ssize_t)size <= n && !is_there; i++)
				is_there = (bytes[i] ^ 0x55) == masked[0] && matches(bytes + i, masked, size);
			at += (uint64_t)n == sizeof bytes ? sizeof bytes - size : (uint64_t)n;
		}
	}
	memset(bytes, 0, sizeof bytes);
	fclose(maps);
	close(memory);
	return is_there;
}

/* The key is not in a core dump: where it is kept, where it was passed on, and in a process that has only the segment. */
static void test_key_is_not_dumped(void **state)
{
	static struct backing_record record;
	uint8_t masked[SPILL_KEY_BYTES], identity[SPILL_IDENTITY_BYTES];

	if (advice_is_ignored())
		skip();
	if (RUNNING_UNDER_SANITIZER)
		SKIP_BECAUSE("the sanitizer's own mappings are too large to be looked through");
	begin();
	verify(0);
	must(backing_record_read(dev, &record, &why) == 0);
	for (unsigned i = 0; i < sizeof masked; i++)
		masked[i] = record.key[i] ^ 0x55;
	for (unsigned i = 0; i < sizeof identity; i++)
		identity[i] = record.identity[i] ^ 0x55;
	/* That the look finds anything. */
	assert_true(is_dumped(identity, sizeof identity) && is_dumped(masked, sizeof masked));
	explicit_bzero(&record, sizeof record);
	assert_false(is_dumped(masked, sizeof masked));
	close_it();
	must(start_again() == 0);
	assert_false(is_dumped(masked, sizeof masked));
	close_it();
	must(zsblk_open(&params, &dev, &why) == 0);
	assert_false(is_dumped(masked, sizeof masked));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPILLING_TEST(test_next_process),     SPILLING_TEST(test_killed),
		SPILLING_TEST(test_store_is_missing), SPILLING_TEST(test_no_place_to_wait_in),
		SPILLING_TEST(test_one_deadline),     SPILLING_TEST(test_store_has_moved),
		SPILLING_TEST(test_set_aside),        SPILLING_TEST(test_killed_while_making),
		SPILLING_TEST(test_relative_path),    SPILLING_TEST(test_nothing_waits_for_attach),
		SPILLING_TEST(test_claims_first),     SPILLING_TEST(test_key_is_not_dumped),
	};

	use_module();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
