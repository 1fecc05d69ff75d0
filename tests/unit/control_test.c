/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to a daemon and their answers, between two processes. */
#include "lib/test.h"

#include "daemon/base/clock.h"
#include "daemon/state/control.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* What is asked for: sizes, since those are told. */
enum { LATER = 1, NOW, SILENCE, END, BAD, ANY };

static int connect_to(const char *name, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/one/%s", top, name);
	return connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -1 : fd;
}

static int ask(unsigned what, unsigned seconds, struct wrong *answer)
{
	return control_ask(top, "one", &(struct control_request){.verb = CONTROL_RESIZE, .size = what}, seconds,
			   answer);
}

/* One who asks and goes: the next one does not get the answer; and those who ask nothing keep nobody out. */
static bool others_get_nothing(void)
{
	static const char later[] = "{\"method\":\"org.zsblk.Daemon.Resize\",\"parameters\":{\"size\":1}}";
	struct wrong answer = {""};
	char text[100];
	int silent[2 * CONTROL_CLIENTS], fd = connect_to("daemon", SOCK_STREAM);
	bool right;

	right = send(fd, later, sizeof later, 0) == sizeof later && close(fd) == 0;
	fd = connect_to("daemon", SOCK_STREAM);
	/* It is the one that has been silent for longest. */
	usleep(20000);
	for (unsigned i = 0; i < 2 * CONTROL_CLIENTS; i++)
		silent[i] = connect_to("daemon", SOCK_STREAM);
	right &= ask(NOW, 5, &answer) == 0 && strcmp(answer.text, "you said 2") == 0;
	/* Hung up by the daemon, with nothing said. */
	right &= recv(fd, text, sizeof text, 0) == 0;
	close(fd);
	for (unsigned i = 0; i < 2 * CONTROL_CLIENTS; i++)
		close(silent[i]);
	return right;
}

static void requested(void *opaque, unsigned client, const struct control_request *request)
{
	char answer[100];
	static unsigned late;

	if (request->size == LATER) {
		late = client;
		return;
	}
	if (request->size == NOW)
		control_answer(control, late, true, "late");
	if (request->size == SILENCE)
		return;
	if (request->size == END)
		sd_event_exit(loop, 0);
	snprintf(answer, sizeof answer, request->verb == CONTROL_STATUS ? "all is well" : "you said %d",
		 (int)request->size);
	control_answer(control, client, request->size != BAD, answer);
}

static struct json_object *report(void *opaque)
{
	return json_object_new_object();
}

static int listen_here(struct folder *folder)
{
	struct wrong wrong = {""};
	const struct control_spec spec = {
		.folder = folder, .group = (gid_t)-1, .version = "0", .request = requested, .report = report};
	struct control_spec with_loop = spec;

	assert_int_equal(folder_open(folder, top, "one", true, &wrong), 0);
	assert_true(sd_event_new(&loop) >= 0);
	with_loop.loop = loop;
	return control_listen(&control, &with_loop);
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
	right = control_ask(top, "one", &(struct control_request){.verb = CONTROL_STATUS}, 0, &answer) == 0 &&
		strcmp(answer.text, "all is well") == 0;
	right &= ask(BAD, 0, &answer) == -EACCES && strcmp(answer.text, "you said 5") == 0;
	/* More than there are places for clients at once. */
	for (int i = 0; i < 50; i++)
		right &= ask(ANY, 0, &answer) == 0;
	right &= others_get_nothing();
	right &= ask(SILENCE, 1, &answer) == -EREMOTEIO && strstr(answer.text, "does not answer");
	right &= ask(END, 0, &answer) == 0;
	_exit(right ? 42 : 1);
}

static void test_answers(void **state)
{
	struct folder folder;
	int status;
	pid_t pid;

	assert_int_equal(listen_here(&folder), 0);
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

/* In a child, since it becomes another user: root may connect to any socket. 42: what is said is the socket's, and why. */
static int ask_closed_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct wrong wrong = {""}, answer = {"something that was said before"};
	struct folder folder;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool right = geteuid() || (chown(top, 65534, 65534) == 0 && setuid(65534) == 0);

	right = right && folder_open(&folder, top, "one", true, &wrong) == 0;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/one/daemon", top);
	right = right && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0 &&
		chmod(address.sun_path, 0) == 0;
	return right && ask(ANY, 1, &answer) == -EACCES && strstr(answer.text, "one/daemon: Permission denied") ? 42
														: 1;
}

static void test_closed_socket(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(ask_closed_socket());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 42);
}

