/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose /dev/ublkbN is: the note in the folder, the kernel's numbers of disks, and what a server's program lists. In a folder that has the
 * files of /sys; that a kernel writes them so: tests/vm.
 */
#include "lib/files.h"

#include "daemon/state/folder.h"
#include "daemon/transport/ublk/disk.h"
#include "daemon/transport/ublk/ublk_server.h"
#include "zsblk.h"

#include <errno.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

static struct settings settings;
static struct folder folder;
static struct device disk, other;

/* ublkb0 is the 17th disk of this boot, and ublkb1 the 18th. */
static int set_up(void **state)
{
	struct wrong wrong = {""};

	if (files_enter(state) < 0 || mkdir("run", 0700) < 0)
		return -1;
	files_put("sys/ublkb0/diskseq", "17\n");
	files_put("sys/ublkb1/diskseq", "18\n");
	device_init(&disk, "/dev/ublkb0");
	disk.sequence = 17;
	device_init(&other, "/dev/ublkb1");
	other.sequence = 18;
	settings_init(&settings);
	return settings_string(&settings.ublk_server, "/bin/false") ||
	       folder_open(&folder, "run", "swap0", true, &wrong);
}

static int tear_down(void **state)
{
	folder_close(&folder);
	settings_free(&settings);
	return files_leave(state);
}

static void test_note(void **state)
{
	static const char *const bad[] = {"",           "ublkb0",      "ublkb0 0",  "ublkb0 17 ", "ublkb0 17x",
					  "ublkb0  17", "ublkb00 17",  "ublkb 17",  "nbd0 17",    " ublkb0 17",
					  "ublkb0 +17", "ublkb0p1 17", "../sda 17", "ublkb0 -1",  "ublkb-1 17"};
	struct device noted;

	assert_true(disk_parse_note("ublkb15 1234", &noted));
	assert_string_equal(noted.path, "/dev/ublkb15");
	assert_int_equal(noted.sequence, 1234);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (disk_parse_note(bad[i], &noted))
			fail_msg("'%s'", bad[i]);
}

/* A path is used again, and the number of a disk is not. */
static void test_same_disk(void **state)
{
	struct device absent;

	assert_int_equal(disk_backing(&disk, "zsblk:swap0"), TRANSPORT_BACKING_OURS);
	assert_true(disk_is_attached(&disk));
	files_put("sys/ublkb0/diskseq", "19\n");
	assert_int_equal(disk_backing(&disk, "zsblk:swap0"), TRANSPORT_BACKING_OTHER);
	assert_true(disk_is_attached(&disk));
	must(unlink("sys/ublkb0/diskseq") == 0);
	assert_int_equal(disk_backing(&disk, "zsblk:swap0"), TRANSPORT_BACKING_NONE);
	assert_false(disk_is_attached(&disk));
	/* Not absent, and not to be read either: it may be any. */
	must(mkdir("sys/ublkb0/diskseq", 0700) == 0);
	assert_int_equal(disk_backing(&disk, "zsblk:swap0"), TRANSPORT_BACKING_UNKNOWN);
	assert_true(disk_is_attached(&disk));
	device_init(&absent, "");
	assert_int_equal(disk_backing(&absent, "zsblk:swap0"), TRANSPORT_BACKING_NONE);
	assert_false(disk_is_attached(&absent));
}

/* A disk of which only the path is known is ours if the folder says so. */
static void test_by_path(void **state)
{
	struct device path;

	device_init(&path, "/dev/ublkb0");
	assert_int_equal(disk_backing(&path, "zsblk:swap0"), TRANSPORT_BACKING_OTHER);
	assert_int_equal(disk_note(&folder, &disk), 0);
	assert_int_equal(disk_backing(&path, "zsblk:swap0"), TRANSPORT_BACKING_OURS);
	assert_int_equal(disk_backing(&path, "zsblk:swap1"), TRANSPORT_BACKING_OTHER);
	assert_int_equal(disk_note(&folder, &other), 0);
	assert_int_equal(disk_backing(&path, "zsblk:swap0"), TRANSPORT_BACKING_OTHER);
	/* An old note, of a disk that had this path before. */
	disk.sequence = 3;
	assert_int_equal(disk_note(&folder, &disk), 0);
	assert_int_equal(disk_backing(&path, "zsblk:swap0"), TRANSPORT_BACKING_OTHER);
}

/* An instance that found its disk without a note, since somebody has emptied the folder, leaves a note to those that come later. */
static void test_noted_again(void **state)
{
	struct transport_spec spec = {
		.settings = &settings, .folder = &folder, .backend = "zsblk:swap0", .device = &disk};
	struct transport_end *end;
	struct wrong wrong = {""};
	struct device path;
	sd_event *loop;

	must(sd_event_new(&loop) >= 0);
	spec.loop = loop;
	device_init(&path, "/dev/ublkb0");
	assert_int_equal(disk_backing(&path, "zsblk:swap0"), TRANSPORT_BACKING_OTHER);
	assert_int_equal(transport_open(&end, &ublk_transport, &spec, &wrong), 0);
	assert_int_equal(disk_backing(&path, "zsblk:swap0"), TRANSPORT_BACKING_OURS);
	transport_close(end);
	sd_event_unref(loop);
}

