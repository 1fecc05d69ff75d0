/* SPDX-License-Identifier: BSD-3-Clause */
/* Which segment is an instance's, and when it may be removed: every case of both decisions, and the segment itself. */
#include "lib/test.h"

#include "daemon/state/own_segment.h"
#include "segment/format.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/shm.h>

/* ------------------------------------------------------------------ decisions */

/* made, in service, asked, detached by others */
static void test_may_remove(void **state)
{
	static const struct {
		struct own_segment_end end;
		bool may;
		const char *what;
	} cases[] = {
		{{false, false, false, false},
		 false,
		 "a start failed on a segment that was there (mount: wrong fs type)"},
		{{false, false, true, false}, false, "SIGTERM during the first start on a segment that was there"},
		{{true, false, false, false}, true, "a start failed that had made it: nothing is in it"},
		{{true, false, true, false}, true, "SIGTERM during the start that made it"},
		{{false, true, true, false}, true, "--stop"},
		{{true, true, true, false}, true, "--stop by the daemon that made it"},
		{{false, true, false, false}, false, "a daemon that ends by a fault of its own"},
		{{true, true, false, false}, false, "the same, having made it"},
		{{false, true, false, true}, false, "nbd-client -d by somebody"},
		{{true, true, false, true}, false, "the same, having made it"},
		{{true, true, true, true}, false, "and a stop that was asked for before"},
		{{true, false, false, true}, false, "detached before it was in use"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (own_segment_may_remove(&cases[i].end) != cases[i].may)
			fail_msg("%s: %s", cases[i].what, cases[i].may ? "stays" : "is removed");
}

static void test_choose(void **state)
{
	static const struct {
		struct own_segment_facts facts;
		enum own_segment_source source;
	} cases[] = {
		/* attached, noted, configured, fits, named, fits */
		{{false, false, false, false, false, false}, OWN_SEGMENT_TO_BE_MADE},
		{{false, false, true, false, false, false}, OWN_SEGMENT_CONFIGURED},
		{{false, true, true, false, false, false}, OWN_SEGMENT_CONFIGURED},
		{{false, true, false, false, false, false}, OWN_SEGMENT_NOTED},
		{{false, false, false, false, true, false}, OWN_SEGMENT_NAMED},
		/* What is attached is what was noted, whatever else there is. */
		{{true, true, false, false, false, false}, OWN_SEGMENT_NOTED},
		{{true, true, true, true, true, true}, OWN_SEGMENT_NOTED},
		/* The folder is empty. */
		{{true, false, false, false, true, true}, OWN_SEGMENT_NAMED},
		{{true, false, true, false, true, true}, OWN_SEGMENT_NAMED},
		{{true, false, true, true, true, false}, OWN_SEGMENT_CONFIGURED},
		{{true, false, true, true, false, false}, OWN_SEGMENT_CONFIGURED},
		{{true, false, true, true, true, true}, OWN_SEGMENT_AMBIGUOUS},
		/* Another one, or a new one, would read as zeroes, or as somebody's data. */
		{{true, false, false, false, false, false}, OWN_SEGMENT_GONE},
		{{true, false, true, false, false, false}, OWN_SEGMENT_GONE},
		{{true, false, false, false, true, false}, OWN_SEGMENT_GONE},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (own_segment_choose(&cases[i].facts) != cases[i].source)
			fail_msg("case %zu: %d", i, (int)own_segment_choose(&cases[i].facts));
}

/* ------------------------------------------------------------------ the segment itself */

#define SIZE UINT64_C(1048576)

static char top[64];
static struct settings settings;
static struct folder folder;

static int set_up(void **state)
{
	struct wrong wrong;
	char name[33];

	strcpy(top, "/tmp/zsblk-own-segment.XXXXXX");
	must(mkdtemp(top));
	snprintf(name, sizeof name, "own-%d", (int)getpid());
	settings_init(&settings);
	must(settings_name(&settings, name, &wrong) == 0);
	must(settings_add_param(&settings, "size", "1048576") == 0 && settings_add_param(&settings, "lock", "no") == 0);
	must(folder_open(&folder, top, name, true, &wrong) == 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[100], memory[24];
	int id;

	while (zsblk_find(settings.name, &id, NULL) == 0) {
		snprintf(memory, sizeof memory, "shm:id=%d", id);
		must(zsblk_remove(memory, NULL) == 0);
	}
	settings_free(&settings);
	folder_close(&folder);
	snprintf(command, sizeof command, "rm -rf %s", top);
	return system(command);
}

/* The end of an instance that was in service. */
static int finish(struct own_segment *segment, bool asked)
{
	struct wrong wrong = {""};

	return own_segment_finish(segment, &folder, settings.name,
				  &(struct own_segment_end){.in_service = true, .asked = asked}, &wrong);
}

static bool has_note(void)
{
	char note[40];

	folder_read_note(&folder, OWN_SEGMENT_NOTE, note, sizeof note);
	return note[0];
}

static int find(struct own_segment *segment, uint64_t device_size)
{
	struct wrong wrong = {""};

	*segment = (struct own_segment){.made = false};
	return own_segment_find(segment, &settings, &folder, device_size, &wrong);
}

static void make(struct own_segment *segment)
{
	struct wrong wrong = {""};

	assert_int_equal(find(segment, 0), 0);
	assert_string_equal(segment->memory, "");
	if (own_segment_make(segment, &settings, &folder, &wrong))
		fail_msg("%s", wrong.text);
}

/* As if a server had come into service with it. */
static void put_in_service(const struct own_segment *segment)
{
	struct zsblk_params params;
	struct zsblk *dev;

	zsblk_params_init(&params);
	params.size = SIZE;
	params.lock_shared = false;
	params.memory = segment->memory;
	must(zsblk_open(&params, &dev, NULL) == 0 && zsblk_start(dev, NULL) == 0);
	zsblk_close(dev);
}

static void test_made_and_noted(void **state)
{
	struct own_segment segment, again;
	char note[40];

	assert_int_equal(own_segment_id(&(struct own_segment){.memory = ""}), -1);
	make(&segment);
	snprintf(note, sizeof note, "shm:id=%d", own_segment_id(&segment));
	assert_string_equal(segment.memory, note);
	assert_true(segment.made && segment.has_name);
	folder_read_note(&folder, "segment", note, sizeof note);
	assert_string_equal(note, segment.memory);
	assert_int_equal(strncmp(note, "shm:id=", 7), 0);
	put_in_service(&segment);
	assert_int_equal(find(&again, SIZE), 0);
	assert_string_equal(again.memory, segment.memory);
	assert_false(again.made);
	assert_int_equal(again.found.size, SIZE);
	/* Not attached, with data: it is used again. */
	assert_int_equal(find(&again, 0), 0);
	assert_string_equal(again.memory, segment.memory);
}

/* The segment is made with the largest size, and keeps that. */
static void test_max_size(void **state)
{
	struct own_segment segment, again;

	must(settings_replace_param(&settings, "max-size", "1G") == 0);
	make(&segment);
	put_in_service(&segment);
	must(settings_replace_param(&settings, "max-size", "2G") == 0);
	assert_int_equal(find(&again, SIZE), 0);
	assert_int_equal(again.found.size, SIZE);
	assert_int_equal(again.found.max_size, 1 << 30);
}

/* Somebody has emptied the folder. */
static void test_found_by_name(void **state)
{
	struct own_segment segment, again;

	make(&segment);
	put_in_service(&segment);
	must(unlinkat(folder.fd, "segment", 0) == 0);
	assert_int_equal(find(&again, SIZE), 0);
	assert_string_equal(again.memory, segment.memory);
	assert_true(again.note_is_due);
	assert_int_equal(find(&again, 0), 0);
	assert_string_equal(again.memory, segment.memory);
	/* The device has another size: what it was attached with is gone. */
	assert_int_equal(find(&again, 2 * SIZE), -ENOENT);
}

/* A number is used again: a note is believed only if the segment bears our name. */
static void test_note_of_another(void **state)
{
	struct zsblk_params params;
	struct own_segment segment;
	char note[40];
	int id;

	zsblk_params_init(&params);
	params.size = SIZE;
	params.lock_shared = false;
	must(zsblk_create(&params, "somebody-else", &id, NULL) == 0);
	snprintf(note, sizeof note, "shm:id=%d", id);
	must(folder_note(&folder, "segment", note) == 0);
	assert_int_equal(find(&segment, SIZE), -ENOENT);
	assert_int_equal(find(&segment, 0), 0);
	assert_string_equal(segment.memory, "");
	must(zsblk_remove(note, NULL) == 0);
	assert_int_equal(find(&segment, SIZE), -ENOENT);
	assert_int_equal(find(&segment, 0), 0);
}

/* A segment under a noted number that another user made. */
static void test_note_of_another_user(void **state)
{
	struct own_segment segment;
	struct shmid_ds ds;
	char note[40];
	int id = shmget(IPC_PRIVATE, 1 << 20, 0666);

	must(id >= 0);
	snprintf(note, sizeof note, "shm:id=%d", id);
	must(folder_note(&folder, "segment", note) == 0);
	assert_int_equal(find(&segment, SIZE), -EPERM);
	assert_int_equal(find(&segment, 0), 0);
	assert_string_equal(segment.memory, "");
	/* It is left alone. */
	assert_int_equal(shmctl(id, IPC_STAT, &ds), 0);
	shmctl(id, IPC_RMID, NULL);
}

/* A start that did not get as far as a server: nothing is in it, and it may not be what is asked for now. */
static void test_discarded(void **state)
{
	struct own_segment segment, again;
	struct zsblk_segment found;

	make(&segment);
	assert_int_equal(find(&again, 0), 0);
	assert_string_equal(again.memory, "");
	assert_int_equal(zsblk_inspect(segment.memory, &found, NULL), -ENOENT);
	/* But not what the device is attached with. */
	make(&segment);
	assert_int_equal(find(&again, SIZE), 0);
	assert_string_equal(again.memory, segment.memory);
}

/* Its server is of a later version, and has stored what this version does not know. */
static void add_unknown_feature(const struct own_segment *segment)
{
	struct super *super = shmat(own_segment_id(segment), NULL, 0);

	must(super != (void *)-1);
	super->state.incompatible = format_check(1u << 20);
	shmdt(super);
}

/* What is attached with it is looked after. No server is started with it, and it is not removed. */
static void test_unknown_feature(void **state)
{
	struct own_segment segment, again;
	struct wrong wrong = {""};

	make(&segment);
	add_unknown_feature(&segment);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(find(&again, SIZE), 0);
		assert_string_equal(again.memory, segment.memory);
		again = (struct own_segment){.made = false};
		assert_int_equal(own_segment_find(&again, &settings, &folder, 0, &wrong), -EINVAL);
		assert_non_null(strstr(wrong.text, "incompatible 0x100000"));
		assert_int_equal(zsblk_inspect(segment.memory, &again.found, NULL), 0);
		/* Found by its name, too. */
		if (i == 0)
			must(unlinkat(folder.fd, "segment", 0) == 0);
	}
}

static void test_configured(void **state)
{
	struct own_segment segment, again;
	char key[24];

	snprintf(key, sizeof key, "shm:0x%x", 0x30000000u | (unsigned)getpid());
	must(settings_add_param(&settings, "memory", key) == 0);
	make(&segment);
	assert_string_equal(segment.shown, key);
	assert_int_equal(strncmp(segment.memory, "shm:id=", 7), 0);
	put_in_service(&segment);
	assert_int_equal(find(&again, 0), 0);
	assert_string_equal(again.memory, segment.memory);
	assert_int_equal(find(&again, SIZE), 0);
	assert_string_equal(again.memory, segment.memory);
	assert_string_equal(again.shown, key);
	/* Without the note, it is one segment that has both the key and the name. */
	must(unlinkat(folder.fd, "segment", 0) == 0);
	assert_int_equal(find(&again, SIZE), 0);
	assert_string_equal(again.memory, segment.memory);
	assert_string_equal(again.shown, key);
	must(settings_replace_param(&settings, "memory", "shm:id=2147483647") == 0);
	must(finish(&segment, true) == 0);
	assert_int_equal(find(&again, 0), -ENOENT);
}

/* Two instances with the same key: what one of them has stored is neither used nor removed by the other. */
static void test_configured_of_another(void **state)
{
	struct zsblk_params params;
	struct own_segment segment;
	struct wrong wrong = {""};
	char key[24];
	int id;

	snprintf(key, sizeof key, "shm:0x%x", 0x31000000u | (unsigned)getpid());
	zsblk_params_init(&params);
	params.size = SIZE;
	params.lock_shared = false;
	params.memory = key;
	must(zsblk_create(&params, "somebody-else", &id, NULL) == 0);
	must(settings_add_param(&settings, "memory", key) == 0);
	segment = (struct own_segment){.made = false};
	assert_int_equal(own_segment_find(&segment, &settings, &folder, 0, &wrong), -EBUSY);
	assert_non_null(strstr(wrong.text, "'somebody-else'"));
	assert_string_equal(segment.memory, "");
	/* Nor is it what our device is attached with. */
	assert_int_equal(find(&segment, SIZE), -ENOENT);
	must(zsblk_remove(key, NULL) == 0);
}

/* A number is used again, by a segment without a name: what the device is attached with has its size. */
static void test_note_of_another_size(void **state)
{
	struct zsblk_params params;
	struct own_segment segment;
	struct zsblk_segment found;
	struct zsblk *dev;
	char key[24], note[40];

	snprintf(key, sizeof key, "shm:0x%x", 0x32000000u | (unsigned)getpid());
	zsblk_params_init(&params);
	params.size = 2 * SIZE;
	params.lock_shared = false;
	params.memory = key;
	must(zsblk_open(&params, &dev, NULL) == 0 && zsblk_start(dev, NULL) == 0);
	zsblk_close(dev);
	must(zsblk_inspect(key, &found, NULL) == 0);
	snprintf(note, sizeof note, "shm:id=%d", found.id);
	must(folder_note(&folder, "segment", note) == 0);
	assert_int_equal(find(&segment, SIZE), -ENOENT);
	assert_int_equal(find(&segment, 2 * SIZE), 0);
	must(zsblk_remove(key, NULL) == 0);
}

static void test_removed_by_others(void **state)
{
	struct own_segment segment;

	make(&segment);
	own_segment_serves(&segment, &folder);
	assert_false(own_segment_is_removed(&segment));
	must(shmctl(atoi(segment.memory + 7), IPC_RMID, NULL) == 0);
	assert_true(own_segment_is_removed(&segment));
	/* Kept, and found again by the next daemon. */
	put_in_service(&segment);
	assert_int_equal(finish(&segment, true), 0);
	assert_int_equal(zsblk_inspect(segment.memory, &segment.found, NULL), -ENOENT);
}

static void test_left(void **state)
{
	struct own_segment segment, again;

	make(&segment);
	put_in_service(&segment);
	own_segment_serves(&segment, &folder);
	assert_int_equal(finish(&segment, false), 0);
	assert_true(has_note());
	assert_int_equal(find(&again, 0), 0);
	assert_string_equal(again.memory, segment.memory);
	/* And then it is stopped. */
	assert_int_equal(finish(&again, true), 0);
	assert_false(has_note());
	assert_int_equal(access(folder.path, F_OK), -1);
	assert_int_equal(zsblk_inspect(segment.memory, &again.found, NULL), -ENOENT);
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_may_remove),       cmocka_unit_test(test_choose),
		WITH_FOLDER(test_made_and_noted),        WITH_FOLDER(test_max_size),
		WITH_FOLDER(test_found_by_name),         WITH_FOLDER(test_note_of_another),
		WITH_FOLDER(test_note_of_another_user),  WITH_FOLDER(test_discarded),
		WITH_FOLDER(test_unknown_feature),       WITH_FOLDER(test_configured),
		WITH_FOLDER(test_configured_of_another), WITH_FOLDER(test_note_of_another_size),
		WITH_FOLDER(test_removed_by_others),     WITH_FOLDER(test_left),
	};

	return cmocka_run_group_tests_name("own_segment", tests, NULL, NULL);
}
