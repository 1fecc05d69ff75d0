/* SPDX-License-Identifier: BSD-3-Clause */
/* The segment: names, mapping, populating, releasing, in both kinds of memory. */
#include "lib/emulator.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "process/system_page.h"
#include "segment/owner.h"
#include "segment/segment.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>

#define PAGES 1024u

static void test_parse(void **state)
{
	static const struct {
		const char *memory;
		enum segment_kind kind;
		bool by_id;
		int key;
	} good[] = {
		{NULL, SEGMENT_ANON, false, 0},
		{"anon", SEGMENT_ANON, false, 0},
		{"shm:1", SEGMENT_SHM, false, 1},
		{"shm:0x7a73", SEGMENT_SHM, false, 0x7a73},
		{"shm:4294967295", SEGMENT_SHM, false, -1},
		{"shm:0xffffffff", SEGMENT_SHM, false, -1},
		{"shm:id=0", SEGMENT_SHM, true, 0},
		{"shm:id=2147483647", SEGMENT_SHM, true, INT32_MAX},
	};
	struct segment_spec spec;

	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(segment_parse(good[i].memory, &spec), 0);
		assert_int_equal(spec.kind, good[i].kind);
		assert_int_equal(spec.by_id, good[i].by_id);
		assert_int_equal(spec.key, good[i].key);
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"anonymous",
		"shm",
		"shm:",
		"shm:0",
		"shm:00",
		"shm: 1",
		"shm:-1",
		"shm:+1",
		"shm:1 ",
		"shm:1x",
		"shm:4294967296",
		"shm:0x",
		"shm:id=",
		"shm:id=x",
		"shm:id=0x1",
		"shm:id=-1",
		"shm:id=2147483648",
		"SHM:1",
		"file:1",
		"shm:key",
		"shm:0x1ffffffff",
		"shm:99999999999999999999999",
	};
	struct segment_spec spec;

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (segment_parse(bad[i], &spec) != -EINVAL)
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void open_kind(struct segment *seg, bool shared)
{
	const struct test_shm *shm = shared ? test_shm_new() : NULL;
	struct segment_spec spec;
	const char *step;

	assert_int_equal(segment_parse(shm ? shm->memory : "anon", &spec), 0);
	assert_int_equal(segment_open(seg, &spec, PAGES * SEGMENT_PAGE, &step), 0);
	assert_true(seg->fresh);
	assert_int_equal(seg->bytes, PAGES * SEGMENT_PAGE);
}

static unsigned resident(const struct segment *seg)
{
	unsigned char vec[PAGES];
	unsigned n = 0;

	assert_int_equal(segment_resident(seg, 0, PAGES * SEGMENT_PAGE, vec), 0);
	for (unsigned i = 0; i < PAGES; i++)
		n += vec[i] & 1;
	return n;
}

static void populate_and_release(bool shared)
{
	uint64_t page = system_page();
	struct segment seg;

	open_kind(&seg, shared);
	assert_int_equal(resident(&seg), 0);
	assert_int_equal(segment_populate(&seg, 8 * page, 16 * page), 0);
	assert_int_equal(resident(&seg), 16 * page / SEGMENT_PAGE);
	for (unsigned i = 0; i < PAGES * SEGMENT_PAGE; i += 512)
		assert_int_equal(seg.base[i], 0);
	memset(seg.base, 0xee, PAGES * SEGMENT_PAGE);
	assert_int_equal(resident(&seg), PAGES);
	/* Populating does not change what is there. */
	assert_int_equal(segment_populate(&seg, 0, PAGES * SEGMENT_PAGE), 0);
	assert_int_equal(seg.base[5000], 0xee);
	assert_int_equal(segment_release(&seg, 10 * page, 20 * page), 0);
	assert_int_equal(resident(&seg), PAGES - 20 * page / SEGMENT_PAGE);
	assert_int_equal(seg.base[10 * page - 1], 0xee);
	assert_int_equal(seg.base[10 * page], 0);
	assert_int_equal(seg.base[30 * page - 1], 0);
	assert_int_equal(seg.base[30 * page], 0xee);
	segment_close(&seg);
	segment_close(&seg);
}

static void test_anonymous_memory(void **state)
{
	if (advice_is_ignored())
		skip();
	populate_and_release(false);
}

static void test_shared_memory(void **state)
{
	if (advice_is_ignored())
		skip();
	populate_and_release(true);
}

/* Every range, whatever part of a system page it begins and ends in: what lies beside it stays, what lies in it goes in whole
 * system pages, and what is populated or resident is told page by page. */
