/* SPDX-License-Identifier: BSD-3-Clause */
/* The caller's side of Varlink: against a server of ours, and against services that answer anything or nothing. */
#include "lib/failing.h"
#include "lib/test.h"

#include "varlink/client.h"
#include "varlink/server.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/zsblk-client-XXXXXX", path[64];

static int make_folder(void **state)
{
	snprintf(path, sizeof path, "%s/socket", mkdtemp(folder) ? folder : "");
	return 0;
}

static int remove_folder(void **state)
{
	return rmdir(folder);
}

/* ------------------------------------------------------------------ a server of ours */

static const char idl[] = "interface org.example.Test\n"
			  "method Double(i: int) -> (i: int)\n"
			  "method Count(to: int) -> (i: int)\n"
			  "method Refuse() -> ()\n"
			  "method Make() -> (i: int, list: [](t: string))\n"
			  "method Stay() -> ()\n"
			  "error Wrong (reason: string)\n";

static enum varlink_result double_it(void *opaque, struct varlink_call *call)
{
	struct json_object *out = json_object_new_object();
	int64_t i = 0;

	varlink_int(call, "i", &i);
	varlink_add(out, "i", json_object_new_int64(2 * i));
	varlink_reply(call, out);
	return VARLINK_DONE;
}

static enum varlink_result count(void *opaque, struct varlink_call *call)
{
	struct json_object *out = json_object_new_object();
	int64_t to = 0;

	varlink_int(call, "to", &to);
	varlink_add_int(out, "i", ++call->state[0]);
	if ((int64_t)call->state[0] < to) {
		varlink_notify(call, out);
		return VARLINK_AGAIN;
	}
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* Without memory at the allocation of this number. 0: with all that it needs. */
static _Atomic unsigned lacking;

static enum varlink_result make(void *opaque, struct varlink_call *call)
{
	struct json_object *out, *list, *member;

	allocations = 0;
	failing = lacking;
	out = json_object_new_object();
	list = json_object_new_array();
	for (unsigned i = 0; i < 3; i++) {
		member = json_object_new_object();
		varlink_add_string(member, "t", "one of several that are long enough to need memory of their own");
		varlink_append(list, member);
	}
	varlink_add_int(out, "i", 7);
	varlink_add(out, "list", list);
	varlink_reply(call, out);
	/* Nothing failed: there were not so many. */
	if (allocations < failing)
		lacking = 0;
	failing = 0;
	return VARLINK_DONE;
}

static enum varlink_result refuse(void *opaque, struct varlink_call *call)
{
	varlink_refuse(call, "Wrong", "it is %d\n", 7);
	return VARLINK_DONE;
}

/* Never over; what it keeps is let go of when its client has gone. */
static _Atomic unsigned kept, let_go;

static enum varlink_result stay(void *opaque, struct varlink_call *call)
{
	if (!call->state[1]++)
		kept++;
	return VARLINK_AGAIN;
}

static void drop(void *opaque, struct varlink_call *call)
{
	if (call->state[1])
		let_go++;
}

static const struct varlink_method methods[] = {
	{"Double", VARLINK_LOOK, double_it}, {"Count", VARLINK_LOOK, count}, {"Refuse", VARLINK_LOOK, refuse},
	{"Make", VARLINK_LOOK, make},        {"Stay", VARLINK_LOOK, stay},   {NULL, VARLINK_NOTHING, NULL},
};

struct running {
	struct varlink_server *server;
	pthread_t thread;
	int stop[2];
};

static void *serve(void *opaque)
{
	struct running *running = opaque;
	struct pollfd fds[] = {{.fd = running->stop[0], .events = POLLIN},
			       {.fd = varlink_server_fd(running->server), .events = POLLIN}};

	while (poll(fds, 2, -1) > 0 && !fds[0].revents)
		varlink_server_step(running->server);
	return NULL;
}

static void start(struct running *running)
{
	const struct varlink_service service = {.product = "test",
						.version = "1",
						.idl = idl,
						.methods = methods,
						.drop = drop,
						.path = path,
						.group = VARLINK_NO_GROUP};
	struct varlink_why why = {""};

	assert_int_equal(varlink_server_open(&running->server, &service), 0);
	if (varlink_server_listen(running->server, &why))
		fail_msg("%s", why.text);
	assert_int_equal(pipe(running->stop), 0);
	assert_int_equal(pthread_create(&running->thread, NULL, serve, running), 0);
}

static void stop(struct running *running)
{
	assert_int_equal(write(running->stop[1], "x", 1), 1);
	pthread_join(running->thread, NULL);
	varlink_server_close(running->server);
	close(running->stop[0]);
	close(running->stop[1]);
	assert_int_equal(access(path, F_OK), -1);
}

static struct json_object *number(const char *name, int64_t value)
{
	struct json_object *in = json_object_new_object();

