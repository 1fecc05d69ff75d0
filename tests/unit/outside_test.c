/* SPDX-License-Identifier: BSD-3-Clause */
/* Segments from outside: made with a name, found by it, looked at, kept and removed, and nothing of it with others' segments. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "segment/claim.h"
#include "segment/format.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/resource.h>

static char name[ZSBLK_NAME_MAX + 1];

/* 32 bytes: the longest there can be, and nobody else's. */
static int set_up(void **state)
{
	snprintf(name, sizeof name, "outside-%024d", (int)getpid());
	return 0;
}

static pid_t forger;
static int forged = -1;

/* Also when a test has failed half-way. */
static int tear_down(void **state)
{
	char memory[24];
	int id = -1;

	if (forger > 0) {
		kill(forger, SIGKILL);
		waitpid(forger, NULL, 0);
	}
	if (forged >= 0)
		shmctl(forged, IPC_RMID, NULL);
	forger = 0;
	forged = -1;
	do {
		snprintf(memory, sizeof memory, "shm:id=%d", zsblk_find(name, &id, NULL) == -ENOENT ? -1 : id);
	} while (zsblk_remove(memory, NULL) == 0);
	return 0;
}

static void become_somebody(void)
{
	must(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
}

static int make(const struct zsblk_params *params)
{
	struct zsblk_why why = {""};
	int id;

	id = -1;
	if (zsblk_create(params, name, &id, &why))
		fail_msg("%s", why.text);
	return id;
}

static void remove_id(int id)
{
	char memory[24];

	snprintf(memory, sizeof memory, "shm:id=%d", id);
	assert_int_equal(zsblk_remove(memory, NULL), 0);
}

static void test_made(void **state)
{
	struct zsblk_params params = device_params(100);
	struct zsblk_segment found;
	struct zsblk_why why = {""};
	struct shmid_ds ds;
	struct zsblk *dev;
	char memory[24];
	int id;

	params.lock_shared = false;
	id = make(&params);
	assert_int_equal(shmctl(id, IPC_STAT, &ds), 0);
	assert_int_equal(ds.shm_perm.__key, IPC_PRIVATE);
	assert_int_equal(ds.shm_perm.mode & 0777, 0600);
	assert_int_equal(ds.shm_nattch, 0);
	snprintf(memory, sizeof memory, "shm:id=%d", id);
	assert_int_equal(zsblk_inspect(memory, &found, &why), 0);
	assert_string_equal(found.name, name);
	assert_int_equal(found.size, 100 * 4096);
	assert_int_equal(found.id, id);
	assert_int_equal(found.holder, 0);
	assert_true(found.used >= 4096);
	assert_false(found.in_service || found.removed || found.refused);
	params.memory = memory;
	assert_int_equal(zsblk_open(&params, &dev, &why), 0);
	assert_int_equal(zsblk_start(dev, &why), 0);
	device_put(dev, 7, BLOCK_TEXT, 1);
	zsblk_close(dev);
	assert_int_equal(zsblk_inspect(memory, &found, &why), 0);
	assert_true(found.in_service);
	remove_id(id);
}

static void test_made_with_a_key(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(100);
	struct zsblk_why why;
	int id, other;

	params.lock_shared = false;
	params.memory = shm->memory;
	id = make(&params);
	assert_int_equal(id, test_shm_id(shm));
	assert_int_equal(zsblk_create(&params, name, &other, &why), -EEXIST);
	remove_id(id);
}

/* Made by a newer version: found by its name and looked at, so that it is known for what it is, and not opened. */
static void test_unknown_features(void **state)
{
	struct zsblk_params params = device_params(100);
	struct zsblk_segment found;
	struct zsblk_why why = {""};
	struct super *super;
	struct zsblk *dev;
	char memory[24];
	int id, same;

	params.lock_shared = false;
	id = make(&params);
	snprintf(memory, sizeof memory, "shm:id=%d", id);
	params.memory = memory;
	super = shmat(id, NULL, 0);
	super->state.read_only = format_check(1);
	assert_true(zsblk_inspect(memory, &found, &why) == 0 && found.refused && strstr(why.text, "read-only 0x1"));
	assert_int_equal(zsblk_open(&params, &dev, &why), -EINVAL);
	super->state.incompatible = format_check(1u << 5);
	assert_int_equal(zsblk_find(name, &same, &why), 0);
	assert_int_equal(same, id);
	assert_int_equal(zsblk_inspect(memory, &found, &why), 0);
	assert_true(found.refused && found.features == 1u << 5 && strstr(why.text, "incompatible 0x20"));
	assert_true(found.size == 100 * 4096 && strcmp(found.name, name) == 0);
	assert_int_equal(zsblk_open(&params, &dev, &why), -EINVAL);
	shmdt(super);
	remove_id(id);
}

static void test_names(void **state)
{
	struct zsblk_params params = device_params(100);
	struct zsblk_why why;
	int id;

	params.lock_shared = false;
	assert_int_equal(zsblk_create(&params, "", &id, &why), -EINVAL);
	assert_int_equal(zsblk_create(&params, "123456789012345678901234567890123", &id, &why), -EINVAL);
	assert_non_null(strstr(why.text, "has 33 bytes"));
	params.size = 1;
	assert_int_equal(zsblk_create(&params, name, &id, &why), -EINVAL);
}

/* Where the variables of the calls before were. */
__attribute__((noinline)) static void overwrite_stack(void)
{
	volatile char bytes[65536];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = 0x41;
}

/* A segment that cannot be locked: nothing of it is left in this process either, and another one can be opened. */
static void fail_to_lock(void *opaque)
{
	const struct test_shm *shm = opaque;
	const struct rlimit none = {0, 0};
	struct zsblk_params params = device_params(100);
	struct zsblk_why why;
	struct zsblk *dev;
	int id;

	if (geteuid() == 0)
		become_somebody();
	must(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
	params.lock_shared = true;
	must(zsblk_create(&params, name, &id, &why) == -EPERM);
	must(zsblk_find(name, &id, &why) == -ENOENT);
	overwrite_stack();
	params.lock_shared = false;
	params.memory = shm->memory;
	must(zsblk_open(&params, &dev, &why) == 0);
	zsblk_close(dev);
	must(zsblk_remove(shm->memory, &why) == 0);
	_exit(42);
}

static void test_not_locked(void **state)
{
	assert_int_equal(test_in_child(fail_to_lock, (void *)(uintptr_t)test_shm_new()), 42 << 8);
}

static void test_found(void **state)
{
	struct zsblk_params params = device_params(100);
	struct zsblk_why why = {""};
	int first, second, id = -1;

	params.lock_shared = false;
	assert_int_equal(zsblk_find(name, &id, &why), -ENOENT);
	first = make(&params);
	assert_int_equal(zsblk_find(name, &id, &why), 0);
	assert_int_equal(id, first);
	/* A name is not found by how it begins. */
	name[strlen(name) - 1]++;
	assert_int_equal(zsblk_find(name, &id, &why), -ENOENT);
	assert_int_equal(zsblk_find("outside-", &id, &why), -ENOENT);
	assert_int_equal(zsblk_find("", &id, &why), -ENOENT);
	name[strlen(name) - 1]--;
	second = make(&params);
	assert_int_equal(zsblk_find(name, &id, &why), -EEXIST);
	assert_non_null(strstr(why.text, name));
	remove_id(first);
	assert_int_equal(zsblk_find(name, &id, &why), 0);
	assert_int_equal(id, second);
	remove_id(second);
}

/* ------------------------------------------------------------------ other users' */

struct forgery {
	int id;
	int told[2], go[2];
};

/* Another user forges a segment with our name in it, and opens it to all. */
static void forge(void *opaque)
{
	struct forgery *forgery = opaque;
	struct zsblk_params params = device_params(100);
	struct zsblk_why why;
	struct shmid_ds ds;
	char byte;

	become_somebody();
	params.lock_shared = false;
	must(zsblk_create(&params, name, &forgery->id, &why) == 0);
	must(shmctl(forgery->id, IPC_STAT, &ds) == 0);
	ds.shm_perm.mode = 0666;
	must(shmctl(forgery->id, IPC_SET, &ds) == 0);
	must(write(forgery->told[1], &forgery->id, sizeof forgery->id) == sizeof forgery->id);
	must(read(forgery->go[0], &byte, 1) == 1);
	must(shmctl(forgery->id, IPC_RMID, NULL) == 0);
	_exit(42);
}

static void test_others(void **state)
{
	struct zsblk_params params = device_params(100);
	struct forgery forgery = {0};
	struct zsblk_segment found;
	struct zsblk_why why = {""};
	struct zsblk_keep *keep;
	char memory[24], byte = 1;
	int id, status;

	if (geteuid() != 0)
		SKIP_BECAUSE("it takes root");
	must(pipe(forgery.told) == 0 && pipe(forgery.go) == 0);
	forger = fork();
	if (forger == 0) {
		forge(&forgery);
		_exit(1);
	}
	must(read(forgery.told[0], &forgery.id, sizeof forgery.id) == sizeof forgery.id);
	forged = forgery.id;
	snprintf(memory, sizeof memory, "shm:id=%d", forgery.id);
	params.memory = memory;
	assert_int_equal(zsblk_find(name, &id, &why), -ENOENT);
	assert_int_equal(zsblk_open(&params, &(struct zsblk *){NULL}, &why), -EPERM);
	assert_non_null(strstr(why.text, "made by user 65534"));
	assert_non_null(strstr(why.text, "ipcrm -m"));
	assert_int_equal(zsblk_inspect(memory, &found, &why), -EPERM);
	assert_non_null(strstr(why.text, "made by user 65534"));
	assert_int_equal(zsblk_remove(memory, &why), -EPERM);
	assert_int_equal(zsblk_keep(memory, &keep, &why), -EPERM);
	assert_null(keep);
	must(write(forgery.go[1], &byte, 1) == 1);
	must(waitpid(forger, &status, 0) == forger);
	forger = 0;
	forged = -1;
	assert_int_equal(WEXITSTATUS(status), 42);
}

static void look_as_somebody(void *opaque)
{
	const char *memory = opaque;
	struct zsblk_params params = device_params(100);
	struct zsblk_segment found;
	struct zsblk_why why = {""};

	become_somebody();
	params.memory = memory;
	params.lock_shared = false;
	/* It is there, and it is not ours; it is not called missing. */
	must(zsblk_inspect(memory, &found, &why) == -EPERM && strstr(why.text, "made by user 0"));
	must(zsblk_open(&params, &(struct zsblk *){NULL}, &why) == -EPERM);
	must(zsblk_remove(memory, &why) == -EPERM);
	_exit(42);
}

static void test_ours_for_others(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(100);
	char memory[24];

	if (geteuid() != 0)
		SKIP_BECAUSE("it takes root");
	params.lock_shared = false;
	params.memory = shm->memory;
	snprintf(memory, sizeof memory, "shm:id=%d", make(&params));
	assert_int_equal(WEXITSTATUS(test_in_child(look_as_somebody, memory)), 42);
	assert_int_equal(WEXITSTATUS(test_in_child(look_as_somebody, (void *)(uintptr_t)shm->memory)), 42);
	assert_int_equal(zsblk_remove(memory, NULL), 0);
}

/* ------------------------------------------------------------------ keeping */

static void write_and_die(void *opaque)
{
	struct zsblk_params params = device_params(100);
	struct zsblk_why why;
	struct zsblk *dev;

	params.lock_shared = false;
	params.memory = opaque;
	must(zsblk_open(&params, &dev, &why) == 0 && zsblk_start(dev, &why) == 0);
	device_put(dev, 7, BLOCK_TEXT, 1);
	raise(SIGKILL);
}

/* Removed by somebody, its server killed: what is stored is there as long as it is kept. */
static void test_kept(void **state)
{
	struct zsblk_params params = device_params(100);
	struct zsblk_why why = {""};
	struct zsblk_segment found;
	struct zsblk_keep *keep;
	struct shmid_ds ds;
	struct zsblk *dev;
	char memory[24];
	int id;

	params.lock_shared = false;
	id = make(&params);
	snprintf(memory, sizeof memory, "shm:id=%d", id);
	assert_int_equal(zsblk_keep(memory, &keep, &why), 0);
	assert_true(!zsblk_keep_is_removed(keep) && zsblk_keep_size(keep) == params.size);
	assert_true(WIFSIGNALED(test_in_child(write_and_die, memory)));
	/* No child has it attached. */
	assert_int_equal(shmctl(id, IPC_STAT, &ds), 0);
	assert_int_equal(ds.shm_nattch, 1);
	assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
	assert_true(zsblk_keep_is_removed(keep));
	assert_int_equal(zsblk_inspect(memory, &found, &why), 0);
	assert_true(found.removed);
	params.memory = memory;
	assert_int_equal(zsblk_open(&params, &dev, &why), 0);
	assert_true(zsblk_is_removed(dev));
	assert_true(device_has(dev, 7, BLOCK_TEXT, 1));
	zsblk_close(dev);
	zsblk_keep_end(keep);
	assert_int_equal(zsblk_inspect(memory, &found, &why), -ENOENT);
	zsblk_keep_end(NULL);
}

static void test_keep_refuses(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_why why = {""};
	struct zsblk_keep *keep;

	assert_int_equal(zsblk_keep(shm->memory, &keep, &why), -ENOENT);
	assert_int_equal(test_shm_id(shm), -1);
	assert_int_equal(zsblk_keep("anon", &keep, &why), -EINVAL);
	must(shmget(shm->key, 1 << 20, IPC_CREAT | 0600) >= 0);
	assert_int_equal(zsblk_keep(shm->memory, &keep, &why), -EINVAL);
	assert_null(keep);
}

/* Looking at what does not exist, again and again while it is made and removed, never makes one in its place. */
static void look_for_ever(void *opaque)
{
	struct zsblk_segment found;

	for (;;)
		zsblk_inspect(opaque, &found, NULL);
}

static void test_looking_makes_nothing(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(100);
	struct zsblk_why why = {""};
	pid_t pid = fork();
	int id, r = 0;

	if (pid == 0)
		look_for_ever((void *)(uintptr_t)shm->memory);
	params.lock_shared = false;
	params.memory = shm->memory;
	for (unsigned left = test_amount(2000); left && !r; left--) {
		r = zsblk_create(&params, name, &id, &why);
		if (!r)
			r = zsblk_remove(shm->memory, &why);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (r)
		fail_msg("%s", why.text);
	assert_int_equal(test_shm_id(shm), -1);
}

/* ------------------------------------------------------------------ what a killed maker has left */

enum left {
	LEFT_CLAIM,      /* killed after its first store */
	LEFT_HALF,       /* before its last one */
	LEFT_NOTHING,    /* before any: nothing says whose it is */
	LEFT_OTHER_BYTE, /* the rest is not what a zsblk leaves */
	LEFT_DATA,
	LEFT_COMPLETE,
	LEFT_OTHER_CLAIM, /* not its maker's */
	LEFT_KEY,         /* whoever has the key finds it */
	LEFT_ATTACHED,
	LEFT_ALIVE, /* its maker is at work */
	LEFT_CASES,
};

static struct super_layout small_layout(void)
{
	struct super_layout layout = {.kind = SUPER_DEVICE, .block_size = 4096, .blocks = 9, .max_blocks = 9};

	layout.table_words = super_table_words(9);
	layout.pool_pages = 2 * 9 + 16448; /* as many as a device of 9 blocks has, or more */
	super_arrange(&layout);
	return layout;
}

/* In a child: make a segment as zsblk_create() does, as far as that. */
static int leave(enum left left)
{
	struct super_layout layout = small_layout();
	struct segment seg;
	const char *step;
	int holder;

	must(segment_create(&seg, left == LEFT_KEY ? (int)(0x5a000000u | (unsigned)getpid()) : IPC_PRIVATE,
			    super_segment_bytes(&layout), &step) == 0);
	if (left != LEFT_NOTHING)
		must(claim_take(&seg, false, &holder) == 0);
	if (left == LEFT_HALF || left == LEFT_COMPLETE)
		super_format(&seg, &layout);
	if (left == LEFT_HALF)
		memset(super_of(&seg)->magic, 0, sizeof super_of(&seg)->magic);
	if (left == LEFT_OTHER_BYTE)
		seg.base[300] = 1;
	if (left == LEFT_DATA)
		seg.base[layout.pool_offset] = 1;
	if (left == LEFT_OTHER_CLAIM)
		super_of(&seg)->state.claim = (uint64_t)getppid() << 32 | 1;
	return seg.shmid;
}

/* Its identifier. Its maker is dead, but for LEFT_ALIVE. */
static int left_by_child(enum left left)
{
	int ends[2], id;

	must(pipe(ends) == 0);
	forger = fork();
	if (forger == 0) {
		id = leave(left);
		must(write(ends[1], &id, sizeof id) == sizeof id);
		pause();
	}
	must(forger > 0 && read(ends[0], &id, sizeof id) == sizeof id);
	close(ends[0]);
	close(ends[1]);
	if (left != LEFT_ALIVE) {
		kill(forger, SIGKILL);
		must(waitpid(forger, NULL, 0) == forger);
		forger = 0;
	}
	return id;
}

static unsigned removed_by_us, removed_unclaimed;

/* Like the C library's; and notes whether we have the claim on `forged` when we remove it. */
int shmctl(int id, int command, struct shmid_ds *ds)
{
	int (*next)(int, int, struct shmid_ds *) = (int (*)(int, int, struct shmid_ds *))dlsym(RTLD_NEXT, "shmctl");

	if (command == IPC_RMID && id == forged) {
		struct super *super = shmat(id, NULL, SHM_RDONLY);

		removed_by_us++;
		removed_unclaimed += super == (void *)-1 || (pid_t)(super->state.claim >> 32) != getpid();
		shmdt(super);
	}
	return next(id, command, ds);
}

/* Programs beside this test that look at all segments, or remove what was left, have it attached at times. */
static bool is_removed_soon(const struct zsblk_params *params)
{
	struct shmid_ds ds;

	for (unsigned i = 0; i < 100; i++) {
		remove_id(make(params));
		if (shmctl(forged, IPC_STAT, &ds) < 0)
			return true;
		usleep(10000);
	}
	return false;
}

/* The next zsblk_create() removes what is certainly ours and of use to nobody, and nothing else. */
static void test_abandoned(void **state)
{
	struct zsblk_params params = device_params(100);

	for (unsigned left = 0; left < LEFT_CASES; left++) {
		void *attached = NULL;
		struct shmid_ds ds;

		forged = left_by_child(left);
		removed_by_us = removed_unclaimed = 0;
		if (left == LEFT_ATTACHED)
			must((attached = shmat(forged, NULL, SHM_RDONLY)) != (void *)-1);
		if (left == LEFT_CLAIM || left == LEFT_HALF) {
			if (!is_removed_soon(&params))
				fail_msg("case %u: it is there", left);
		} else {
			remove_id(make(&params));
			if (removed_by_us || shmctl(forged, IPC_STAT, &ds) < 0)
				fail_msg("case %u: it is removed", left);
		}
		/* Otherwise somebody could begin to use it just then. */
		assert_int_equal(removed_unclaimed, 0);
		if (attached)
			shmdt(attached);
		tear_down(NULL);
	}
}

/* A blank segment that goes with its last process is no place for data, whoever attached it in time. */
static void test_removed_and_blank(void **state)
{
	struct zsblk_params params = device_params(9);
	struct zsblk_why why = {""};
	struct zsblk *dev = NULL;
	char memory[24];
	void *attached;

	for (unsigned removed = 0; removed < 2; removed++) {
		forged = left_by_child(LEFT_CLAIM);
		must((attached = shmat(forged, NULL, 0)) != (void *)-1);
		must(!removed || shmctl(forged, IPC_RMID, NULL) == 0);
		snprintf(memory, sizeof memory, "shm:id=%d", forged);
		params.memory = memory;
		assert_int_equal(zsblk_open(&params, &dev, &why), removed ? -EINVAL : 0);
		zsblk_close(dev);
		shmdt(attached);
		tear_down(NULL);
	}
	assert_non_null(strstr(why.text, "removed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_made, tear_down),
		cmocka_unit_test_teardown(test_made_with_a_key, tear_down),
		cmocka_unit_test_teardown(test_names, tear_down),
		cmocka_unit_test_teardown(test_unknown_features, tear_down),
		cmocka_unit_test_teardown(test_not_locked, tear_down),
		cmocka_unit_test_teardown(test_found, tear_down),
		cmocka_unit_test_teardown(test_others, tear_down),
		cmocka_unit_test_teardown(test_ours_for_others, tear_down),
		cmocka_unit_test_teardown(test_kept, tear_down),
		cmocka_unit_test_teardown(test_keep_refuses, tear_down),
		cmocka_unit_test_teardown(test_looking_makes_nothing, tear_down),
		cmocka_unit_test_teardown(test_abandoned, tear_down),
		cmocka_unit_test_teardown(test_removed_and_blank, tear_down),
	};

	return cmocka_run_group_tests_name("outside", tests, set_up, NULL);
}
