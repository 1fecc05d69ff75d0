/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real servers: started, adopted, not to be ended by anything but SIGKILL; connections to them, and the probe, which
 * finds one that is stopped and one that dies. What takes rights and a kernel with nbd is in tests/vm.
 */
#include "lib/test.h"

#include "daemon/transport/nbd/connection.h"
#include "daemon/transport/nbd/dial.h"
#include "daemon/transport/nbd/probe.h"
#include "daemon/server/server.h"
#include "daemon/server/server_command.h"
#include "daemon/transport/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <systemd/sd-event.h>

/* What takes longer hangs. */
#define PATIENCE_US (60u * 1000000u)

#define SIZE_BYTES (UINT64_C(64) << 20)

static char top[64];
static struct settings settings;
static struct folder folder;
static struct server_command *command;
static sd_event *loop;

static int set_up(void **state)
{
	struct wrong wrong = {""};
	char stats[FOLDER_PATH_MAX + 60];

	strcpy(top, "/tmp/zsblk-server.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	settings_init(&settings);
	settings.threads = 2;
	if (settings_string(&settings.plugin, getenv("ZSBLK_PLUGIN")) || settings_add_param(&settings, "size", "64M") ||
	    settings_add_param(&settings, "memory", "anon") || settings_add_param(&settings, "lock", "no") ||
	    folder_open(&folder, top, "one", true, &wrong))
		return -1;
	folder_file(&folder, "stats", stats);
	return server_command_make(&command, &nbd_transport, &settings, "shm:1", stats, "/tmp/zsblk-control") ||
			       sd_event_new(&loop) < 0
		       ? -1
		       : 0;
}

/* None is to stay, whatever became of a test: it would keep our standard error open, and heeds no other signal. */
static int end_server(void *opaque, pid_t pid, uint64_t start)
{
	struct server server;

	if (server_adopt(&server, &folder, pid) == 0 && server.start == start)
		server_kill(&server);
	server_forget(&server);
	return 0;
}

static int tear_down(void **state)
{
	char remove[100];

	folder_each_server(&folder, end_server, NULL);
	sd_event_unref(loop);
	server_command_free(command);
	folder_close(&folder);
	settings_free(&settings);
	snprintf(remove, sizeof remove, "rm -rf %s", top);
	return system(remove);
}

static void is_called_once(void *opaque, int r, const char *why)
{
	if (r)
		fail_msg("%s", why ? why : "failed");
	sd_event_exit(loop, 0);
}

/* Connections to a server that may not have made its socket yet. */
static struct dial *dial(const struct server *server, unsigned n)
{
	struct dial *result = NULL;
	char socket[FOLDER_PATH_MAX + 60];
	int r;

	folder_server_contact(server->folder, server->pid, server->start, FOLDER_CONTACT_SOCKET, socket);
	while ((r = dial_start(&result, loop, socket, n, is_called_once, NULL)) == -ENOENT || r == -ECONNREFUSED)
		poll(NULL, 0, 5);
	assert_int_equal(r, 0);
	sd_event_loop(loop);
	sd_event_unref(loop);
	assert_true(sd_event_new(&loop) >= 0);
	return result;
}

static void ends_by_signal_9(struct server *server)
{
	char how[80];

	assert_int_equal(poll(&(struct pollfd){.fd = server->pidfd, .events = POLLIN}, 1, 10000), 1);
	server_reap(server, how, sizeof how);
	assert_non_null(strstr(how, "signal 9"));
	assert_int_equal(server->pid, 0);
}

static void test_life(void **state)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct server server, again;
	struct dial_server facts;
	struct dial *d;

	assert_int_equal(server_spawn(&server, command, &folder, "", false), 0);
	d = dial(&server, 3);
	dial_server(d, &facts);
	assert_int_equal(facts.size, SIZE_BYTES);
	/* Flags, flush, FUA, trim, several connections. */
	assert_int_equal(facts.flags, 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 8);
	for (unsigned i = 0; i < 3; i++)
		assert_true(dial_fd(d, i) >= 0);
	dial_end(d);

	assert_int_equal(server_adopt(&again, &folder, server.pid), 0);
	assert_int_equal(again.start, server.start);
	server_forget(&again);

	for (size_t i = 0; i < COUNT_OF(ignored); i++)
		assert_int_equal(kill(server.pid, ignored[i]), 0);
	assert_int_equal(poll(&(struct pollfd){.fd = server.pidfd, .events = POLLIN}, 1, 300), 0);
	server_kill(&server);
	ends_by_signal_9(&server);
	assert_int_equal(server_adopt(&again, &folder, 0x7ffffff0), -ESRCH);
}

static void end_parent(void *opaque)
{
	struct server server;
	int r = server_spawn(&server, command, &folder, "", false);

	/* A loop is its maker's. */
	sd_event_new(&loop);
	*(pid_t *)opaque = server.pid;
	dial_end(dial(&server, 1));
	_exit(r ? 1 : 42);
}

