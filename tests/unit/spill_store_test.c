/* SPDX-License-Identifier: BSD-3-Clause */
/* A store in a file: what is put comes back, also for the next process; what is refused; damage, and no room. */
#include "lib/emulator.h"
#include "lib/spill_file.h"

#include "spill/little.h"
#include "spill/object.h"

/* ------------------------------------------------------------------ life */

static void go_round(void)
{
	/* More than two buckets. */
	uint32_t objects = test_env("ZSBLK_SHORT") ? 600 : 1500;

	open_it();
	assert_int_equal(owner_put(&owner, 0, objects), 0);
	assert_int_equal(owner_get_all(&owner), 0);
	open_again();
	assert_int_equal(owner_get_all(&owner), 0);
	/* Two of three are replaced or dropped; what is left of their buckets is moved together. */
	for (uint32_t i = 0; i < objects; i++)
		if (i % 3)
			owner_drop(&owner, i);
	assert_int_equal(owner_put(&owner, objects - 300, 200), 0);
	assert_int_equal(owner_clean(&owner), 0);
	assert_true(stats_now().cleaned > 0);
	assert_in_range(stats_now().used_bytes, stats_now().live_bytes, stats_now().live_bytes * 3 / 2 + MIB);
	assert_int_equal(owner_get_all(&owner), 0);
	open_again();
	assert_int_equal(owner_get_all(&owner), 0);
	for (uint32_t i = 0; i < objects; i++)
		owner_drop(&owner, i);
	assert_int_equal(owner_clean(&owner), 0);
	assert_int_equal(stats_now().objects, 0);
	assert_int_equal(stats_now().live_bytes, 0);
}

static void test_sealed(void **state)
{
	go_round();
	assert_false(is_in_file(OWNER_TEXT, strlen(OWNER_TEXT)));
	assert_false(is_in_file(owner.table->key, SPILL_KEY_BYTES));
	assert_true(is_in_file(owner.table->identity, SPILL_IDENTITY_BYTES));
}

static void test_plain(void **state)
{
	params.plain = true;
	go_round();
	open_again();
	assert_int_equal(owner_put(&owner, 0, 30), 0);
	assert_true(is_in_file(OWNER_TEXT, strlen(OWNER_TEXT)));
}

/* Space of dropped objects goes back to the file system. */
static void test_discards(void **state)
{
	struct stat before, after;

	open_it();
	assert_int_equal(owner_put(&owner, 0, 2000), 0);
	must(stat(path, &before) == 0);
	for (uint32_t i = 0; i < 2000; i++)
		owner_drop(&owner, i);
	/* The open bucket is left. */
	assert_int_equal(owner_clean(&owner), 0);
	must(stat(path, &after) == 0);
	if (stats_now().discarded == 0)
		SKIP_BECAUSE("this file system gives nothing of a file back");
	assert_true(after.st_blocks < before.st_blocks / 2);
}

/* What stands in docs/spill.md: bytes in the store for each byte of objects, of single blocks and of groups. */
static void test_overhead(void **state)
{
	static const size_t most[] = {2200, 16000};

	for (unsigned i = 0; i < COUNT_OF(most); i++) {
		struct spill_stats stats;

		owner.most = most[i];
		open_it();
		assert_int_equal(owner_put(&owner, 0, 2000), 0);
		stats = stats_now();
		assert_true(stats.used_bytes * 100 <= stats.object_bytes * 105);
		print_message("# %" PRIu64 " bytes of objects take %" PRIu64 "\n", stats.object_bytes,
			      stats.used_bytes);
		for (uint32_t k = 0; k < 2000; k++)
			owner_drop(&owner, k);
		owner_close(&owner);
	}
}