static void release_parts(bool shared)
{
	const unsigned group = (unsigned)(system_page() / SEGMENT_PAGE), span = 3 * group + 1;
	struct segment seg;

	open_kind(&seg, shared);
	for (unsigned first = 0; first < span; first++) {
		for (unsigned end = first; end <= span; end++) {
			unsigned whole = (first + group - 1) / group * group, until = end / group * group;
			unsigned char vec[PAGES];

			memset(seg.base, 0xee, (span + group) * SEGMENT_PAGE);
			assert_int_equal(segment_release(&seg, first * SEGMENT_PAGE, (end - first) * SEGMENT_PAGE), 0);
			assert_int_equal(segment_resident(&seg, SEGMENT_PAGE, span * SEGMENT_PAGE, vec), 0);
			for (unsigned i = 0; i < span + group; i++)
				if ((seg.base[i * SEGMENT_PAGE] == 0) != (i >= whole && i < until))
					fail_msg("pages %u to %u released, and page %u is wrong", first, end, i);
			for (unsigned i = 1; i <= span; i++)
				if ((vec[i - 1] & 1) == (i >= whole && i < until))
					fail_msg("pages %u to %u released, and page %u is said to be %s memory", first,
						 end, i, vec[i - 1] & 1 ? "in" : "out of");
			/* What is populated stays what it was, also where that is less than a system page. */
			assert_int_equal(segment_populate(&seg, first * SEGMENT_PAGE, (end - first) * SEGMENT_PAGE), 0);
			assert_int_equal(seg.base[(span + group - 1) * SEGMENT_PAGE], 0xee);
		}
	}
	segment_close(&seg);
}

static void test_parts_of_system_pages(void **state)
{
	if (advice_is_ignored())
		skip();
	release_parts(false);
	release_parts(true);
}

/* Nothing lies behind the end of a segment: its last system page goes although the segment ends within. */
static void test_release_at_the_end(void **state)
{
	const struct segment_spec anon = {.kind = SEGMENT_ANON};
	unsigned char vec[PAGES];
	struct segment seg;
	const char *step;

	assert_int_equal(segment_open(&seg, &anon, (PAGES - 1) * SEGMENT_PAGE, &step), 0);
	memset(seg.base, 0xee, (PAGES - 1) * SEGMENT_PAGE);
	assert_int_equal(segment_release(&seg, 0, (PAGES - 1) * SEGMENT_PAGE), 0);
	assert_int_equal(segment_resident(&seg, 0, (PAGES - 1) * SEGMENT_PAGE, vec), 0);
	for (unsigned i = 0; i < PAGES - 1; i++)
		assert_int_equal(vec[i] & 1, 0);
	segment_close(&seg);
}

static void test_injected_failures(void **state)
{
	struct segment seg;
	unsigned failed = 0;

	open_kind(&seg, false);
	seg.fail_every = 3;
	for (unsigned i = 0; i < 9; i++)
		failed += segment_populate(&seg, 0, SEGMENT_PAGE) == -ENOMEM;
	assert_int_equal(failed, 3);
	segment_close(&seg);
}

/* An existing segment keeps its size and its bytes, whatever is asked for. */
static void test_attach_again(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct segment_spec spec, by_id;
	struct segment seg;
	const char *step;
	char text[40];

	segment_parse(shm->memory, &spec);
	assert_int_equal(segment_open(&seg, &spec, PAGES * SEGMENT_PAGE, &step), 0);
	memcpy(seg.base + 5000, "hello", 6);
	segment_close(&seg);
	assert_int_equal(segment_open(&seg, &spec, 2 * PAGES * SEGMENT_PAGE, &step), 0);
	assert_false(seg.fresh);
	assert_int_equal(seg.bytes, PAGES * SEGMENT_PAGE);
	assert_string_equal((char *)seg.base + 5000, "hello");
	segment_close(&seg);
	snprintf(text, sizeof text, "shm:id=%d", test_shm_id(shm));
	assert_int_equal(segment_parse(text, &by_id), 0);
	assert_int_equal(segment_open(&seg, &by_id, 1, &step), 0);
	assert_string_equal((char *)seg.base + 5000, "hello");
	assert_int_equal(segment_remove_open(&seg), 0);
	segment_close(&seg);
	assert_int_equal(segment_attach(&seg, &spec, &step), -ENOENT);
	assert_int_equal(segment_attach(&seg, &by_id, &step), -ENOENT);
	assert_int_equal(segment_open(&seg, &by_id, 1, &step), -ENOENT);
	assert_true(strlen(step) > 0);
}