/* nbdkit asks to be told to end with its parent; ours does not. */
static void test_outlives_its_parent(void **state)
{
	pid_t *pid = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct server server;

	assert_int_equal(WEXITSTATUS(test_in_child(end_parent, pid)), 42);
	assert_int_equal(server_adopt(&server, &folder, *pid), 0);
	assert_int_equal(poll(&(struct pollfd){.fd = server.pidfd, .events = POLLIN}, 1, 300), 0);
	dial_end(dial(&server, 2));
	server_kill(&server);
	assert_int_equal(poll(&(struct pollfd){.fd = server.pidfd, .events = POLLIN}, 1, 10000), 1);
	server_forget(&server);
	munmap(pid, 4096);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static const char *hung_why;
static unsigned hung_times;

static void hung(void *opaque, const char *why)
{
	static char copy[100];

	hung_times++;
	hung_why = why ? strcpy(copy, why) : NULL;
	sd_event_exit(loop, 0);
}

/* Until the probe was answered once, if there is one; at the latest when something hangs. */
static void run_until(const struct probe *answered)
{
	uint64_t end = now_us() + PATIENCE_US;

	while (now_us() < end && sd_event_get_state(loop) != SD_EVENT_FINISHED && !probe_longest_us(answered))
		sd_event_run(loop, 10000);
}

/* Probe over the only connection of a dial, which ends. */
static struct probe *probe_over(struct dial *d, unsigned timeout_ms, struct device *device)
{
	struct connection connection;
	struct probe *probe;

	dial_take(d, 0, &connection);
	assert_int_equal(probe_start(&probe, loop, &connection, timeout_ms, 30000, device, hung, NULL), 0);
	dial_end(d);
	return probe;
}

/* How a probe takes it when `signal` is sent to a server that was well. */
static void probe_while(int signal, struct server *server)
{
	struct device none;
	struct probe *probe;

	device_init(&none, "/dev/nbd9999");
	hung_times = 0;
	assert_int_equal(server_spawn(server, command, &folder, "", false), 0);
	/* A long time, for a machine that does a dozen other things. */
	probe = probe_over(dial(server, 1), 5000, &none);
	run_until(probe);
	assert_int_equal(hung_times, 0);
	assert_true(probe_longest_us(probe) > 0);
	kill(server->pid, signal);
	run_until(NULL);
	assert_int_equal(hung_times, 1);
	probe_stop(probe);
	device_close(&none);
}

static void test_probe_finds_one_that_is_stopped(void **state)
{
	struct server server;

	probe_while(SIGSTOP, &server);
	assert_non_null(hung_why);
	assert_non_null(strstr(hung_why, "did not answer"));
	server_kill(&server);
	ends_by_signal_9(&server);
}

static void test_probe_finds_one_that_dies(void **state)
{
	struct server server;

	probe_while(SIGKILL, &server);
	assert_null(hung_why);
	ends_by_signal_9(&server);
}

/* The machine stood still, as it does for suspend or in a virtual machine that is moved: nobody has hung meanwhile. */
static void test_probe_forgives_a_standstill(void **state)
{
	struct server server;
	struct device none;
	struct probe *probe;

	device_init(&none, "/dev/nbd9999");
	hung_times = 0;
	assert_int_equal(server_spawn(&server, command, &folder, "", false), 0);
	probe = probe_over(dial(&server, 1), 3000, &none);
	run_until(probe);
	/* A request is out when all of it stops; the server comes back later than we do. */
	kill(server.pid, SIGSTOP);
	for (uint64_t end = now_us() + 1000000; now_us() < end;)
		sd_event_run(loop, 10000);
	poll(NULL, 0, 4000);
	for (int i = 0; i < 3; i++)
		sd_event_run(loop, 0);
	assert_int_equal(hung_times, 0);
	kill(server.pid, SIGCONT);
	probe_stop(probe);
	device_close(&none);
	server_kill(&server);
	ends_by_signal_9(&server);
}

/* What the loop watches, as many descriptors. */
static unsigned loop_watches(void)
{
	char path[40], line[100];
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", sd_event_get_fd(loop));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f))
		n += strncmp(line, "tfd:", 4) == 0;
	if (f)
		fclose(f);
	return n;
}

/*
 * The kernel forgets a watched descriptor only when its last copy is closed, and a child that was just forked has copies of all.
 * So the watch is taken back first: otherwise the loop would be told of a source that is freed.
 */
static void test_loop_forgets_the_connection(void **state)
{
	struct server server;
	struct device none;
	struct probe *probe;
	unsigned before;
	int ends[2];
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	device_init(&none, "/dev/nbd9999");
	assert_int_equal(server_spawn(&server, command, &folder, "", false), 0);
	probe = probe_over(dial(&server, 1), 5000, &none);
	before = loop_watches();
	assert_true(before > 0);
	child = fork();
	if (child == 0) {
		char byte;

		close(ends[1]);
		_exit(read(ends[0], &byte, 1) != 0);
	}
	probe_stop(probe);
	assert_int_equal(loop_watches(), before - 1);
	close(ends[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(ends[0]);
	device_close(&none);
	server_kill(&server);
	ends_by_signal_9(&server);
}

static void test_no_such_program(void **state)
{
	struct server_command *none;

	assert_int_equal(settings_string(&settings.nbdkit, "there-is-no-such-program"), 0);
	assert_int_equal(
		server_command_make(&none, &nbd_transport, &settings, "shm:1", "/tmp/stats", "/tmp/zsblk-control"),
		-ENOENT);
	assert_int_equal(settings_string(&settings.nbdkit, "/dev/null"), 0);
	assert_int_equal(
		server_command_make(&none, &nbd_transport, &settings, "shm:1", "/tmp/stats", "/tmp/zsblk-control"),
		-EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_outlives_its_parent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_probe_finds_one_that_is_stopped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_probe_finds_one_that_dies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_probe_forgives_a_standstill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_loop_forgets_the_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_such_program, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