/* The buffers, which have what others have stored, are left out of core dumps. */
static void test_dumps(void **state)
{
	char line[400];
	bool is_dumped = true, is_large = false;
	FILE *f;

	if (advice_is_ignored())
		skip();
	open_it();
	f = fopen("/proc/self/smaps", "re");
	must(f != NULL);
	while (fgets(line, sizeof line, f)) {
		unsigned long kib;

		if (sscanf(line, "Size: %lu kB", &kib) == 1)
			is_large = kib >= 3 * 1024 && kib < 4 * 1024;
		if (is_large && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dd"))
			is_dumped = false;
	}
	fclose(f);
	assert_false(is_dumped);
}

/* ------------------------------------------------------------------ what is refused */

static void expect(int error, const char *text)
{
	assert_int_equal(owner_open(&owner, &params, &why), error);
	assert_null(owner.store);
	if (!strstr(why.text, text))
		fail_msg("'%s' does not say '%s'", why.text, text);
}

static void test_foreign_files(void **state)
{
	static const char text[] = "somebody's letters";

	change_file(0, text, sizeof text);
	expect(-EMEDIUMTYPE, "data at byte 0");
	params.existing = params.take_over = true;
	expect(-EMEDIUMTYPE, "data at byte 0");
	assert_true(is_in_file(text, sizeof text));
	must(truncate(path, 0) == 0);
	change_file(3 * MIB, text, sizeof text);
	expect(-EMEDIUMTYPE, "data near its end");
	must(truncate(path, 0) == 0);
	params.existing = false;
	expect(-EMEDIUMTYPE, "only if that is asked for");
	params.existing = true;
	open_it();
}

static void test_other_users(void **state)
{
	change_file(0, "", 0);
	params.existing = true;
	must(chmod(path, 0620) == 0);
	expect(-EPERM, "mode 620");
	must(chmod(path, 0600) == 0);
	if (geteuid() == 0) {
		must(chown(path, 12345, 0) == 0);
		expect(-EPERM, "belongs to user 12345");
		must(chown(path, 0, 0) == 0);
	}
	open_it();
}

static void test_other_stores(void **state)
{
	struct owner other;

	open_it();
	assert_int_equal(owner_put(&owner, 0, 10), 0);
	owner_init(&other, owner_new_table(), 9000);
	/* In use, whatever is asked for. */
	params.existing = params.take_over = true;
	assert_int_equal(owner_open(&other, &params, &why), -EBUSY);
	params.take_over = false;
	owner_close(&owner);
	assert_int_equal(owner_open(&other, &params, &why), -EEXIST);
	open_it();
	assert_int_equal(owner_get_all(&owner), 0);
	owner_close(&owner);
	params.take_over = true;
	assert_int_equal(owner_open(&other, &params, &why), 0);
	owner_close(&other);
	expect(-ESTALE, "another device");
	/* With a key that is wrong nothing is read. */
	memcpy(owner.table->identity, other.table->identity, SPILL_IDENTITY_BYTES);
	memset(owner.table->key, 1, SPILL_KEY_BYTES);
	open_it();
	assert_int_equal(owner_get(&owner, 0), -EBADMSG);
	munmap(other.table, sizeof *other.table);
}

static void test_locations(void **state)
{
	params.location = files_top;
	expect(-EINVAL, "neither a file");
	params.location = "http://example.org/";
	expect(-EINVAL, "neither a file");
	params.location = "/nowhere/at/all";
	expect(-ENOENT, "cannot be opened");
	params.location = path;
	params.limit = SPILL_LEAST - 1;
	expect(-EINVAL, "too small");
	assert_int_equal(access(path, F_OK), -1);
	params.limit = 24 * MIB;
	params.depth = 0;
	expect(-EINVAL, "");
}

/* A store on the device that it is for, through the file system. */
static void test_on_the_device(void **state)
{
	struct stat st;

	must(stat(files_top, &st) == 0);
	params.device = st.st_dev;
	expect(-ELOOP, "lie");
	/* What was created for it is gone. */
	assert_int_equal(access(path, F_OK), -1);
}

/* ------------------------------------------------------------------ faults */

/* Wrong bytes, anywhere: the objects that have them are refused, and the others are what they were. */
static void test_wrong_bytes(void **state)
{
	uint32_t bad = 0;

	open_it();
	assert_int_equal(owner_put(&owner, 0, 300), 0);
	for (uint64_t at = MIB + 1000; at < MIB + 600000; at += 50000)
		change_file(at, "wrong bytes here", 16);
	for (uint32_t i = 0; i < 300; i++) {
		int r = owner_get(&owner, i);

		assert_true(r == 0 || r == -EBADMSG);
		bad += r != 0;
	}
	assert_in_range(bad, 6, 24);
	assert_int_equal(stats_now().damaged, bad);
	/* Cleaning cannot go through such a bucket, and leaves it. */
	for (uint32_t i = 0; i < 300; i += 2)
		owner_drop(&owner, i);
	assert_int_equal(owner_put(&owner, 1000, 400), 0);
	assert_int_equal(owner_clean(&owner), 0);
	for (uint32_t i = 1000; i < 1400; i++)
		assert_int_equal(owner_get(&owner, i), 0);
}

static void test_shorter_file(void **state)
{
	open_it();
	assert_int_equal(owner_put(&owner, 0, 300), 0);
	must(truncate(path, (off_t)(MIB + 400000)) == 0);
	assert_int_equal(owner_get(&owner, 0), 0);
	assert_int_equal(owner_get(&owner, 299), -ENODATA);
	/* What is written from now on is there. */
	assert_int_equal(owner_put(&owner, 300, 300), 0);
	assert_int_equal(owner_get(&owner, 599), 0);
}

/* An old object in the place of a new one, as a store might show it on purpose. */
static void test_older_object(void **state)
{
	static uint8_t old[64 * 1024];
	int fd;

	owner.most = 1;
	open_it();
	assert_int_equal(owner_put(&owner, 5, 1), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && pread(fd, old, 4096, (off_t)MIB) == 4096);
	close(fd);
	owner_drop(&owner, 5);
	open_again();
	assert_int_equal(owner_put(&owner, 5, 1), 0);
	assert_int_equal(owner.table->words[5].place, MIB / SPILL_UNIT);
	change_file(MIB, old, 4096);
	assert_int_equal(owner_get(&owner, 5), -EBADMSG);
}

/* Object 5, in the place where another one was, by a process before: that one's bytes. */
static void put_in_place_of(uint8_t old[4096])
{
	int fd;

	owner.most = 1;
	open_it();
	assert_int_equal(owner_put(&owner, 5, 1), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && pread(fd, old, 4096, (off_t)MIB) == 4096);
	close(fd);
	owner_drop(&owner, 5);
	open_again();
	assert_int_equal(owner_put(&owner, 5, 1), 0);
}

/* The same in a process that comes later: it is older than everything that is live. */
static void test_object_below_the_floor(void **state)
{
	static uint8_t old[4096];

	put_in_place_of(old);
	open_again();
	assert_int_equal(owner_get(&owner, 5), 0);
	change_file(MIB, old, sizeof old);
	assert_int_equal(owner_get(&owner, 5), -EBADMSG);
}

/* What a killed process has asked for may be carried out late: the next one puts nothing there. */
static void test_late_write(void **state)
{
	struct spill_busy noted;

	open_it();
	assert_int_equal(owner_put(&owner, 5, 1), 0);
	noted = owner.table->busy[SPILL_BUSY_WRITES];
	assert_int_equal(noted.first, 1);
	assert_int_equal(noted.count, 1);
	owner_close(&owner);
	assert_int_equal(owner.table->busy[SPILL_BUSY_WRITES].count, 0);
	/* As a killed one would have left it; its objects can be read, and when they are gone, the bucket is left. */
	owner.table->busy[SPILL_BUSY_WRITES] = noted;
	owner.table->busy[SPILL_BUSY_DISCARDS] = (struct spill_busy){3, 2};
	open_it();
	assert_int_equal(stats_now().buckets_lost, 3);
	assert_int_equal(owner_get(&owner, 5), 0);
	owner_drop(&owner, 5);
	assert_int_equal(owner_put(&owner, 0, 500), 0);
	for (uint32_t i = 0; i < 500; i++) {
		uint64_t bucket = owner.table->words[i].place * SPILL_UNIT / MIB;

		assert_true(bucket == 2 || bucket > 4);
	}
	assert_true(owner.table->busy[SPILL_BUSY_WRITES].first > 4);
	/* The one after it can have them. */
	open_again();
	assert_int_equal(stats_now().buckets_lost, 0);
	assert_int_equal(owner_get_all(&owner), 0);
}

/* The same, where cleaning comes upon it: what is moved would get a number of now, and be believed from then on. */
static void test_older_object_is_not_moved(void **state)
{
	static uint8_t old[4096];

	put_in_place_of(old);
	/* The bucket becomes full, and nothing but this object stays in it. */
	while (owner.table->words[6].place < 2 * MIB / SPILL_UNIT)
		assert_int_equal(owner_put(&owner, 6, OWNER_OBJECTS - 6), 0);
	assert_int_equal(owner_put(&owner, 6, OWNER_OBJECTS - 6), 0);
	change_file(MIB, old, sizeof old);
	assert_int_equal(owner_clean(&owner), 0);
	assert_int_equal(owner.table->words[5].place, MIB / SPILL_UNIT);
	assert_int_equal(owner_get(&owner, 5), -EBADMSG);
	assert_int_equal(stats_now().damaged, 2);
}

static void test_full(void **state)
{
	struct spill_stats stats;
	uint32_t number = 0;
	int r;

	params.limit = 8 * MIB;
	owner.most = 60000;
	open_it();
	do {
		r = owner_put(&owner, number, 10);
		number += 10;
	} while (r == 0);
	assert_int_equal(r, -ENOSPC);
	assert_true(stats_now().used_bytes > 5 * MIB);
	/* A half is dropped, here and there: after cleaning there is room again. */
	for (uint32_t i = 0; i < number; i += 2)
		owner_drop(&owner, i);
	assert_int_equal(owner_clean(&owner), 0);
	assert_int_equal(owner_put(&owner, 2000, 30), 0);
	assert_int_equal(owner_get_all(&owner), 0);
	stats = stats_now();
	assert_true(stats.used_bytes <= stats.capacity);
	/* Less room: nothing is lost, and nothing more fits. */
	assert_int_equal(spill_set_limit(owner.store, SPILL_LEAST - 1), -EINVAL);
	assert_int_equal(spill_set_limit(owner.store, SPILL_LEAST), 0);
	assert_int_equal(owner_put(&owner, 3000, 60), -ENOSPC);
	assert_int_equal(owner_get_all(&owner), 0);
	assert_int_equal(spill_set_limit(owner.store, 0), 0);
}

/* ------------------------------------------------------------------ order */

static int refuse_to_raise(void *opaque, uint64_t sequence)
{
	return -EROFS;
}

/* The numbers of the nonces of all objects, as they stand in the file: each is used once, and was noted before. */
static void expect_new_sequences(uint32_t count)
{
	static uint64_t seen[OWNER_OBJECTS * 4];
	static size_t known;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	must(fd >= 0);
	known = count ? known : 0;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t head[SPILL_OBJECT_HEAD];
		uint64_t sequence;

		must(pread(fd, head, sizeof head, (off_t)(owner.table->words[i].place * SPILL_UNIT)) == sizeof head);
		sequence = little_get64(head + 4);
		assert_true(sequence < owner.table->sequence);
		for (size_t k = 0; k < known; k++)
			assert_int_not_equal(seen[k], sequence);
		seen[known++] = sequence;
	}
	close(fd);
}

