/* SPDX-License-Identifier: BSD-3-Clause */
/* Readiness, to a socket with a path and to one with an abstract name; and to none. */
#include "lib/test.h"

#include "ublk/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	return fd;
}

static void is_told(const char *name)
{
	char text[64] = "";
	int fd = listen_at(name);

	setenv("NOTIFY_SOCKET", name, 1);
	notify_send("READY=1\nSTATUS=here");
	assert_int_equal(recv(fd, text, sizeof text - 1, 0), 19);
	assert_string_equal(text, "READY=1\nSTATUS=here");
	close(fd);
}

static void test_told(void **state)
{
	char folder[] = "/tmp/zsblk-notify-XXXXXX", path[64];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/socket", folder);
	is_told(path);
	unlink(path);
	/* Nobody is there any more, which harms nobody. */
	notify_send("READY=1");
	rmdir(folder);
	snprintf(path, sizeof path, "@zsblk-notify-%d", getpid());
	is_told(path);
}

static void test_nobody(void **state)
{
	char name[300];

	unsetenv("NOTIFY_SOCKET");
	notify_send("READY=1");
	setenv("NOTIFY_SOCKET", "", 1);
	notify_send("READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_send("READY=1");
	memset(name, 'x', sizeof name - 1);
	name[0] = '/';
	name[sizeof name - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	notify_send("READY=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_told), cmocka_unit_test(test_nobody)};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
