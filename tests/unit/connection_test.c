/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections, with the other end of a socket pair for a server. With real servers: tests/daemon. */
#include "lib/base.h"
#include "lib/test.h"

#include "daemon/transport/nbd/connection.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING                                                                                                       \
	"NBDMAGIC"                                                                                                     \
	"IHAVEOPT"                                                                                                     \
	"\0\3"
#define ANSWER                                                                                                         \
	"\x00\x03\xe8\x89\x04\x55\x65\xa9"                                                                             \
	"\0\0\0\7"
/* 64 MiB; flags, flush, FUA, trim, several connections, and one that the kernel does not know. */
#define EXPORT                                                                                                         \
	ANSWER "\0\0\0\3"                                                                                              \
	       "\0\0\0\x0c"                                                                                            \
	       "\0\0"                                                                                                  \
	       "\0\0\0\0\4\0\0\0"                                                                                      \
	       "\x05\x2d"
#define DONE                                                                                                           \
	ANSWER "\0\0\0\1"                                                                                              \
	       "\0\0\0\0"
#define REPLY "\x67\x44\x66\x98"

static struct connection connection;
static int server;

static int set_up(void **state)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -1;
	server = ends[1];
	connection_init(&connection, ends[0]);
	return 0;
}

static int tear_down(void **state)
{
	connection_close(&connection);
	close(server);
	return 0;
}

static void say_bytes(const void *bytes, size_t n)
{
	assert_int_equal(send(server, bytes, n, 0), n);
}

#define SAY(text) say_bytes(text, sizeof(text) - 1)

/* As often as there is something to be done. */
static int move(void)
{
	int r = 0;

	for (int i = 0; i < 50 && !r; i++)
		r = connection_move(&connection);
	return r;
}

static void expect_bytes(const void *bytes, size_t n)
{
	uint8_t got[100];

	assert_int_equal(recv(server, got, sizeof got, 0), n);
	assert_memory_equal(got, bytes, n);
}

static void shake_hands(void)
{
	uint8_t request[26];

	SAY(GREETING EXPORT DONE);
	assert_int_equal(move(), 1);
	assert_int_equal(recv(server, request, sizeof request, 0), sizeof request);
}

static void fails(int error, const char *why)
{
	assert_int_equal(move(), -error);
	if (!strstr(connection.why, why))
		fail_msg("\"%s\" has no \"%s\"", connection.why, why);
}

static void test_handshake(void **state)
{
	static const char wanted[] = "\0\0\0\1"
				     "IHAVEOPT"
				     "\0\0\0\7"
				     "\0\0\0\6"
				     "\0\0\0\0"
				     "\0\0";

	assert_int_equal(connection_move(&connection), 0);
	assert_int_equal(connection_events(&connection), POLLIN);
	SAY(GREETING);
	assert_int_equal(move(), 0);
	expect_bytes(wanted, sizeof wanted - 1);
	SAY(EXPORT);
	assert_int_equal(move(), 0);
	SAY(DONE);
	assert_int_equal(move(), 1);
	assert_int_equal(connection.size, 64 << 20);
	assert_int_equal(connection.flags, CONNECTION_HAS_FLAGS | CONNECTION_SEND_FLUSH | CONNECTION_SEND_FUA |
						   CONNECTION_SEND_TRIM | CONNECTION_CAN_MULTI_CONN);
	assert_int_equal(move(), 1);
}

/* However the bytes come. */
static void test_byte_by_byte(void **state)
{
	static const char all[] = GREETING EXPORT DONE;

	for (size_t i = 0; i < sizeof all - 1; i++) {
		assert_int_equal(connection_move(&connection), 0);
		say_bytes(all + i, 1);
	}
	assert_int_equal(move(), 1);
	assert_int_equal(connection.size, 64 << 20);
}

