/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose is what is there? Every combination of what a start can find, on a machine of the test's own. What is expected is a table of
 * rules, of which the first one that applies says how the start ends.
 */
#include "lib/test.h"

#include "daemon/found.h"
#include "daemon/kernel/device.h"

#include <errno.h>

#define OURS   "/dev/nbd5" /* if a device is attached in our name */
#define FREE   "/dev/nbd6"
#define TAKEN  "/dev/nbd7" /* attached to somebody else's server */
#define SIZE   UINT64_C(1048576)
#define HOLDER 1000
#define START  UINT64_C(77)
/* Our supervisor, another zsblkd, a process that is none, and a zsblkd that is being killed. */
#define SUPERVISOR 10
#define OTHER      11
#define STRANGER   12
#define DYING      13

/* ------------------------------------------------------------------ what there is */

enum device_case { NOT_ATTACHED, ATTACHED, ATTACHED_UNREADABLE, CANNOT_TELL, N_DEVICES };
enum segment_case { NO_SEGMENT, SEGMENT, SEGMENT_REFUSED, N_SEGMENTS };
enum holder_case { NOBODY, DEAD, UNREADABLE, ALIVE, N_HOLDERS };
enum note_case { NO_NOTES, OTHERS_NOTED, HOLDER_NOTED, N_NOTES };

static const pid_t parents[] = {STRANGER, SUPERVISOR, OTHER, DYING};
static const uint64_t sizes[] = {0, SIZE, 2 * SIZE};
static const char *const names[] = {NULL, OURS, FREE, TAKEN};

static struct world {
	enum device_case device;
	enum segment_case segment;
	enum holder_case holder;
	enum note_case notes;
	pid_t parent;
	bool ended; /* a parent that was being killed */
	uint64_t wanted_size;
	const char *wanted_device;
	bool removed; /* kernel.shm_rmid_forced */
} world;

static int device(void *opaque, struct device *found)
{
	if (world.device == NOT_ATTACHED || world.device == CANNOT_TELL)
		return world.device == NOT_ATTACHED ? -ENODEV : -EAGAIN;
	device_init(found, OURS);
	return 0;
}

static bool device_attached(void *opaque, const struct device *asked)
{
	assert_false(device_is_none(asked));
	return strcmp(asked->path, TAKEN) == 0;
}

static uint64_t size_of_device(void *opaque, const struct device *asked)
{
	assert_string_equal(asked->path, OURS);
	return world.device == ATTACHED ? SIZE : 0;
}

static int segment(void *opaque, uint64_t device_size, struct found_segment *found, struct wrong *wrong)
{
	assert_int_equal(device_size, world.device == ATTACHED ? SIZE : 0);
	*found = (struct found_segment){.exists = world.segment == SEGMENT, .shown = "shm:id=3"};
	if (world.segment == SEGMENT) {
		found->id = 3;
		found->size = SIZE;
		found->holder = world.holder == NOBODY ? 0 : HOLDER;
	}
	if (world.segment != SEGMENT_REFUSED)
		return 0;
	wrong_say(wrong, "refused");
	return -EEXIST;
}

static int start_time(void *opaque, pid_t pid, uint64_t *start)
{
	assert_int_equal(pid, HOLDER);
	if (world.holder == ALIVE)
		*start = START;
	return world.holder == DEAD ? -ESRCH : world.holder == UNREADABLE ? -EACCES : 0;
}

static pid_t parent(void *opaque, pid_t pid)
{
	assert_int_equal(pid, HOLDER);
	return world.ended ? SUPERVISOR : world.parent;
}

static bool is_zsblkd(void *opaque, pid_t pid)
{
	return pid == SUPERVISOR || pid == OTHER || pid == DYING;
}

static bool outlives(void *opaque, pid_t pid)
{
	assert_true(pid == OTHER || pid == DYING);
	world.ended = pid == DYING;
	return pid == OTHER;
}

static bool has_note(void *opaque, pid_t pid, uint64_t start)
{
	assert_int_equal(pid, HOLDER);
	assert_int_equal(start, START);
	return world.notes == HOLDER_NOTED;
}

static bool has_notes(void *opaque)
{
	return world.notes != NO_NOTES;
}

static bool segments_removed(void *opaque)
{
	return world.removed;
}

/* ------------------------------------------------------------------ what is to come of it */

static bool is_attached(void)
{
	return world.device == ATTACHED;
}

static bool has_holder(enum holder_case holder)
{
	return world.segment == SEGMENT && world.holder == holder;
}

static bool device_cannot_be_told(void)
{
	return world.device == CANNOT_TELL;
}

static bool size_cannot_be_told(void)
{
	return world.device == ATTACHED_UNREADABLE;
}

static bool segment_refused(void)
{
	return world.segment == SEGMENT_REFUSED;
}

static bool holder_cannot_be_told(void)
{
	return has_holder(UNREADABLE);
}

static bool holder_has_another_daemon(void)
{
	return has_holder(ALIVE) && world.parent == OTHER;
}

