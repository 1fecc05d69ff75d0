/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a server was started with our command; tests/daemon has real servers. */
#include "lib/test.h"

#include "daemon/server.h"

static struct settings settings;
static struct server_command *command;

static int set_up(void **state)
{
	settings_init(&settings);
	return settings_string(&settings.nbdkit, "/bin/true") || settings_word(&settings, "size", "64M") ||
	       server_command_make(&command, &settings, "shm:0x7a73", "/run/x/stats");
}

static int tear_down(void **state)
{
	server_command_free(command);
	settings_free(&settings);
	return 0;
}

/* In memory of its own size, so that sanitizers see what is read beyond it. */
static bool matches(const char *text, size_t bytes)
{
	char *copy = malloc(bytes ? bytes : 1);
	bool r;

	memcpy(copy, text, bytes);
	r = server_command_matches(command, copy, bytes);
	free(copy);
	return r;
}

#define START    "@nbdkit\0--foreground\0--threads=0\0"
#define SOCKET   "--unix=/run/x/1-2.sock\0"
#define WORDS    "size=64M\0memory=shm:0x7a73\0lock=yes\0stats=/run/x/stats\0"
#define OF(text) text, sizeof text - 1

static void test_same(void **state)
{
	assert_true(matches(OF(START SOCKET "zsblk\0" WORDS)));
	/* Its own socket, another name, and the plugin that was kept open. */
	assert_true(matches(OF("nbdkit\0--foreground\0--threads=0\0"
			       "--unix=\0/proc/self/fd/4\0" WORDS)));
}

static void test_others(void **state)
{
	assert_false(matches(OF(START SOCKET "zsblk\0"
					     "size=65M\0memory=shm:0x7a73\0lock=yes\0stats=/run/x/stats\0")));
	assert_false(matches(OF(START SOCKET "memory\0" WORDS)));
	assert_false(matches(OF("@nbdkit\0--foreground\0--threads=1\0" SOCKET "zsblk\0" WORDS)));
	assert_false(matches(OF(START SOCKET "zsblk\0" WORDS "mem-limit=8M\0")));
	assert_false(matches(OF(START SOCKET "zsblk\0" WORDS "\0")));
	assert_false(matches(OF(START SOCKET "zsblk\0size=64M\0lock=yes\0")));
	assert_false(matches(OF("")));
	assert_false(matches(OF("\0")));
}

static void test_cut(void **state)
{
	static const char whole[] = START SOCKET "zsblk\0" WORDS;

	for (size_t bytes = 0; bytes < sizeof whole - 1; bytes++)
		assert_false(matches(whole, bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