static void test_nobody(void **state)
{
	struct wrong answer = {""};

	assert_int_equal(ask(ANY, 0, &answer), -ESRCH);
	assert_non_null(strstr(answer.text, "there is no zsblkd for 'one'"));
}

/* A daemon of a version before, at the place that has become the server's. */
static void answer_in_words(void *opaque)
{
	int listening = *(const int *)opaque;

	for (;;) {
		int fd = accept(listening, NULL, NULL);
		char word[100] = "";

		(void)!recv(fd, word, sizeof word - 1, 0);
		(void)!send(fd, strcmp(word, "stop") == 0 ? "failed\nin use" : "ok\nfine",
			    strcmp(word, "stop") == 0 ? 13 : 7, MSG_NOSIGNAL);
		close(fd);
		if (strcmp(word, "upgrade") == 0)
			_exit(42);
	}
}

static void test_older_daemon(void **state)
{
	static const struct {
		enum control_verb verb;
		int r;
		const char *text;
	} cases[] = {
		{CONTROL_STATUS, 0, "fine"},
		{CONTROL_STOP, -EACCES, "in use"},
		{CONTROL_RESIZE, -EACCES, "of a version without"},
		{CONTROL_MAKE_WAY, 0, "fine"},
		{CONTROL_UPGRADE, 0, "fine"},
	};
	struct wrong answer = {""};
	struct folder folder;
	int status, listening;

	assert_int_equal(folder_open(&folder, top, "one", true, &answer), 0);
	listening = folder_listen(&folder, "control", SOCK_SEQPACKET);
	assert_true(listening >= 0);
	asker = fork();
	if (asker == 0)
		answer_in_words(&listening);
	close(listening);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int r = control_ask(top, "one", &(struct control_request){.verb = cases[i].verb}, 30, &answer);

		if (r != cases[i].r || !strstr(answer.text, cases[i].text))
			fail_msg("%zu: %d, \"%s\"", i, r, answer.text);
	}
	assert_int_equal(waitpid(asker, &status, 0), asker);
	asker = 0;
	assert_int_equal(WEXITSTATUS(status), 42);
	/* The socket of a server is no daemon's. */
	listening = folder_listen(&folder, "control", SOCK_STREAM);
	assert_int_equal(ask(ANY, 5, &answer), -ESRCH);
	close(listening);
	/* A place that cannot be looked at does not say that there is nobody. */
	assert_return_code(unlinkat(folder.fd, "control", 0), errno);
	assert_return_code(symlinkat("control", folder.fd, "control"), errno);
	assert_int_equal(ask(ANY, 5, &answer), -EREMOTEIO);
	assert_return_code(unlinkat(folder.fd, "control", 0), errno);
	folder_close(&folder);
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
	static const char call[] = "{\"method\":\"org.zsblk.Daemon.Resize\",\"parameters\":{\"size\":6}}";
	struct rlimit usual, few;
	struct folder folder;
	char text[100] = "";
	int waiting;

	/* There accept() takes the connection off the queue and closes it when the descriptor is above the limit. */
	if (running_under_valgrind()) {
		print_message("# valgrind ends clients for whom there is no descriptor\n");
		skip();
	}
	assert_int_equal(listen_here(&folder), 0);
	assert_true(sd_event_add_post(loop, NULL, count_events, NULL) >= 0);
	waiting = connect_to("daemon", SOCK_STREAM);
	assert_true(waiting >= 0);
	assert_int_equal(send(waiting, call, sizeof call, 0), sizeof call);
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
	assert_non_null(strstr(text, "you said 6"));
	close(waiting);
	control_close(control);
	sd_event_unref(loop);
	folder_close(&folder);
}

/* A child of the daemon has copies of its descriptors: clients that have gone are no work, as long as it lives. */
static void test_child_with_copies(void **state)
{
	struct folder folder;
	int fd;

	assert_int_equal(listen_here(&folder), 0);
	assert_true(sd_event_add_post(loop, NULL, count_events, NULL) >= 0);
	fd = connect_to("daemon", SOCK_STREAM);
	run_until(clock_after_ms(50));
	asker = fork();
	if (asker == 0) {
		pause();
		_exit(0);
	}
	close(fd);
	run_until(clock_after_ms(50));
	/* The child's copy of the client's end is the one that keeps this one open. */
	kill(asker, SIGKILL);
	waitpid(asker, NULL, 0);
	asker = fork();
	if (asker == 0) {
		pause();
		_exit(0);
	}
	run_until(clock_after_ms(50));
	events = 0;
	run_until(clock_after_ms(300));
	assert_in_range(events, 0, 10);
	control_close(control);
	sd_event_unref(loop);
	folder_close(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_older_daemon, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_child_with_copies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_descriptors, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