/* An empty folder says nothing: then the device that is attached in our name does. */
static bool holder_is_a_stranger(void)
{
	return has_holder(ALIVE) && world.notes != HOLDER_NOTED && (world.notes == OTHERS_NOTED || !is_attached());
}

static bool another_size(void)
{
	return world.segment == SEGMENT && !is_attached() && world.wanted_size == 2 * SIZE;
}

static bool would_not_last(void)
{
	return world.removed && !is_attached();
}

static bool attached_elsewhere(void)
{
	return is_attached() && world.wanted_device && strcmp(world.wanted_device, OURS) != 0;
}

static bool device_in_other_hands(void)
{
	return !is_attached() && world.wanted_device && strcmp(world.wanted_device, TAKEN) == 0;
}

static const struct {
	bool (*applies)(void);
	int r;
	const char *text;
} rules[] = {
	{device_cannot_be_told, -EAGAIN, "it cannot be told whether a device is attached"},
	{size_cannot_be_told, -EAGAIN, "/dev/nbd5 is attached, and its size cannot be read"},
	{segment_refused, -EEXIST, "refused"},
	{holder_cannot_be_told, -EACCES, "process 1000, which has claimed shm:id=3, cannot be looked at"},
	{holder_has_another_daemon, -EBUSY, "which another zsblkd looks after, process 11"},
	{holder_is_a_stranger, -EBUSY, "in use by process 1000, which is no server of 'swap0'"},
	{another_size, -EINVAL, "shm:id=3 holds a device of 1048576 bytes, and size=2097152 was asked for"},
	{would_not_last, -EPERM, "kernel.shm_rmid_forced is 1"},
	{attached_elsewhere, -EBUSY, "'swap0' is attached as /dev/nbd5 already"},
	{device_in_other_hands, -EBUSY, TAKEN " is busy"},
};

static unsigned applied[COUNT_OF(rules) + 1];

static const struct found_machine machine = {
	.is_zsblkd = is_zsblkd,
	.parent = parent,
	.outlives = outlives,
	.start_time = start_time,
	.device = device,
	.device_is_attached = device_attached,
	.device_size = size_of_device,
	.segment = segment,
	.segments_are_removed = segments_removed,
	.has_note = has_note,
	.has_notes = has_notes,
};

/* The start goes on: with what? */
static void check_found(const struct found *found)
{
	assert_int_equal(found->attached, is_attached());
	assert_string_equal(found->device.path, is_attached() ? OURS : world.wanted_device ? world.wanted_device : "");
	assert_int_equal(found->server, has_holder(ALIVE) ? HOLDER : 0);
	if (found->server)
		assert_int_equal(found->server_start, START);
	assert_int_equal(found->size_kept,
			 is_attached() && world.segment == SEGMENT && world.wanted_size == 2 * SIZE ? SIZE : 0);
	assert_int_equal(found->may_be_lost, is_attached() && world.removed);
}

static void check_world(void)
{
	const struct found_wanted wanted = {
		.name = "swap0", .device = world.wanted_device, .size = world.wanted_size, .supervisor = SUPERVISOR};
	struct wrong wrong = {""};
	struct found found;
	size_t rule = 0;
	int r = found_look(&found, &wanted, &machine, NULL, &wrong), expected;

	while (rule < COUNT_OF(rules) && !rules[rule].applies())
		rule++;
	applied[rule]++;
	expected = rule < COUNT_OF(rules) ? rules[rule].r : 0;
	if (r != expected || (r && !strstr(wrong.text, rules[rule].text)))
		fail_msg(
			"device %d, segment %d, holder %d, notes %d, parent %d, size %d, wanted %s, removed %d: %d, not %d: %s",
			world.device, world.segment, world.holder, world.notes, (int)world.parent,
			(int)world.wanted_size, world.wanted_device ? world.wanted_device : "any", world.removed, r,
			expected, wrong.text);
	if (!r)
		check_found(&found);
	/* What is ended or removed after a refusal depends on it. */
	else if (found.server)
		assert_true(has_holder(ALIVE) && !holder_has_another_daemon() && !holder_is_a_stranger());
}

static void test_every_combination(void **state)
{
	unsigned n = 0;

	for (world.device = 0; world.device < N_DEVICES; world.device++)
		for (world.segment = 0; world.segment < N_SEGMENTS; world.segment++)
			for (world.holder = 0; world.holder < N_HOLDERS; world.holder++)
				for (world.notes = 0; world.notes < N_NOTES; world.notes++)
					for (size_t i = 0;
					     i < 2 * COUNT_OF(parents) * COUNT_OF(sizes) * COUNT_OF(names); i++) {
						world.removed = i % 2;
						world.parent = parents[i / 2 % COUNT_OF(parents)];
						world.wanted_size = sizes[i / 2 / COUNT_OF(parents) % COUNT_OF(sizes)];
						world.wanted_device =
							names[i / 2 / COUNT_OF(parents) / COUNT_OF(sizes)];
						world.ended = false;
						check_world();
						n++;
					}
	assert_int_equal(n, 4 * 3 * 4 * 3 * 96);
	for (size_t rule = 0; rule <= COUNT_OF(rules); rule++)
		assert_true(applied[rule] > 0);
}

