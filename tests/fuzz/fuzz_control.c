/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket, from both sides.
 *
 * Input: a byte of set-up, then operations of clients: what to do, which client, and the bytes of a call. Whatever
 * they do, each request has a number of its own, nobody is answered twice, the loop comes to rest, and no descriptor is left. With the
 * lowest bit of the set-up the rest of the input is what some daemon of an older version answers instead.
 */
#include "fuzz/text.h"

#include "daemon/state/control.h"

#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#define CLIENTS    12
#define OPERATIONS 64

static char top[] = "/tmp/zsblk-fuzz.XXXXXX";
static struct folder folder;
static struct control *control;
static sd_event *loop;

/* Those who have asked, in the order in which they did. */
static unsigned asked[OPERATIONS * CONTROL_CLIENTS];
static unsigned n_asked, n_answered;

static void remove_folder(void)
{
	folder_remove(&folder, NULL);
	rmdir(top);
}

static void set_up_once(void)
{
	struct wrong wrong;

	if (loop)
		return;
	must(mkdtemp(top) && folder_open(&folder, top, "one", true, &wrong) == 0);
	must(sd_event_new(&loop) >= 0);
	atexit(remove_folder);
}

/* ------------------------------------------------------------------ the daemon's side */

static void requested(void *opaque, unsigned client, const struct control_request *request)
{
	must(client && client != CONTROL_NOBODY);
	must(request->verb <= CONTROL_MAKE_WAY && request->size <= INT64_MAX);
	must(n_asked < COUNT_OF(asked));
	asked[n_asked++] = client;
}

static struct json_object *report(void *opaque)
{
	return json_object_new_object();
}

/* Until nothing is left to do: a client that stays and asks nothing is no work. */
static void run_loop(void)
{
	for (int i = 0; i < 1000; i++)
		if (sd_event_run(loop, 0) == 0)
			return;
	must(!"the loop never rests");
}

static void answer(struct input *input)
{
	char text[2 * CONTROL_TEXT_MAX];
	size_t length = (size_t)take(input, 2) % sizeof text;
	unsigned client = n_answered < n_asked ? asked[n_answered++] : (unsigned)take(input, 1);

	memset(text, 'x', length);
	text[length ? length - 1 : 0] = '\0';
	control_answer(control, client, length & 1, text);
	/* Nobody is answered twice. */
	control_answer(control, client, true, "again");
	control_answer(control, CONTROL_NOBODY, true, "nobody");
}

/* ------------------------------------------------------------------ the clients' side */

static int connect_to_it(void)
{
	char path[FOLDER_PATH_MAX + 60];
	int fd;

	folder_file(&folder, "daemon", path);
	fd = folder_connect(path, SOCK_STREAM, 1);
	must(fd >= 0);
	return fd;
}

static void send_some(int fd, struct input *input)
{
	static const char *const calls[] = {
		"{\"method\":\"org.zsblk.Daemon.GetStatus\"}",
		"{\"method\":\"org.zsblk.Daemon.Stop\",\"parameters\":{\"unless_used\":true}}",
		"{\"method\":\"org.zsblk.Daemon.Resize\",\"parameters\":{\"size\":-1}}",
		"{\"method\":\"org.zsblk.Daemon.MakeWay\",\"oneway\":true}",
	};
	unsigned which = (unsigned)take(input, 1);
	char request[2 * CONTROL_TEXT_MAX];
	size_t length = which % 4 ? (size_t)take(input, 1) % 16 : (size_t)take(input, 2) % sizeof request;

	if (which & 4) {
		(void)!send(fd, calls[which / 8 % COUNT_OF(calls)], strlen(calls[which / 8 % COUNT_OF(calls)]) + 1,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		return;
	}
	for (size_t i = 0; i < length; i++)
		request[i] = input->left ? (char)take(input, 1) : 'x';
	(void)!send(fd, request, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void receive(int fd)
{
	char text[CONTROL_TEXT_MAX + 2];

	(void)!recv(fd, text, sizeof text, MSG_DONTWAIT);
}

static void operate(struct input *input, int fds[CLIENTS])
{
	unsigned what = (unsigned)take(input, 1), which = what / 8 % CLIENTS;
	int fd = fds[which];

	if (what % 8 == 6)
		run_loop();
	else if (what % 8 == 7)
		answer(input);
	else if (fd < 0)
		fds[which] = connect_to_it();
	else if (what % 8 < 3)
		send_some(fd, input);
	else if (what % 8 == 3)
		receive(fd);
	else if (what % 8 == 4)
		shutdown(fd, SHUT_WR);
	else {
		close(fd);
		fds[which] = -1;
	}
}

static void serve(struct input *input)
{
	int fds[CLIENTS], lowest = dup(STDIN_FILENO);

	close(lowest);
	n_asked = n_answered = 0;
	must(control_listen(&control, &(struct control_spec){.loop = loop,
							     .folder = &folder,
							     .group = (gid_t)-1,
							     .version = "0",
							     .request = requested,
							     .report = report}) == 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		fds[i] = -1;
	for (unsigned n = 0; input->left && n < OPERATIONS; n++)
		operate(input, fds);
	run_loop();
	while (n_answered < n_asked)
		control_answer(control, asked[n_answered++], true, "late");
	for (unsigned i = 0; i < CLIENTS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	run_loop();
	control_close(control);
	must(dup(STDIN_FILENO) == lowest);
	close(lowest);
}

/* ------------------------------------------------------------------ another daemon */

struct answerer {
	int listening;
	const uint8_t *bytes;
	size_t len;
};

static void *give_answer(void *opaque)
{
	const struct answerer *answerer = opaque;
	int fd = accept(answerer->listening, NULL, NULL);
	char request[100];

	must(fd >= 0 && recv(fd, request, sizeof request, 0) == 6);
	(void)!send(fd, answerer->bytes, answerer->len, MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void ask(struct input *input)
{
	struct answerer answerer = {folder_listen(&folder, "control", SOCK_SEQPACKET), input->at, input->left};
	struct wrong text = {""};
	pthread_t thread;
	int r;

	must(answerer.listening >= 0 && pthread_create(&thread, NULL, give_answer, &answerer) == 0);
	r = control_ask(top, "one", &(struct control_request){.verb = CONTROL_STATUS}, 0, &text);
	pthread_join(thread, NULL);
	close(answerer.listening);
	must(r == 0 || r == -EACCES || r == -EREMOTEIO);
	must((r == 0) == (answerer.len >= 3 && memcmp(answerer.bytes, "ok\n", 3) == 0));
	must(strnlen(text.text, sizeof text.text) < sizeof text.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = {bytes, len};

	set_up_once();
	if (take(&input, 1) & 1)
		ask(&input);
	else
		serve(&input);
	return 0;
}