/* Numbers for nonces are noted before they are used, and begin behind what was noted. */
static void test_sequence(void **state)
{
	struct spill_object object = {(uint32_t[]){1}, 1, "x", 1};
	uint64_t place, noted;

	open_it();
	expect_new_sequences(0);
	assert_int_equal(owner.table->sequence, 0);
	assert_int_equal(owner_put(&owner, 0, 100), 0);
	expect_new_sequences(100);
	noted = owner.table->sequence;
	assert_true(noted > 0);
	open_again();
	assert_int_equal(owner_put(&owner, 0, 100), 0);
	expect_new_sequences(100);
	assert_true(owner.table->sequence > noted);
	/* What is moved has a number of its own. */
	assert_int_equal(owner_put(&owner, 100, 500), 0);
	for (uint32_t i = 100; i < 600; i++)
		owner_drop(&owner, i);
	assert_int_equal(owner_clean(&owner), 0);
	assert_true(stats_now().moved_bytes > 0);
	expect_new_sequences(100);
	owner_close(&owner);
	params.owner.raise_sequence = refuse_to_raise;
	params.sequence = owner.table->sequence;
	assert_int_equal(spill_open(&params, &owner.store, &why), 0);
	spill_start(owner.store);
	assert_int_equal(spill_put(owner.store, &object, &place), -EROFS);
}