/* ------------------------------------------------------------------ the lock */

/* Of the holder: is it zsblkd, and is it a supervisor's child? */
static struct lock_world {
	int first, second, third; /* what locking says each time */
	int answer;               /* of the holder, asked to make way */
	bool zsblkd, supervised;
	unsigned locked, asked, killed;
} locks;

static int lock(void *opaque, bool patient, pid_t *holder, struct wrong *wrong)
{
	const int results[] = {locks.first, locks.second, locks.third};

	assert_true(locks.locked < 3);
	/* Only who was asked may take a while. */
	assert_int_equal(patient, locks.locked > 0);
	*holder = HOLDER;
	return results[locks.locked++];
}

static int ask_to_make_way(void *opaque)
{
	locks.asked++;
	return locks.answer;
}

static void kill_daemon(void *opaque, pid_t pid)
{
	assert_int_equal(pid, HOLDER);
	locks.killed++;
}

static pid_t parent_of_holder(void *opaque, pid_t pid)
{
	assert_int_equal(pid, HOLDER);
	return OTHER;
}

static bool is_holder_zsblkd(void *opaque, pid_t pid)
{
	return pid == HOLDER ? locks.zsblkd : locks.supervised;
}

/* A daemon is killed only if it has the lock still, after it was asked, is a zsblkd, and has no supervisor. */
static void test_lock(void **state)
{
	static const struct found_machine of_locks = {.lock = lock,
						      .ask_to_make_way = ask_to_make_way,
						      .kill_daemon = kill_daemon,
						      .is_zsblkd = is_holder_zsblkd,
						      .parent = parent_of_holder};
	static const int results[] = {0, -EBUSY, -EPERM}, answers[] = {0, -EACCES, -EREMOTEIO, -ESRCH};

	for (size_t i = 0; i < 3 * 3 * 3 * 4 * 4; i++) {
		struct wrong wrong;
		bool asked, killed;
		int r;

		locks = (struct lock_world){.first = results[i % 3],
					    .second = results[i / 3 % 3],
					    .third = results[i / 9 % 3],
					    .answer = answers[i / 27 % 4],
					    .zsblkd = i / 108 % 2,
					    .supervised = i / 216};
		asked = locks.first == -EBUSY;
		killed =
			asked && locks.answer != -EACCES && locks.second == -EBUSY && locks.zsblkd && !locks.supervised;
		r = found_lock(&of_locks, NULL, &wrong);
		assert_int_equal(locks.asked, asked);
		assert_int_equal(locks.killed, killed);
		assert_int_equal(locks.locked, killed ? 3 : asked && locks.answer != -EACCES ? 2 : 1);
		assert_int_equal(r, locks.locked == 3 ? locks.third : locks.locked == 2 ? locks.second : locks.first);
	}
}

/* ------------------------------------------------------------------ servers that were noted down */

static void test_notes(void **state)
{
	static const struct {
		pid_t server; /* that has the segment */
		pid_t pid;
		uint64_t start;
		int alive;
		uint64_t now;
		enum found_note is;
		const char *what;
	} cases[] = {
		{HOLDER, HOLDER, START, 0, START, FOUND_SERVES, "the server that has the segment"},
		{HOLDER, HOLDER, START, -EACCES, 0, FOUND_SERVES, "the same, whatever can be told of it"},
		{HOLDER, HOLDER, START - 1, 0, START, FOUND_GONE, "one before it, that had the same number"},
		{HOLDER, HOLDER, START - 1, -EACCES, 0, FOUND_GONE, "the same"},
		{HOLDER, OTHER, 5, 0, 5, FOUND_LEFT_OVER, "one beside it that lives"},
		{HOLDER, OTHER, 5, 0, 6, FOUND_GONE, "another process has its number"},
		{HOLDER, OTHER, 5, -ESRCH, 0, FOUND_GONE, "it has ended"},
		{HOLDER, OTHER, 5, -EACCES, 0, FOUND_UNKNOWN, "nobody can tell"},
		{0, OTHER, 5, 0, 5, FOUND_LEFT_OVER, "nobody has the segment, and one lives"},
		{0, OTHER, 5, 0, 6, FOUND_GONE, "nobody has the segment, and another process has the number"},
		{0, OTHER, 5, -ESRCH, 0, FOUND_GONE, "nobody has the segment, and it has ended"},
		{0, OTHER, 5, -EMFILE, 0, FOUND_UNKNOWN, "nobody has the segment, and nobody can tell"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct found found = {.server = cases[i].server, .server_start = START};
		enum found_note is = found_note(&found, cases[i].pid, cases[i].start, cases[i].alive, cases[i].now);

		if (is != cases[i].is)
			fail_msg("%s: %d, not %d", cases[i].what, is, cases[i].is);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_notes),
	};

	return cmocka_run_group_tests_name("found", tests, NULL, NULL);
}
