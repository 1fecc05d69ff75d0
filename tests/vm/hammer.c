/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hammer: calls over Varlink, one by one or all the time.
 *
 *     hammer once SOCKET METHOD [PARAMETERS]     prints the reply; exit status 1 if that is an error
 *     hammer until FILE SOCKET METHOD [MS]       calls again and again until FILE is there, each over a connection of its own; now and then
 *                                                what is no call. MS: so many milliseconds between calls, as who looks has, and not as who
 *                                                attacks. Prints how many calls were answered
 *
 * The control sockets of servers that are killed do not answer for a while; that is not counted, and no error.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Seconds for an answer: Resize may replace a server. */
#define PATIENCE_S 60
/* Every so many calls there is one that is none. */
#define GARBAGE 16u

static char reply[1 << 20];

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = PATIENCE_S}, sizeof(struct timeval));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The whole answer, as text, in `reply`. */
static bool call(const char *path, const char *text, size_t length)
{
	size_t used = 0;
	ssize_t got = 1;
	int fd = connect_to(path);

	if (fd < 0)
		return false;
	if (send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length)
		while (used < sizeof reply && (got = recv(fd, reply + used, sizeof reply - used, 0)) > 0) {
			used += (size_t)got;
			if (!reply[used - 1])
				break;
		}
	close(fd);
	return used && used < sizeof reply && !reply[used - 1];
}

static unsigned call_until(const char *file, const char *path, const char *method, useconds_t pause_us)
{
	char text[200];
	int length = snprintf(text, sizeof text, "{\"method\":\"%s\"}", method);
	unsigned answered = 0;

	for (unsigned n = 1; access(file, F_OK) != 0; n++) {
		if (n % GARBAGE == 0)
			(void)call(path, "{\"method\":\"x\"]", sizeof "{\"method\":\"x\"]");
		else if (call(path, text, (size_t)length + 1))
			answered++;
		else
			usleep(10000);
		if (pause_us)
			usleep(pause_us);
	}
	return answered;
}

int main(int argc, char **argv)
{
	char text[1000];
	int length;

	if ((argc == 5 || argc == 6) && strcmp(argv[1], "until") == 0) {
		useconds_t pause_us = argc > 5 ? (useconds_t)strtoul(argv[5], NULL, 10) * 1000 : 0;

		printf("answered=%u\n", call_until(argv[2], argv[3], argv[4], pause_us));
		return 0;
	}
	if (argc < 4 || argc > 5 || strcmp(argv[1], "once") != 0) {
		fprintf(stderr,
			"usage: hammer once SOCKET METHOD [PARAMETERS] | hammer until FILE SOCKET METHOD [MS]\n");
		return 2;
	}
	length = snprintf(text, sizeof text, "{\"method\":\"%s\",\"parameters\":%s}", argv[3],
			  argc > 4 ? argv[4] : "{}");
	if (!call(argv[2], text, (size_t)length + 1)) {
		fprintf(stderr, "hammer: %s: %s\n", argv[2], errno ? strerror(errno) : "no answer");
		return 1;
	}
	puts(reply);
	return strncmp(reply, "{\"error\"", 8) == 0;
}
