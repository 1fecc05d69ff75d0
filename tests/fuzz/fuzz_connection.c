/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What claims to come from a server: a connection is ready, waits for more, or says what is wrong, in one line.
 *
 * Input: a byte of set-up, then what the server sends. The set-up: 1 for a handshake that was done before, and so many reads.
 */
#include "fuzz/input.h"
#include "lib/base.h"

#include "daemon/transport/nbd/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static const char handshake[] = "NBDMAGIC"
				"IHAVEOPT"
				"\0\3"
				"\x00\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\7\0\0\0\3\0\0\0\x0c\0\0\0\0\0\0\4\0\0\0\1\x2d"
				"\x00\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\7\0\0\0\1\0\0\0";

static void check_why(const struct connection *connection, int r)
{
	size_t length = strnlen(connection->why, sizeof connection->why);

	must(r == -EPROTO || r == -ECONNRESET);
	must(length > 0 && length < sizeof connection->why);
	for (size_t i = 0; i < length; i++)
		must((unsigned char)connection->why[i] >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = {bytes, len < 60000 ? len : 60000};
	unsigned set_up = (unsigned)take(&input, 1), reads = set_up >> 1 & 3;
	struct connection connection;
	int ends[2], r = 0;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	connection_init(&connection, ends[0]);
	if (set_up & 1)
		must(send(ends[1], handshake, sizeof handshake, 0) == (ssize_t)sizeof handshake);
	if (input.left)
		must(send(ends[1], input.at, input.left, 0) == (ssize_t)input.left);
	must(shutdown(ends[1], SHUT_WR) == 0);
	/* Each call takes something in, until there is nothing left. */
	for (size_t i = 0; r >= 0 && i < len + 20; i++) {
		r = connection_move(&connection);
		if (r == 1 && reads-- > 0)
			connection_read(&connection, 4096, 4096);
	}
	must(r < 0);
	/* Nothing that comes later changes what the handshake said. */
	must(!(set_up & 1) || connection.size == 64 << 20);
	check_why(&connection, r);
	connection_close(&connection);
	close(ends[1]);
	return 0;
}