/* Nobody takes in what is sent: the rest goes out later. */
static void test_full_socket(void **state)
{
	static const uint8_t zeroes[4096];
	uint8_t dropped[4096];

	while (send(connection.fd, zeroes, sizeof zeroes, MSG_DONTWAIT) > 0)
		;
	SAY(GREETING EXPORT DONE);
	assert_int_equal(move(), 0);
	assert_int_equal(connection_events(&connection), POLLOUT);
	while (recv(server, dropped, sizeof dropped, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(move(), 1);
}

/* Facts that were not asked for do no harm; those without end are not listened to for ever. */
static void test_other_facts(void **state)
{
	static char block_sizes[] = ANSWER "\0\0\0\3"
					   "\0\0\0\x0e"
					   "\0\3"
					   "\0\0\0\1"
					   "\0\0\x10\0"
					   "\0\2\0\0";

	SAY(GREETING);
	for (int i = 0; i < 100; i++)
		say_bytes(block_sizes, sizeof block_sizes - 1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(connection_move(&connection), 0);
	assert_true(connection.state < CONNECTION_READY);
	SAY(EXPORT DONE);
	assert_int_equal(move(), 1);
	assert_int_equal(connection.size, 64 << 20);
}

/* A server that says everything at once, of whatever length: no event comes after that. */
static void test_all_at_once(void **state)
{
	for (unsigned facts = 1; facts <= 10; facts++) {
		int r = 0;

		tear_down(NULL);
		assert_int_equal(set_up(NULL), 0);
		SAY(GREETING);
		for (unsigned i = 0; i < facts; i++)
			SAY(EXPORT);
		SAY(DONE);
		while (!r) {
			struct pollfd event = {.fd = connection.fd, .events = connection_events(&connection)};

			if (poll(&event, 1, 0) == 0)
				fail_msg("%u facts: nothing comes any more", facts);
			r = connection_move(&connection);
		}
		assert_int_equal(r, 1);
	}
}

static void test_refused(void **state)
{
	SAY(GREETING ANSWER "\x80\0\0\6"
			    "\0\0\0\x0d"
			    "no\nsuch export");
	fails(EPROTO, "refuses the connection (0x80000006): no?such expor");
	assert_null(strchr(connection.why, '\n'));
}

static void test_refused_at_length(void **state)
{
	static char text[8192];

	memset(text, 'x', sizeof text);
	SAY(GREETING ANSWER "\x80\0\0\6"
			    "\0\0\x20\0");
	say_bytes(text, sizeof text);
	fails(EPROTO, "xxxxx");
	assert_true(connection.fd >= 0 && connection.wanted == sizeof text);
}

static void test_refused_without_a_word(void **state)
{
	SAY(GREETING ANSWER "\x80\0\0\1"
			    "\0\0\0\0");
	fails(EPROTO, "(0x80000001)");
}

static void test_not_nbd(void **state)
{
	SAY("HTTP/1.1 400 Bad Request\r\n");
	fails(EPROTO, "does not speak");
}

static void test_old_server(void **state)
{
	SAY("NBDMAGIC"
	    "IHAVEOPT"
	    "\0\0");
	fails(EPROTO, "fixed newstyle");
}

static void test_other_answer(void **state)
{
	SAY(GREETING "\x00\x03\xe8\x89\x04\x55\x65\xa9"
		     "\0\0\0\3"
		     "\0\0\0\1"
		     "\0\0\0\0");
	fails(EPROTO, "not one of NBD");
}

static void test_long_answer(void **state)
{
	SAY(GREETING ANSWER "\0\0\0\3"
			    "\xff\xff\xff\xff");
	fails(EPROTO, "not one of NBD");
}

/* Acknowledged, and nothing was said of the export. */
static void test_no_export(void **state)
{
	SAY(GREETING DONE);
	fails(EPROTO, "does not say what it exports");
}

static void test_closed(void **state)
{
	SAY(GREETING);
	assert_int_equal(move(), 0);
	shutdown(server, SHUT_RDWR);
	fails(ECONNRESET, "closed the connection");
}

static void test_closed_while_ready(void **state)
{
	shake_hands();
	shutdown(server, SHUT_RDWR);
	fails(ECONNRESET, "closed the connection");
}

static void test_unasked(void **state)
{
	shake_hands();
	SAY("x");
	fails(EPROTO, "nobody has asked");
}

static void test_read(void **state)
{
	static const char wanted[] = "\x25\x60\x95\x13"
				     "\0\0"
				     "\0\0"
				     "\0\0\0\0\0\0\0\1"
				     "\0\0\0\0\0\0\x30\0"
				     "\0\0\x10\0";
	static const uint8_t zeroes[4096];

	shake_hands();
	connection_read(&connection, 3 * 4096, 4096);
	assert_int_equal(move(), 0);
	expect_bytes(wanted, sizeof wanted - 1);
	SAY(REPLY "\0\0\0\0"
		  "\0\0\0\0\0\0\0\1");
	say_bytes(zeroes, 4095);
	assert_int_equal(move(), 0);
	say_bytes(zeroes, 1);
	assert_int_equal(move(), 1);
	assert_int_equal(connection.error, 0);

	connection_read(&connection, 0, 4096);
	assert_int_equal(move(), 0);
	SAY(REPLY "\0\0\0\5"
		  "\0\0\0\0\0\0\0\2");
	assert_int_equal(move(), 1);
	assert_int_equal(connection.error, EIO);
}

static void test_other_reply(void **state)
{
	shake_hands();
	connection_read(&connection, 0, 4096);
	SAY(REPLY "\0\0\0\0"
		  "\0\0\0\0\0\0\0\2");
	fails(EPROTO, "not one to our request");
}

/* A structured reply was not asked for. */
static void test_structured_reply(void **state)
{
	shake_hands();
	connection_read(&connection, 0, 4096);
	SAY("\x66\x8e\x33\xef"
	    "\0\0\0\0"
	    "\0\0\0\0\0\0\0\1");
	fails(EPROTO, "not one to our request");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_handshake),
		TEST(test_byte_by_byte),
		TEST(test_full_socket),
		TEST(test_other_facts),
		TEST(test_all_at_once),
		TEST(test_refused),
		TEST(test_refused_at_length),
		TEST(test_refused_without_a_word),
		TEST(test_not_nbd),
		TEST(test_old_server),
		TEST(test_other_answer),
		TEST(test_long_answer),
		TEST(test_no_export),
		TEST(test_closed),
		TEST(test_closed_while_ready),
		TEST(test_unasked),
		TEST(test_read),
		TEST(test_other_reply),
		TEST(test_structured_reply),
	};

	return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}
