/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a server was started with our command, and one that nobody knows of; tests/daemon has real servers. */
#include "lib/test.h"

#include "daemon/server/server.h"
#include "daemon/server/server_command.h"
#include "daemon/transport/transport.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static struct settings settings;
static struct server_command *command;

static int set_up(void **state)
{
	settings_init(&settings);
	return settings_string(&settings.nbdkit, "/bin/true") || settings_add_param(&settings, "size", "64M") ||
	       /* The segment has that. */
	       settings_add_param(&settings, "max-size", "1G") ||
	       server_command_make(&command, &nbd_transport, &settings, "shm:0x7a73", "/run/x/stats",
				   "/tmp/zsblk-control");
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

/* The device's size is the segment's, and changes. */
static void test_size(void **state)
{
	assert_true(matches(OF(START SOCKET "zsblk\0"
					    "size=65M\0memory=shm:0x7a73\0lock=yes\0stats=/run/x/stats\0")));
	server_command_set_size(command, UINT64_MAX);
	server_command_set_size(command, 0);
	assert_true(matches(OF(START SOCKET "zsblk\0" WORDS)));
	assert_false(matches(OF(START SOCKET "zsblk\0size\0memory=shm:0x7a73\0lock=yes\0stats=/run/x/stats\0")));
}

static void test_others(void **state)
{
	assert_false(matches(OF(START SOCKET "zsblk\0"
					     "level=65M\0memory=shm:0x7a73\0lock=yes\0stats=/run/x/stats\0")));
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

/* The device that a server was started for says nothing of its parameters. */
static void test_device(void **state)
{
	server_command_free(command);
	assert_int_equal(settings_string(&settings.ublk_server, "/bin/true"), 0);
	assert_int_equal(server_command_make(&command, &ublk_transport, &settings, "shm:0x7a73", "/run/x/stats",
					     "/tmp/zsblk-control"),
			 0);
	assert_true(matches(OF("@zsblk-ublk\0--ready=/run/x/1-2.ready\0" WORDS)));
	assert_true(matches(OF("@zsblk-ublk\0--ready=/run/x/1-2.ready\0--recover=3\0" WORDS)));
	assert_true(matches(OF("@zsblk-ublk\0--ready=/run/x/1-2.ready\0--device=3\0" WORDS)));
	assert_false(matches(OF("@zsblk-ublk\0--ready=/run/x/1-2.ready\0--device=3\0--device=3\0" WORDS)));
	assert_false(matches(OF("@zsblk-ublk\0--ready=/run/x/1-2.ready\0" WORDS "depth=8\0")));
	assert_false(matches(OF("@zsblk-ublk\0--ready=/run/x/1-2.ready\0")));
}

/* ------------------------------------------------------------------ one that nobody knows of */

/* In place of folder.c's (see meson.build): the server-to-be that comes here stays here. */
int __wrap_folder_add_server(const struct folder *folder, pid_t pid, uint64_t start);

static pid_t *waiting;

int __wrap_folder_add_server(const struct folder *folder, pid_t pid, uint64_t start)
{
	*waiting = pid;
	pause();
	return -EINTR;
}

/* A daemon that is killed while its new server is not noted down yet. */
static void die_while_forking(void *opaque)
{
	struct server server;

	if (server_spawn(&server, command, opaque, "", false))
		_exit(1);
	while (!*(volatile pid_t *)waiting)
		usleep(1000);
	raise(SIGKILL);
}

/* It would keep the segment from all servers that come after it. */
static void test_ends_with_its_daemon(void **state)
{
	struct folder folder = {.path = "/nowhere", .fd = -1, .lock = -1};
	int status = 0, patience = 10000;

	if (!has_pidfds()) {
		print_message("# no pidfd_open() here\n");
		skip();
	}
	waiting = mmap(NULL, sizeof *waiting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(waiting != MAP_FAILED);
	/* The server comes to us when its daemon has ended. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	status = test_in_child(die_while_forking, &folder);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	while (waitpid(*waiting, &status, WNOHANG) == 0 && patience--)
		usleep(1000);
	if (patience < 0)
		kill(*waiting, SIGKILL);
	assert_true(patience >= 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	munmap(waiting, sizeof *waiting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_device, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends_with_its_daemon, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