static void test_misuse(void **state)
{
	struct spill_object object = {(uint32_t[]){1}, 1, "x", 1};
	struct spill_read read = {.place = MIB / SPILL_UNIT, .bytes = 1, .buffer = path};
	uint64_t place;

	params.owner = (struct spill_owner){&owner, NULL, owner_raise, NULL, owner_is_live, owner_move};
	assert_int_equal(spill_make(&params, &owner.store, &why), 0);
	assert_int_equal(spill_put(owner.store, &object, &place), -EINVAL);
	spill_start(owner.store);
	object.size = SPILL_OBJECT_MOST + 1;
	assert_int_equal(spill_put(owner.store, &object, &place), -EINVAL);
	object.size = 0;
	assert_int_equal(spill_put(owner.store, &object, &place), -EINVAL);
	object = (struct spill_object){(uint32_t[]){1}, SPILL_NUMBERS_MOST + 1, "x", 1};
	assert_int_equal(spill_put(owner.store, &object, &place), -EINVAL);
	/* Places where nothing is. */
	assert_int_equal(spill_get(owner.store, &read), -ERANGE);
	read.place = 0;
	assert_int_equal(spill_get(owner.store, &read), -ERANGE);
	read.place = UINT64_MAX;
	assert_int_equal(spill_get(owner.store, &read), -ERANGE);
	spill_drop(owner.store, MIB / SPILL_UNIT, 100);
	assert_int_equal(stats_now().drops, 0);
	spill_cancel(owner.store);
	assert_int_equal(spill_get(owner.store, &read), -ECANCELED);
}