/* Looking at what does not exist makes nothing: it would be in the way of whoever makes it next. */
static void test_attach_makes_nothing(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct segment_spec spec;
	struct segment seg;
	const char *step;

	segment_parse(shm->memory, &spec);
	assert_int_equal(segment_attach(&seg, &spec, &step), -ENOENT);
	assert_int_equal(test_shm_id(shm), -1);
	assert_int_equal(segment_attach(&seg, &(struct segment_spec){.kind = SEGMENT_ANON}, &step), -EINVAL);
	segment_close(&seg);
}

/* ------------------------------------------------------------------ whose it is */

static void refuse(const struct test_shm *shm)
{
	struct segment_spec spec;
	struct segment seg;
	const char *step;

	segment_parse(shm->memory, &spec);
	assert_int_equal(segment_open(&seg, &spec, PAGES * SEGMENT_PAGE, &step), -EPERM);
	assert_string_equal(step, SEGMENT_FOREIGN);
	assert_null(seg.base);
	assert_int_equal(segment_attach(&seg, &spec, &step), -EPERM);
	assert_true(test_shm_id(shm) >= 0);
}

/* Ours, and open to others: whoever has attached it stays in it. */
static void test_open_to_others(void **state)
{
	static const unsigned modes[] = {0604, 0602, 0640, 0620, 0666, 0777, 0601};

	if (shm_mode_is_lost())
		skip();
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		const struct test_shm *shm = test_shm_new();

		must(shmget(shm->key, PAGES * SEGMENT_PAGE, IPC_CREAT | (int)modes[i]) >= 0);
		refuse(shm);
		test_shm_remove(shm);
	}
}

struct foreign {
	int key;
	unsigned mode;
	bool give_away; /* to us: its maker stays its creator */
};

static void make_foreign(void *opaque)
{
	const struct foreign *foreign = opaque;
	struct shmid_ds ds;
	int id;

	must(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	id = shmget(foreign->key, PAGES * SEGMENT_PAGE, IPC_CREAT | (int)foreign->mode);
	must(id >= 0 && shmctl(id, IPC_STAT, &ds) == 0);
	ds.shm_perm.uid = 0;
	must(!foreign->give_away || shmctl(id, IPC_SET, &ds) == 0);
	_exit(0);
}

/* What another user made under this key before us shows that user all that is stored in it. */
static void test_made_by_others(void **state)
{
	static const struct {
		unsigned mode;
		bool give_away;
	} all[] = {{0666, false}, {0600, false}, {0666, true}, {0600, true}};

	if (geteuid() != 0)
		SKIP_BECAUSE("it takes root");
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		const struct test_shm *shm = test_shm_new();
		struct foreign foreign = {shm->key, all[i].mode, all[i].give_away};
		char text[400];

		assert_int_equal(WEXITSTATUS(test_in_child(make_foreign, &foreign)), 0);
		refuse(shm);
		owner_explain(test_shm_id(shm), text, sizeof text);
		assert_non_null(strstr(text, "made by user 65534"));
		assert_non_null(strstr(text, all[i].give_away ? "belongs to user 0" : "belongs to user 65534"));
		assert_non_null(strstr(text, all[i].mode == 0666 ? "mode 0666" : "mode 0600"));
		assert_non_null(strstr(text, "ipcrm -m"));
		test_shm_remove(shm);
	}
}

/* One that we made, given away: its new owner can attach it. */
static void test_given_to_others(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct shmid_ds ds;
	int id;

	if (geteuid() != 0)
		SKIP_BECAUSE("it takes root");
	id = shmget(shm->key, PAGES * SEGMENT_PAGE, IPC_CREAT | 0600);
	must(id >= 0 && shmctl(id, IPC_STAT, &ds) == 0);
	ds.shm_perm.uid = 65534;
	must(shmctl(id, IPC_SET, &ds) == 0);
	refuse(shm);
}

static void test_private(void **state)
{
	struct segment seg, other;
	struct shmid_ds ds;
	const char *step;

	if (shm_mode_is_lost())
		skip();
	assert_int_equal(segment_create(&seg, IPC_PRIVATE, PAGES * SEGMENT_PAGE, &step), 0);
	assert_true(seg.fresh);
	assert_int_equal(shmctl(seg.shmid, IPC_STAT, &ds), 0);
	assert_int_equal(ds.shm_perm.__key, IPC_PRIVATE);
	assert_int_equal(ds.shm_perm.mode & 0777, 0600);
	assert_int_equal(segment_create(&other, IPC_PRIVATE, PAGES * SEGMENT_PAGE, &step), 0);
	assert_int_not_equal(seg.shmid, other.shmid);
	assert_false(segment_is_removed(&seg));
	assert_int_equal(segment_remove_open(&seg), 0);
	assert_int_equal(segment_remove_open(&other), 0);
	assert_true(segment_is_removed(&seg));
	segment_close(&seg);
	assert_true(segment_is_removed(&seg));
	segment_close(&other);
}

