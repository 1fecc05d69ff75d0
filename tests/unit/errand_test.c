/* SPDX-License-Identifier: BSD-3-Clause */
/* Errands: what they bring, and what does not come. /proc is a folder of the test's own, with FIFOs that nobody writes to. */
#include "lib/test.h"

#include "daemon/child/errand.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever waits so long waits for ever. */
#define LONG_MS  60000
#define SHORT_MS 20

static struct errand *errand;
static const char *text;
static char top[64];
static pid_t well = 17, hung = 18, absent = 19;

static void put(const char *path, const char *bytes, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static int set_up(void **state)
{
	strcpy(top, "/tmp/zsblk-errand.XXXXXX");
	return !mkdtemp(top) || chdir(top) < 0 || mkdir("proc", 0700) < 0 || mkdir("proc/17", 0700) < 0 ||
	       mkdir("proc/18", 0700) < 0 || mkfifo("proc/18/maps", 0600) < 0 || mkfifo("proc/18/cmdline", 0600) < 0 ||
	       errand_create(&errand);
}

static int tear_down(void **state)
{
	char remove[100];

	errand_free(errand);
	snprintf(remove, sizeof remove, "rm -rf %s", top);
	return chdir("/") || system(remove);
}

static void test_read(void **state)
{
	static const char maps[] =
		"1000-2000 r--p 0 fe:01 7 /usr/lib/a.so\n2000-3000 r-xp 0 fe:01 7 /usr/lib/a.so\n"
		"3000-4000 rw-p 0 00:00 0\n4000-5000 rw-s 0 00:01 9 /SYSV00000000 (deleted)\n"
		"5000-6000 r-xp 0 fe:01 8 /usr/lib/b.so (deleted)\n6000-7000 r-xp 0 00:00 0 [vdso]\n";
	static const char programs[] =
		"2000-3000 r-xp 0 fe:01 7 /usr/lib/a.so\n5000-6000 r-xp 0 fe:01 8 /usr/lib/b.so (deleted)\n";
	static char many[ERRAND_BYTES];
	ssize_t got;

	put("proc/17/maps", maps, sizeof maps - 1);
	put("proc/17/cmdline", "nbdkit\0--foreground\0", 20);
	got = errand_run(errand, errand_programs, &well, -1, LONG_MS, &text);
	assert_int_equal(got, sizeof programs - 1);
	assert_memory_equal(text, programs, sizeof programs - 1);
	assert_int_equal(errand_run(errand, errand_command_line, &well, -1, LONG_MS, &text), 20);
	assert_memory_equal(text, "nbdkit\0--foreground", 20);
	assert_int_equal(errand_run(errand, errand_command_line, &absent, -1, LONG_MS, &text), -ENOENT);

	put("proc/17/cmdline", many, sizeof many);
	assert_int_equal(errand_run(errand, errand_command_line, &well, -1, LONG_MS, &text), -E2BIG);
}

/* The child that waits is killed, and the next errand is as good as any. */
static void test_hung(void **state)
{
	errand_fn *const all[] = {errand_programs, errand_command_line};

	put("proc/17/cmdline", "x", 2);
	for (int i = 0; i < 2; i++) {
		ssize_t got;

		assert_int_equal(errand_run(errand, all[i], &hung, -1, SHORT_MS, &text), -ETIMEDOUT);
		do
			got = errand_run(errand, errand_command_line, &well, -1, LONG_MS, &text);
		while (got == -EBUSY);
		assert_int_equal(got, 2);
	}
}

static ssize_t end(void *what, char *unused)
{
	return kill(getpid(), SIGKILL);
}

static ssize_t look_at_files(void *what, char *found)
{
	const int *fds = what;

	found[0] = (char)(fcntl(fds[0], F_GETFD) >= 0);
	found[1] = (char)(fcntl(fds[1], F_GETFD) >= 0);
	found[2] = (char)(fcntl(fds[2], F_GETFD) >= 0);
	return 3;
}

/* The child has the descriptor that it is meant to have, and none besides. */
static void test_child(void **state)
{
	int fds[3] = {open("/", O_RDONLY), open("/", O_RDONLY), open("/", O_RDONLY)};

	assert_int_equal(errand_run(errand, end, NULL, -1, LONG_MS, &text), -EIO);
	assert_int_equal(errand_run(errand, look_at_files, fds, fds[1], LONG_MS, &text), 3);
	assert_memory_equal(text, "\0\1\0", 3);
	assert_int_equal(errand_run(errand, look_at_files, fds, -1, LONG_MS, &text), 3);
	assert_memory_equal(text, "\0\0\0", 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hung, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_child, set_up, tear_down),
	};

	if (!has_pidfds()) {
		printf("1..0 # SKIP no pidfd_open() here\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