	json_object_object_add(in, name, json_object_new_int64(value));
	return in;
}

static int64_t number_in(struct json_object *out)
{
	int64_t value = json_object_get_int64(json_object_object_get(out, "i"));

	json_object_put(out);
	return value;
}

static void test_calls(void **state)
{
	struct varlink_failure failure;
	struct varlink_client *client;
	struct running running;
	struct json_object *out;

	start(&running);
	assert_int_equal(varlink_client_open(&client, path, 20000), 0);
	for (int64_t i = -2; i < 100; i++) {
		assert_int_equal(varlink_client_call(client, "org.example.Test.Double", number("i", i), &out, &failure),
				 0);
		assert_int_equal(number_in(out), 2 * i);
	}
	assert_int_equal(varlink_client_call(client, "org.example.Test.Refuse", NULL, &out, &failure), -EREMOTEIO);
	assert_null(out);
	assert_string_equal(failure.error, "org.example.Test.Wrong");
	assert_string_equal(failure.text, "it is 7 ");
	assert_int_equal(varlink_client_call(client, "org.example.Test.Double", NULL, &out, &failure), -EREMOTEIO);
	assert_string_equal(failure.error, "org.varlink.service.InvalidParameter");
	assert_string_equal(failure.text, "InvalidParameter: i");
	varlink_client_close(client);
	varlink_client_close(NULL);
	stop(&running);
}

/* A name that others would take for another one is none: the server hangs up. */
static void test_hidden_name(void **state)
{
	static const char call[] = "{\"method\":\"org.example.Test.Refuse\\u0000d\"}";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct running running;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[200];

	start(&running);
	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(send(fd, call, sizeof call, 0), sizeof call);
	assert_int_equal(recv(fd, answer, sizeof answer, 0), 0);
	close(fd);
	stop(&running);
}

/* A reply is whole, or an error. */
static void test_no_memory(void **state)
{
	struct varlink_failure failure;
	struct varlink_client *client;
	struct running running;
	struct json_object *out;
	const char *text = "{\"t\":\"one of several that are long enough to need memory of their own\"}";
	unsigned failed = 0, n = 1;
	char whole[400];

	snprintf(whole, sizeof whole, "{\"i\":7,\"list\":[%s,%s,%s]}", text, text, text);
	start(&running);
	assert_int_equal(varlink_client_open(&client, path, 20000), 0);
	do {
		int r;

		lacking = n++;
		r = varlink_client_call(client, "org.example.Test.Make", NULL, &out, &failure);
		if (r) {
			assert_int_equal(r, -EREMOTEIO);
			assert_string_equal(failure.error, "org.example.Test.Failed");
			failed++;
			continue;
		}
		assert_string_equal(json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN), whole);
		json_object_put(out);
	} while (lacking);
	assert_true(failed > 5 || !allocations_can_fail());
	varlink_client_close(client);
	stop(&running);
}

static void test_several_replies(void **state)
{
	struct varlink_failure failure;
	struct varlink_client *client;
	struct running running;
	struct json_object *out;
	bool continues = true;

	start(&running);
	assert_int_equal(varlink_client_open(&client, path, 20000), 0);
	assert_int_equal(varlink_client_send(client, "org.example.Test.Count", number("to", 4), true, &failure), 0);
	for (int64_t i = 1; i <= 4; i++) {
		assert_true(continues);
		assert_int_equal(varlink_client_receive(client, true, &out, &continues, &failure), 0);
		assert_int_equal(number_in(out), i);
	}
	assert_false(continues);
	varlink_client_close(client);
	stop(&running);
}

/* Whoever waits so long waits for ever. */
static void wait_for(const _Atomic unsigned *number, unsigned wanted)
{
	for (unsigned i = 0; i < 30000 && *number < wanted; i++)
		usleep(1000);
	assert_int_equal(*number, wanted);
}