static void test_status(void **state)
{
	struct spill_status status;
	struct spill_stats stats;
	uint64_t timed = 0;

	open_it();
	assert_int_equal(owner_put(&owner, 0, 50), 0);
	assert_int_equal(owner_get_all(&owner), 0);
	spill_status(owner.store, &status);
	assert_int_equal(status.kind, SPILL_FILE);
	assert_true(status.encrypted && status.reachable && !status.full && !status.stuck);
	assert_string_equal(status.text, "");
	stats = stats_now();
	for (unsigned i = 0; i < SPILL_LATENCIES; i++)
		timed += stats.latency[i];
	assert_int_equal(stats.gets, 50);
	assert_int_equal(timed, 50);
	assert_int_equal(stats.puts, 50);
	assert_int_equal(stats.objects, 50);
	/* Of the reserved memory, the largest parts: two buckets, and the buffers of reads. */
	assert_true(stats.memory >= 2 * MIB + params.depth * 80 * 1024 && stats.memory < 4 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_sealed),
		STORE_TEST(test_plain),
		STORE_TEST(test_discards),
		STORE_TEST(test_overhead),
		STORE_TEST(test_foreign_files),
		STORE_TEST(test_other_users),
		STORE_TEST(test_other_stores),
		STORE_TEST(test_locations),
		STORE_TEST(test_on_the_device),
		STORE_TEST(test_wrong_bytes),
		STORE_TEST(test_shorter_file),
		STORE_TEST(test_older_object),
		STORE_TEST(test_full),
		STORE_TEST(test_sequence),
		STORE_TEST(test_misuse),
		STORE_TEST(test_status),
		STORE_TEST(test_dumps),
		STORE_TEST(test_older_object_is_not_moved),
		STORE_TEST(test_object_below_the_floor),
		STORE_TEST(test_late_write),
	};

	return cmocka_run_group_tests_name("spill_store", tests, NULL, NULL);
}
