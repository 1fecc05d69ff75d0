/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to a daemon and their answers, between two processes. */
#include "lib/test.h"

#include "daemon/base/clock.h"
#include "daemon/state/control.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

/* What takes longer hangs. */
#define PATIENCE_US (60u * 1000000u)

static char top[64];
static struct control *control;
static sd_event *loop;

static int set_up(void **state)
{
	strcpy(top, "/tmp/zsblk-control.XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static pid_t asker;

static int tear_down(void **state)
{
	char command[100];

	if (asker > 0)
		kill(asker, SIGKILL);
	asker = 0;

	snprintf(command, sizeof command, "rm -rf %s", top);
	return system(command);
}

static int connect_to_it(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/one/control", top);
	return connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -1 : fd;
}

/* One who asks and goes: the next one does not get the answer; and those who ask nothing keep nobody out. */
static bool others_get_nothing(void)
{
	struct wrong answer = {""};
	char text[100];
	int silent[2 * CONTROL_CLIENTS], fd = connect_to_it();
	bool right;

	right = send(fd, "later", 5, 0) == 5 && close(fd) == 0;
	fd = connect_to_it();
	for (unsigned i = 0; i < 2 * CONTROL_CLIENTS; i++)
		silent[i] = connect_to_it();
	right &= control_ask(top, "one", "now", 5, &answer) == 0 && strcmp(answer.text, "you said now") == 0;
	/* Hung up by the daemon, with nothing said. */
	right &= recv(fd, text, sizeof text, 0) == 0;
	close(fd);
	for (unsigned i = 0; i < 2 * CONTROL_CLIENTS; i++)
		close(silent[i]);
	return right;
}

static void requested(void *opaque, unsigned client, const char *request)
{
	char answer[100] = "you said ";
	static unsigned late;

	if (strcmp(request, "later") == 0) {
		late = client;
		return;
	}
	if (strcmp(request, "now") == 0)
		control_answer(control, late, true, "late");
	if (strcmp(request, "silence") == 0)
		return;
	if (strcmp(request, "end") == 0)
		sd_event_exit(loop, 0);
	strncat(answer, request, sizeof answer - 1 - strlen(answer));
	control_answer(control, client, strcmp(request, "bad") != 0, answer);
}

/* The daemon's side has not been told to end: an answer that somebody waits for does not come. */
static int took_too_long(sd_event_source *source, uint64_t when, void *opaque)
{
	return sd_event_exit(loop, ETIMEDOUT);
}

/* Asks as other processes do; 42 if all answers were right. */
static pid_t ask_in_child(void)
{
	struct wrong answer = {""};
	pid_t pid = fork();
	bool right;

	asker = pid;
	if (pid)
		return pid;
	right = control_ask(top, "one", "status", 0, &answer) == 0 && strcmp(answer.text, "you said status") == 0;
	right &= control_ask(top, "one", "bad", 0, &answer) == -EACCES && strcmp(answer.text, "you said bad") == 0;
	/* More than there are places for clients at once. */
	for (int i = 0; i < 50; i++)
		right &= control_ask(top, "one", "again", 0, &answer) == 0;
	right &= others_get_nothing();
	right &= control_ask(top, "one", "silence", 1, &answer) == -EREMOTEIO && strstr(answer.text, "does not answer");
	right &= control_ask(top, "one", "end", 0, &answer) == 0;
	_exit(right ? 42 : 1);
}

static void test_answers(void **state)
{
	struct wrong wrong = {""};
	struct folder folder;
	int status;
	pid_t pid;

	assert_int_equal(folder_open(&folder, top, "one", true, &wrong), 0);
	assert_true(sd_event_new(&loop) >= 0);
	assert_int_equal(control_listen(&control, loop, &folder, requested, NULL), 0);
	assert_true(sd_event_add_time_relative(loop, NULL, CLOCK_MONOTONIC, PATIENCE_US, 0, took_too_long, NULL) >= 0);
	pid = ask_in_child();
	assert_int_equal(sd_event_loop(loop), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	asker = 0;
	assert_int_equal(WEXITSTATUS(status), 42);
	control_close(control);
	sd_event_unref(loop);
	folder_close(&folder);
}

static void test_nobody(void **state)
{
	struct wrong answer = {""};

	assert_int_equal(control_ask(top, "one", "status", 0, &answer), -ESRCH);
	assert_non_null(strstr(answer.text, "there is no zsblkd for 'one'"));
}

static unsigned events;

static int count_events(sd_event_source *source, void *opaque)
{
	events++;
	return 0;
}

static void run_until(uint64_t until)
{
	for (uint64_t now = clock_us(); now < until; now = clock_us())
		assert_true(sd_event_run(loop, until - now) >= 0);
}

/* No descriptor is left for one who connects: the loop does not spin over that, and he is let in when there is one again. */
static void test_no_descriptors(void **state)
{
	struct rlimit usual, few;
	struct wrong wrong = {""};
	struct folder folder;
	char text[100] = "";
	int waiting;

	/* There accept() takes the connection off the queue and closes it when the descriptor is above the limit. */
	if (running_under_valgrind()) {
		print_message("# valgrind ends clients for whom there is no descriptor\n");
		skip();
	}
	assert_int_equal(folder_open(&folder, top, "one", true, &wrong), 0);
	assert_true(sd_event_new(&loop) >= 0);
	assert_int_equal(control_listen(&control, loop, &folder, requested, NULL), 0);
	assert_true(sd_event_add_post(loop, NULL, count_events, NULL) >= 0);
	waiting = connect_to_it();
	assert_true(waiting >= 0);
	assert_int_equal(send(waiting, "status", 6, 0), 6);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	few = (struct rlimit){(rlim_t)waiting, usual.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	events = 0;
	run_until(clock_after_ms(300));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	assert_in_range(events, 1, 10);
	for (unsigned i = 0; i < 600 && recv(waiting, text, sizeof text - 1, MSG_PEEK | MSG_DONTWAIT) < 0; i++)
		run_until(clock_after_ms(100));
	assert_true(recv(waiting, text, sizeof text - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(text, "ok\nyou said status");
	close(waiting);
	control_close(control);
	sd_event_unref(loop);
	folder_close(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_descriptors, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
