/* SPDX-License-Identifier: BSD-3-Clause */
/* Program files that are held open: what is sent of them to another process, and what that takes. */
#include "daemon/server/kept.h"
#include "lib/test.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2];
static int program, plugin;
static struct kept received;

static int set_up(void **state)
{
	kept_init(&received);
	program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	plugin = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	return program < 0 || plugin < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ||
	       setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) < 0;
}

static int tear_down(void **state)
{
	kept_close(&received);
	close(program);
	close(plugin);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static bool same_file(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static unsigned open_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 200; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_sent_and_received(void **state)
{
	struct kept kept = {
		.of = 17, .of_start = 170, .program = program, .module = plugin, .user = 18, .user_start = 180};
	unsigned before;

	assert_int_equal(kept_receive(&received, ends[0], getpid()), -EAGAIN);
	assert_int_equal(kept_send(&kept, ends[1]), 0);
	assert_int_equal(kept_receive(&received, ends[0], getpid()), 0);
	assert_int_equal(received.of, 17);
	assert_int_equal(received.of_start, 170);
	assert_int_equal(received.user, 18);
	assert_int_equal(received.user_start, 180);
	assert_true(received.program != program && same_file(received.program, program));
	assert_true(received.module != plugin && same_file(received.module, plugin));
	assert_true(fcntl(received.module, F_GETFD) & FD_CLOEXEC);

	/* Without a program; the one from before is let go of. */
	before = open_files();
	kept.program = -1;
	kept.of = 20;
	assert_int_equal(kept_send(&kept, ends[1]), 0);
	assert_int_equal(kept_receive(&received, ends[0], getpid()), 0);
	assert_int_equal(received.of, 20);
	assert_int_equal(received.program, -1);
	assert_true(same_file(received.module, plugin));
	assert_int_equal(open_files(), before - 1);

	/* A program that loads nothing. */
	kept = (struct kept){.of = 21, .program = program, .module = -1};
	assert_int_equal(kept_send(&kept, ends[1]), 0);
	assert_int_equal(kept_receive(&received, ends[0], getpid()), 0);
	assert_int_equal(received.of, 21);
	assert_int_equal(received.module, -1);
	assert_true(same_file(received.program, program));
	assert_int_equal(open_files(), before - 1);

	close(ends[1]);
	assert_int_equal(kept_receive(&received, ends[0], getpid()), -ENOTCONN);
	assert_int_equal(received.of, 21);
}

static void test_nobodys(void **state)
{
	struct kept kept;

	kept_init(&kept);
	assert_int_equal(kept_send(&kept, ends[1]), -EINVAL);
	assert_int_equal(kept_receive(&received, ends[0], getpid()), -EAGAIN);
}

static void test_what_is_not_taken(void **state)
{
	struct kept kept = {.of = 17, .program = program, .module = plugin};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC),
	    writable = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	unsigned before = open_files();

	/* From another process. */
	assert_int_equal(kept_send(&kept, ends[1]), 0);
	assert_int_equal(kept_receive(&received, ends[0], getpid() + 1), -EBADMSG);
	/* No files, or open for more than reading. */
	kept.program = null;
	assert_int_equal(kept_send(&kept, ends[1]), 0);
	assert_int_equal(kept_receive(&received, ends[0], getpid()), -EBADMSG);
	if (writable >= 0) {
		kept.program = writable;
		assert_int_equal(kept_send(&kept, ends[1]), 0);
		assert_int_equal(kept_receive(&received, ends[0], getpid()), -EBADMSG);
		close(writable);
		before--;
	}
	/* Without descriptors, and of another length. */
	assert_int_equal(send(ends[1], "kept", 4, 0), 4);
	assert_int_equal(kept_receive(&received, ends[0], getpid()), -EBADMSG);
	assert_int_equal(open_files(), before);
	assert_int_equal(received.of, 0);
	close(null);
}

/* More descriptors than there are files, where the socket does not tell the sender and leaves room for them. */
static void test_too_many(void **state)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(7 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec text = {(void *)"kept", 4};
	struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	unsigned before = open_files();

	assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &(int){0}, sizeof(int)), 0);
	control.header = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(7 * sizeof(int))};
	for (unsigned i = 0; i < 7; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &plugin, sizeof(int));
	assert_int_equal(sendmsg(ends[1], &message, 0), 4);
	assert_int_equal(kept_receive(&received, ends[0], getpid()), -EBADMSG);
	assert_int_equal(open_files(), before);
}

/* ------------------------------------------------------------------ found */

static void copy_file(const char *from, const char *to)
{
	char buffer[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ssize_t n;

	must(in >= 0 && out >= 0);
	while ((n = read(in, buffer, sizeof buffer)) > 0)
		must(write(out, buffer, (size_t)n) == n);
	close(in);
	close(out);
}

/* A process that runs this program, and has begun to. */
static pid_t run_program(const char *path)
{
	char exe[40], link[PATH_MAX];
	ssize_t n;
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0) {
		execl(path, path, "60", (char *)NULL);
		_exit(1);
	}
	snprintf(exe, sizeof exe, "/proc/%d/exe", (int)pid);
	do {
		n = readlink(exe, link, sizeof link - 1);
		link[n > 0 ? n : 0] = '\0';
	} while (strcmp(link, path) != 0 && waitpid(pid, NULL, WNOHANG) == 0);
	assert_string_equal(link, path);
	return pid;
}

/* A package replaces the program of a server that runs; the next daemon, which has kept nothing, finds what runs. */
static void test_program_was_replaced(void **state)
{
	char folder[] = "/tmp/zsblk-kept-XXXXXX", path[60], other[60];
	struct stat before, now;
	struct kept found;
	pid_t pid;

	must(mkdtemp(folder) != NULL);
	snprintf(path, sizeof path, "%s/sleep", folder);
	snprintf(other, sizeof other, "%s/other", folder);
	copy_file("/bin/sleep", path);
	copy_file("/bin/sleep", other);
	must(stat(path, &before) == 0);
	pid = run_program(path);
	/* A program of another name is what a script runs, say. */
	assert_int_equal(kept_find(&found, pid, 1, other, NULL, NULL), -ENOENT);
	must(rename(other, path) == 0);
	assert_int_equal(kept_find(&found, pid, 1, path, NULL, NULL), 0);
	must(fstat(found.program, &now) == 0);
	assert_true(now.st_ino == before.st_ino && now.st_dev == before.st_dev);
	kept_close(&found);
	assert_int_equal(kept_find(&found, pid, 1, "/bin/sleep", NULL, NULL), -ENOENT);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sent_and_received, set_up, tear_down),
		cmocka_unit_test(test_program_was_replaced),
		cmocka_unit_test_setup_teardown(test_nobodys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_not_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