/* A key that is taken is not made again. */
static void test_create_with_key(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct segment seg, other;
	const char *step;

	assert_int_equal(segment_create(&seg, shm->key, PAGES * SEGMENT_PAGE, &step), 0);
	assert_int_equal(segment_create(&other, shm->key, PAGES * SEGMENT_PAGE, &step), -EEXIST);
	assert_int_equal(test_shm_id(shm), seg.shmid);
	segment_close(&seg);
}

static void test_lock(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct segment_spec spec;
	struct segment seg;
	const char *step;
	int r;

	if (advice_is_ignored())
		skip();
	segment_parse(shm->memory, &spec);
	assert_int_equal(segment_open(&seg, &spec, PAGES * SEGMENT_PAGE, &step), 0);
	assert_false(test_shm_is_locked(shm));
	r = segment_lock(&seg);
	if (r)
		assert_true(r == -EPERM || r == -ENOMEM);
	else
		assert_true(test_shm_is_locked(shm));
	/* Locked pages can be given back all the same. */
	memset(seg.base, 1, system_page());
	segment_after_mlockall(&seg);
	assert_int_equal(segment_release(&seg, 0, system_page()), 0);
	assert_int_equal(seg.base[0], 0);
	segment_close(&seg);
}

static int refused_advice;
static unsigned advices;

/* In place of the C library's: a system that refuses one kind of advice. */
int madvise(void *start, size_t len, int advice)
{
	static int (*real)(void *, size_t, int);

	/* That of a kernel with larger pages, where tests are shown one. */
	if (!real)
		real = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "madvise");
	advices++;
	if (advice == refused_advice) {
		errno = EINVAL;
		return -1;
	}
	return real(start, len, advice == 24 /* MADV_DONTNEED_LOCKED */ ? MADV_DONTNEED : advice);
}

/* What gave memory back once is tried first the next time. */
static void test_release_remembers(void **state)
{
	struct segment_spec spec = {.kind = SEGMENT_ANON};
	struct segment seg;
	const char *step;

	assert_int_equal(segment_open(&seg, &spec, 4 * system_page(), &step), 0);
	for (unsigned i = 0; i < 12; i++) {
		/* Locked, unlocked again, locked again. */
		refused_advice = i / 4 % 2 ? 24 : MADV_DONTNEED;
		seg.base[0] = 1;
		advices = 0;
		assert_int_equal(segment_release(&seg, 0, system_page()), 0);
		assert_int_equal(seg.base[0], 0);
		assert_int_equal(advices, i % 4 ? 1 : 2);
	}
	refused_advice = 0;
	segment_close(&seg);
}

static void test_private_memory(void **state)
{
	uint8_t *mem = segment_private_map(10000);

	assert_non_null(mem);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(mem[i], 0);
	mem[9999] = 1;
	segment_private_unmap(mem, 10000);
	segment_private_unmap(NULL, 10000);
	assert_null(segment_private_map(SIZE_MAX - 65536));
}

static void test_larger_than_the_machine(void **state)
{
	struct segment_spec spec = {.kind = SEGMENT_ANON};
	struct segment seg;
	const char *step;

	assert_int_equal(segment_open(&seg, &spec, UINT64_MAX / 2 + 1, &step), -ENOMEM);
	assert_true(strlen(step) > 0);
	segment_close(&seg);
	segment_close(&(struct segment){0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_anonymous_memory),
		cmocka_unit_test(test_shared_memory),
		cmocka_unit_test(test_parts_of_system_pages),
		cmocka_unit_test(test_release_at_the_end),
		cmocka_unit_test(test_injected_failures),
		cmocka_unit_test(test_attach_again),
		cmocka_unit_test(test_attach_makes_nothing),
		cmocka_unit_test(test_open_to_others),
		cmocka_unit_test(test_made_by_others),
		cmocka_unit_test(test_given_to_others),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_create_with_key),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_release_remembers),
		cmocka_unit_test(test_private_memory),
		cmocka_unit_test(test_larger_than_the_machine),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
