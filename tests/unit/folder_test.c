/* SPDX-License-Identifier: BSD-3-Clause */
/* The folder of an instance: made, refused when it is not ours alone, locked by one, and emptied. */
#include "lib/test.h"

#include "daemon/state/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static char top[64];

static int set_up(void **state)
{
	strcpy(top, "/tmp/zsblk-folder.XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[100];

	snprintf(command, sizeof command, "rm -rf %s", top);
	return system(command);
}

static struct folder open_it(void)
{
	struct wrong wrong = {""};
	struct folder folder;

	if (folder_open(&folder, top, "one", true, &wrong))
		fail_msg("%s", wrong.text);
	return folder;
}

static void test_made(void **state)
{
	struct wrong wrong = {""};
	struct folder folder;
	struct stat st;

	assert_int_equal(folder_open(&folder, top, "one", false, &wrong), -ENOENT);
	folder = open_it();
	assert_int_equal(stat(folder.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	folder_remove(&folder, NULL);
	folder_close(&folder);
	assert_int_equal(stat(folder.path, &st), -1);
}

static void refuse(const char *word)
{
	struct wrong wrong = {""};
	struct folder folder;

	assert_true(folder_open(&folder, top, "one", true, &wrong) < 0);
	if (!strstr(wrong.text, word) || !strstr(wrong.text, top))
		fail_msg("\"%s\" has no \"%s\"", wrong.text, word);
	folder_close(&folder);
}

static void test_not_ours(void **state)
{
	struct folder folder = open_it();
	char path[100];

	snprintf(path, sizeof path, "%s", folder.path);
	folder_close(&folder);
	assert_int_equal(chmod(path, 0770), 0);
	refuse("mode 0770");
	if (geteuid() == 0) {
		assert_int_equal(chmod(path, 0700), 0);
		assert_int_equal(chown(path, 1, 1), 0);
		refuse("belongs to user 1");
	}
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/tmp", path), 0);
	refuse("is not a folder");
}

static void lock_in_child(void *opaque)
{
	struct wrong wrong = {""};
	struct folder folder = open_it();
	char pid[20];

	snprintf(pid, sizeof pid, "process %d;", (int)getppid());
	_exit(folder_lock(&folder, NULL, &wrong) == -EBUSY && strstr(wrong.text, pid) ? 42 : 1);
}

static void test_lock(void **state)
{
	struct folder folder = open_it();
	struct wrong wrong = {""};

	assert_int_equal(folder_lock(&folder, NULL, &wrong), 0);
	assert_int_equal(WEXITSTATUS(test_in_child(lock_in_child, NULL)), 42);
	folder_close(&folder);
	folder = open_it();
	assert_int_equal(folder_lock(&folder, NULL, &wrong), 0);
	folder_close(&folder);
}

static char at_truncation[40]; /* what is in the file then */
static off_t truncated_to = -1;

int ftruncate(int fd, off_t length)
{
	ssize_t got = pread(fd, at_truncation, sizeof at_truncation - 1, 0);

	at_truncation[got < 0 ? 0 : got] = '\0';
	truncated_to = length;
	return (int)syscall(SYS_ftruncate, fd, length);
}

/*
 * The file's page may be swapped out, to the device that this daemon is to serve. Only a file that is emptied first is written without
 * reading the page.
 */
static void test_lock_reads_nothing(void **state)
{
	struct folder folder = open_it();
	struct wrong wrong = {""};
	char pid[20], left[] = "2147483647\n", now[20] = "";
	int fd = openat(folder.fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, left, strlen(left)), strlen(left));
	snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	assert_int_equal(folder_lock(&folder, NULL, &wrong), 0);
	assert_int_equal(truncated_to, 0);
	assert_string_equal(at_truncation, left);
	assert_int_equal(pread(fd, now, sizeof now - 1, 0), strlen(pid));
	assert_string_equal(now, pid);
	close(fd);
	folder_close(&folder);
}

/* So there is a moment at which the lock is held and the file is empty. */
static void test_holder_is_waited_for(void **state)
{
	struct folder folder = open_it();
	int fd = openat(folder.fd, "lock", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), status;
	pid_t child;

	assert_int_equal(flock(fd, LOCK_EX), 0);
	child = fork();
	if (child == 0)
		lock_in_child(NULL);
	usleep(20000);
	dprintf(fd, "%d\n", (int)getpid());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 42);
	close(fd);
	folder_close(&folder);
}

static struct folder *ends_now;

/* The moment between opening the file and locking it: the daemon that had the lock ends, and removes the folder. */
int flock(int fd, int operation)
{
	struct folder *folder = ends_now;

	ends_now = NULL;
	if (folder) {
		folder_remove(folder, NULL);
		folder_close(folder);
	}
	return (int)syscall(SYS_flock, fd, operation);
}

/* Two locks on two files of one name would be two daemons on one instance. */
static void test_lock_race(void **state)
{
	struct folder first = open_it(), second = open_it(), third;
	struct wrong wrong = {""};
	pid_t holder;

	assert_int_equal(folder_lock(&first, NULL, &wrong), 0);
	ends_now = &first;
	assert_int_equal(folder_lock(&second, NULL, &wrong), 0);
	assert_null(ends_now);
	third = open_it();
	assert_int_equal(folder_lock(&third, &holder, &wrong), -EBUSY);
	assert_int_equal(holder, getpid());
	folder_close(&third);
	/* What the second one has is a folder that is there. */
	assert_int_equal(folder_note(&second, "segment", "shm:id=1"), 0);
	third = open_it();
	folder_read_note(&third, "segment", wrong.text, sizeof wrong.text);
	assert_string_equal(wrong.text, "shm:id=1");
	folder_close(&third);
	folder_remove(&second, NULL);
	folder_close(&second);
}

/* The folder was removed and made again: it is another daemon's if that has locked it. */
static void test_remove_anothers(void **state)
{
	struct folder first = open_it(), second;
	struct wrong wrong = {""};
	char command[200];

	for (unsigned locked = 0; locked < 2; locked++) {
		snprintf(command, sizeof command, "rm -rf %s", first.path);
		assert_int_equal(system(command), 0);
		second = open_it();
		if (locked)
			assert_int_equal(folder_lock(&second, NULL, &wrong), 0);
		assert_int_equal(folder_note(&second, "segment", "shm:id=1"), 0);
		folder_remove(&first, NULL);
		folder_read_note(&second, "segment", wrong.text, sizeof wrong.text);
		assert_string_equal(wrong.text, locked ? "shm:id=1" : "");
		assert_int_equal(access(first.path, F_OK), locked ? 0 : -1);
		folder_close(&second);
	}
	folder_close(&first);
}

/* The note of a segment that stays. */
static void test_remove_but_a_note(void **state)
{
	struct folder folder = open_it();
	struct wrong wrong = {""};
	char text[20], path[FOLDER_PATH_MAX + 60];

	assert_int_equal(folder_lock(&folder, NULL, &wrong), 0);
	assert_int_equal(folder_note(&folder, "segment", "shm:id=1"), 0);
	assert_int_equal(folder_add_server(&folder, 12, 345), 0);
	folder_remove(&folder, "segment");
	assert_false(folder_has_server(&folder, 12, 345));
	folder_file(&folder, "lock", path);
	assert_int_equal(access(path, F_OK), -1);
	folder_close(&folder);
	folder = open_it();
	folder_read_note(&folder, "segment", text, sizeof text);
	assert_string_equal(text, "shm:id=1");
	folder_close(&folder);
}

/* The one above the instances' is made as tmpfiles.d makes it. */
static void test_mode_of_top(void **state)
{
	struct wrong wrong = {""};
	struct folder folder;
	struct stat st;
	char path[100];

	snprintf(path, sizeof path, "%s/top", top);
	assert_int_equal(folder_open(&folder, path, "one", true, &wrong), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	folder_close(&folder);
}

/* A group comes by, and neither lists nor changes anything. */
static void test_let_in(void **state)
{
	struct folder folder = open_it();
	struct wrong wrong = {""};
	struct stat st;

	assert_int_equal(folder_let_in(&folder, getgid()), 0);
	assert_int_equal(fstat(folder.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0710);
	assert_int_equal(st.st_gid, getgid());
	assert_int_equal(stat(top, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	folder_close(&folder);
	/* Neither is refused the next time. */
	assert_int_equal(folder_open(&folder, top, "one", false, &wrong), 0);
	folder_close(&folder);
}

/* Not in a file: what that holds may be swapped out, on tmpfs. */
static void test_notes(void **state)
{
	struct folder folder = open_it();
	char text[20], path[FOLDER_PATH_MAX + 60];
	struct stat st;

	folder_read_note(&folder, "segment", text, sizeof text);
	assert_string_equal(text, "");
	assert_int_equal(folder_note(&folder, "segment", "shm:0x1"), 0);
	assert_int_equal(folder_note(&folder, "segment", "shm:0x7a73"), 0);
	folder_read_note(&folder, "segment", text, sizeof text);
	assert_string_equal(text, "shm:0x7a73");
	folder_file(&folder, "segment", path);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	folder_read_note(&folder, "segment", text, 5);
	assert_string_equal(text, "shm:");
	folder_close(&folder);
}

static int count(void *opaque, pid_t pid, uint64_t start)
{
	assert_int_equal(pid, 12);
	assert_int_equal(start, 345);
	++*(int *)opaque;
	return 0;
}

static void test_sockets(void **state)
{
	struct folder folder = open_it();
	char path[FOLDER_PATH_MAX + 60];
	int listening, connection;
	struct stat st;

	folder_file(&folder, "control", path);
	assert_int_equal(folder_connect(path, SOCK_SEQPACKET, 1), -ENOENT);
	listening = folder_listen(&folder, "control", SOCK_SEQPACKET);
	assert_true(listening >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	connection = folder_connect(path, SOCK_SEQPACKET, 1);
	assert_true(connection >= 0);
	/* Nobody accepts, and there is room for one more to wait. */
	assert_int_equal(listen(listening, 0), 0);
	assert_int_equal(folder_connect(path, SOCK_SEQPACKET, 1), -EAGAIN);
	assert_int_equal(folder_connect(path, SOCK_SEQPACKET | SOCK_NONBLOCK, 0), -EAGAIN);
	close(connection);
	close(listening);
	assert_int_equal(folder_connect(path, SOCK_SEQPACKET, 1), -ECONNREFUSED);
	folder_remove(&folder, NULL);
	folder_close(&folder);
}

/* By a note from before there is a socket, until both are removed. */
static void test_servers(void **state)
{
	struct folder folder = open_it();
	char path[FOLDER_PATH_MAX + 60];
	int found = 0, fd;

	assert_false(folder_has_server(&folder, 12, 345));
	assert_int_equal(folder_add_server(&folder, 12, 345), 0);
	assert_true(folder_has_server(&folder, 12, 345));
	assert_false(folder_has_server(&folder, 12, 346));
	folder_server_contact(&folder, 12, 345, FOLDER_CONTACT_SOCKET, path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(folder_each_server(&folder, count, &found), 0);
	assert_int_equal(found, 1);
	folder_remove_server(&folder, 12, 345);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(folder_each_server(&folder, count, &found), 0);
	assert_int_equal(found, 1);
	folder_remove(&folder, NULL);
	folder_close(&folder);
}

/* Whatever else lies in the folder is no server: no number may be cut, wrapped or negative on the way. */
static void test_server_names(void **state)
{
	static const char *const others[] = {
		"",
		"lock",
		"12-345.sock",
		"12-345.servers",
		"12-345",
		"12.server",
		"-.server",
		"0-345.server",
		"-1-345.server",
		"-12-345.server",
		"+12-345.server",
		" 12-345.server",
		"12- 345.server",
		"12--345.server",
		"012-345.server",
		"12-0345.server",
		"4294967308-345.server",
		"2147483648-345.server",
		"99999999999999999999-345.server",
		"12-18446744073709551616.server",
	};
	uint64_t start;
	pid_t pid;

	assert_true(folder_parse_server("12-345.server", &pid, &start));
	assert_int_equal(pid, 12);
	assert_int_equal(start, 345);
	assert_true(folder_parse_server("2147483647-18446744073709551615.server", &pid, &start));
	assert_int_equal(pid, 2147483647);
	assert_true(start == UINT64_MAX);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (folder_parse_server(others[i], &pid, &start))
			fail_msg("'%s' is taken for process %d", others[i], (int)pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lock_reads_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_holder_is_waited_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lock_race, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_remove_anothers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_remove_but_a_note, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mode_of_top, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_let_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_notes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sockets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_servers, set_up, tear_down),
		cmocka_unit_test(test_server_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