static void test_found(void **state)
{
	struct device found;

	assert_int_equal(disk_note(&folder, &disk), 0);
	device_init(&found, "");
	assert_int_equal(disk_find(&settings, "zsblk:swap0", &found), 0);
	assert_string_equal(found.path, "/dev/ublkb0");
	assert_int_equal(found.sequence, 17);
	/* Nobody to ask: those that there are can be another program's, and swap1 has nothing that it could have a disk of. */
	assert_int_equal(disk_find(&settings, "zsblk:swap1", &found), -ENODEV);
	/* The program lists none that is ours. */
	assert_int_equal(settings_string(&settings.ublk_server, "/bin/true"), 0);
	assert_int_equal(disk_find(&settings, "zsblk:swap1", &found), -ENODEV);
	assert_false(disk_has_others(&settings, &disk));
	/* Without the program disks are those of others. */
	assert_int_equal(settings_string(&settings.ublk_server, "/none"), 0);
	assert_int_equal(disk_find(&settings, "zsblk:swap1", &found), -ENODEV);
	/* Without any disk of ublk nobody is asked. */
	assert_int_equal(settings_string(&settings.ublk_server, "/bin/false"), 0);
	must(rename("sys/ublkb0", "away0") == 0 && rename("sys/ublkb1", "away1") == 0);
	assert_int_equal(disk_find(&settings, "zsblk:swap1", &found), -ENODEV);
	assert_int_equal(disk_find(&settings, "zsblk:swap0", &found), -ENODEV);
	assert_false(disk_has_others(&settings, &disk));
	must(rename("sys", "nothing") == 0);
	assert_int_equal(disk_find(&settings, "zsblk:swap1", &found), -EAGAIN);
	assert_true(disk_has_others(&settings, &disk));
}

/* There is data that may be behind one of the disks, and nobody to ask. */
static void test_cannot_be_told(void **state)
{
	struct zsblk_params params;
	struct zsblk_why why = {""};
	struct device found;
	char name[40], backend[60], memory[24];
	int id;

	/* A name that no instance of this machine has. */
	snprintf(name, sizeof name, "disk-test-%d", (int)getpid());
	snprintf(backend, sizeof backend, "zsblk:%s", name);
	device_init(&found, "");
	assert_int_equal(disk_find(&settings, backend, &found), -ENODEV);
	zsblk_params_init(&params);
	params.size = 1 << 20;
	if (zsblk_create(&params, name, &id, &why) < 0)
		fail_msg("%s", why.text);
	snprintf(memory, sizeof memory, "shm:id=%d", id);
	assert_int_equal(disk_find(&settings, backend, &found), -EAGAIN);
	assert_int_equal(settings_string(&settings.ublk_server, "/bin/true"), 0);
	assert_int_equal(disk_find(&settings, backend, &found), -ENODEV);
	assert_int_equal(settings_string(&settings.ublk_server, "/bin/false"), 0);
	assert_int_equal(zsblk_remove(memory, &why), 0);
	assert_int_equal(disk_find(&settings, backend, &found), -ENODEV);
}

static void list(const char *lines)
{
	char text[400];

	snprintf(text, sizeof text, "#!/bin/sh\ncat <<END\n%sEND\n", lines);
	files_put("list", text);
	must(chmod("list", 0700) == 0);
	assert_int_equal(settings_string(&settings.ublk_server, "./list"), 0);
}

/* The settings that an instance made for the kernel stay as long as another one has a disk. */
static void test_others(void **state)
{
	list("0 live 12 5\n");
	assert_false(disk_has_others(&settings, &disk));
	list("0 live 12 5\n1 dead 0 6\n");
	assert_false(disk_has_others(&settings, &disk));
	list("0 live 12 5\n1 quiesced 0 6\n");
	assert_true(disk_has_others(&settings, &disk));
	list("nonsense\n");
	assert_true(disk_has_others(&settings, &disk));
}

/* Of our segment only, in service or not. */
static void test_leftovers(void **state)
{
	char removed[100] = "";
	FILE *f;

	files_put(
		"list",
		"#!/bin/sh\n[ $1 = --list ] && { printf '0 dead 0 5\\n1 live 17 6\\n2 quiesced 0 5\\n3 live 9 -1\\n'; exit; }\necho $* >>removed\n");
	must(chmod("list", 0700) == 0);
	assert_int_equal(settings_string(&settings.ublk_server, "./list"), 0);
	disk_remove_leftovers(&settings, -1);
	assert_null(fopen("removed", "r"));
	disk_remove_leftovers(&settings, 5);
	f = fopen("removed", "r");
	assert_non_null(f);
	assert_true(fread(removed, 1, sizeof removed - 1, f) > 0);
	fclose(f);
	assert_string_equal(removed, "--served --remove 0\n--served --remove 2\n");
}

/* The disk that is meant, and not the next one of its path. */
static void test_detach(void **state)
{
	char removed[100] = "";
	struct wrong wrong = {""};
	FILE *f;

	files_put("list", "#!/bin/sh\necho $* >removed\n");
	must(chmod("list", 0700) == 0);
	assert_int_equal(settings_string(&settings.ublk_server, "./list"), 0);
	assert_int_equal(ublk_server_detach(&settings, &disk, &wrong), 0);
	f = fopen("removed", "r");
	assert_non_null(f);
	assert_true(fread(removed, 1, sizeof removed - 1, f) > 0);
	fclose(f);
	assert_string_equal(removed, "--served --remove 0 --sequence 17\n");
}

static void test_listed(void **state)
{
	struct disk_listed listed;

	assert_true(disk_parse_listed("3 quiesced 1234 17\n", &listed));
	assert_int_equal(listed.number, 3);
	assert_string_equal(listed.state, "quiesced");
	assert_int_equal(listed.server, 1234);
	assert_int_equal(listed.segment, 17);
	assert_true(disk_parse_listed("3 live -1 -1\n", &listed));
	assert_int_equal(listed.segment, -1);
	assert_false(disk_parse_listed("3 live 12\n", &listed));
	assert_false(disk_parse_listed("", &listed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_note),
		cmocka_unit_test(test_listed),
		cmocka_unit_test_setup_teardown(test_same_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_by_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_noted_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cannot_be_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_detach, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