/* A client goes before its call was answered, and another one is there when the server ends: nothing is kept for either. */
static void test_gone(void **state)
{
	struct varlink_client *one, *other;
	struct varlink_failure failure;
	struct running running;
	struct json_object *out;

	start(&running);
	assert_int_equal(varlink_client_open(&one, path, 20000), 0);
	assert_int_equal(varlink_client_open(&other, path, 20000), 0);
	assert_int_equal(varlink_client_send(one, "org.example.Test.Stay", NULL, false, &failure), 0);
	wait_for(&kept, 1);
	varlink_client_close(one);
	wait_for(&let_go, 1);
	assert_int_equal(varlink_client_call(other, "org.example.Test.Double", number("i", 1), &out, &failure), 0);
	json_object_put(out);
	assert_int_equal(varlink_client_send(other, "org.example.Test.Stay", NULL, false, &failure), 0);
	wait_for(&kept, 2);
	stop(&running);
	varlink_client_close(other);
	assert_int_equal(let_go, 2);
}

static void test_nobody_there(void **state)
{
	struct varlink_client *client;
	char long_path[200];

	assert_int_equal(varlink_client_open(&client, path, 1000), -ENOENT);
	memset(long_path, 'x', sizeof long_path);
	long_path[sizeof long_path - 1] = '\0';
	assert_int_equal(varlink_client_open(&client, long_path, 1000), -ENAMETOOLONG);
}

/* ------------------------------------------------------------------ other services */

struct other {
	int fd;
	const char *answer;
	size_t length;
	bool stays;
};

static void *answer(void *opaque)
{
	const struct other *other = opaque;
	int fd = accept(other->fd, NULL, NULL);
	char call[1000];

	must(fd >= 0 && recv(fd, call, sizeof call, 0) > 0);
	for (size_t sent = 0; sent < other->length;) {
		ssize_t n = send(fd, other->answer + sent, other->length - sent, MSG_NOSIGNAL);

		if (n < 0)
			break;
		sent += (size_t)n;
	}
	/* Until the client has had enough. */
	if (other->stays)
		(void)!recv(fd, call, sizeof call, 0);
	close(fd);
	return NULL;
}

static int call_other(const char *bytes, size_t length, bool stays, struct varlink_failure *failure)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct other other = {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .answer = bytes, .length = length, .stays = stays};
	struct varlink_client *client;
	struct json_object *out;
	pthread_t thread;
	int r;

	strcpy(address.sun_path, path);
	must(bind(other.fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(other.fd, 1) == 0);
	must(pthread_create(&thread, NULL, answer, &other) == 0);
	must(varlink_client_open(&client, path, 300) == 0);
	r = varlink_client_call(client, "org.example.Test.Double", NULL, &out, failure);
	json_object_put(out);
	varlink_client_close(client);
	pthread_join(thread, NULL);
	close(other.fd);
	unlink(path);
	return r;
}

static void test_other_services(void **state)
{
	static const struct {
		const char *answer;
		bool stays;
		int result;
	} cases[] = {
		{"{\"parameters\": {}}", true, 0},
		{"{}", true, 0},
		{"{\"error\": \"org.example.Other\"}", true, -EREMOTEIO},
		{"{\"error\": \"Other\", \"parameters\": {\"reason\": \"\"}}", true, -EREMOTEIO},
		{"{\"error\": 1}", true, -EBADMSG},
		{"{\"error\": null}", true, -EBADMSG},
		{"{\"parameters\": {}, \"continues\": null}", true, -EBADMSG},
		{"{\"parameters\": null}", true, 0},
		{"{\"parameters\": []}", true, -EBADMSG},
		{"{\"parameters\": {}, \"continues\": true}", true, -EBADMSG},
		{"HTTP/1.1 200 OK", true, -EBADMSG},
		{"[]", true, -EBADMSG},
	};
	struct varlink_failure failure;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int r = call_other(cases[i].answer, strlen(cases[i].answer) + 1, cases[i].stays, &failure);

		if (r != cases[i].result)
			fail_msg("%s: %d", cases[i].answer, r);
		assert_true(!r || failure.text[0]);
	}
	assert_int_equal(call_other("{\"par", 5, false, &failure), -ECONNRESET);
	assert_int_equal(call_other("", 0, false, &failure), -ECONNRESET);
	assert_int_equal(call_other("{\"par", 5, true, &failure), -ETIMEDOUT);
}

static void test_endless_reply(void **state)
{
	static char bytes[200000];
	struct varlink_failure failure;

	memset(bytes, ' ', sizeof bytes);
	assert_int_equal(call_other(bytes, sizeof bytes, false, &failure), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),         cmocka_unit_test(test_several_replies),
		cmocka_unit_test(test_nobody_there),  cmocka_unit_test(test_other_services),
		cmocka_unit_test(test_endless_reply), cmocka_unit_test(test_gone),
		cmocka_unit_test(test_hidden_name),   cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("client", tests, make_folder, remove_folder);
}
