/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has a device node open. Swap, mounts and devices on top: tests/vm/scenarios/ublk. */
#include "lib/test.h"

#include "ublk/use.h"

#include <errno.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* /dev/full, which hardly anybody uses. */
#define PATH   "/dev/full"
#define NUMBER makedev(1, 7)

static void test_holder(void **state)
{
	char text[120] = "", wanted[40];
	int ends[2], fd = open(PATH, O_RDONLY);
	pid_t child;

	assert_true(fd >= 0);
	/* One's own descriptors do not count. */
	assert_false(use_find_holder(NUMBER, false, text, sizeof text));
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		char byte;

		close(ends[1]);
		_exit((int)read(ends[0], &byte, 1));
	}
	close(fd);
	assert_true(use_find_holder(NUMBER, false, text, sizeof text));
	snprintf(wanted, sizeof wanted, "process %d (", child);
	assert_int_equal(strncmp(text, wanted, strlen(wanted)), 0);
	/* It is no block device. */
	assert_false(use_find_holder(NUMBER, true, text, sizeof text));
	close(ends[1]);
	waitpid(child, NULL, 0);
	assert_false(use_find_holder(NUMBER, false, text, sizeof text));
	close(ends[0]);
}

/* What has the path of a device and is none is not claimed. */
static void test_another_device(void **state)
{
	struct zsblk_why why = {""};
	int fd = -1;

	assert_int_equal(use_claim(PATH, NUMBER, &fd, &why), -ENXIO);
	assert_non_null(strstr(why.text, PATH " is not the device 1:7"));
	assert_int_equal(use_claim("/nonexistent/ublkb0", NUMBER, &fd, &why), -ENOENT);
	assert_non_null(strstr(why.text, "/nonexistent/ublkb0: "));
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_holder), cmocka_unit_test(test_another_device)};

	return cmocka_run_group_tests_name("use", tests, NULL, NULL);
}
