/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration files: what is read from them, and that errors come with file, line and remedy. */
#include "lib/test.h"

#include "daemon/settings/config.h"
#include "daemon/settings/settings.h"

#include <errno.h>
#include <sys/stat.h>

#define RAM (UINT64_C(4) << 30)

static char folder[] = "/tmp/zsblk-config-XXXXXX";
static char path[400];
static struct settings settings;

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return rmdir(folder);
}

static int set_up(void **state)
{
	settings_init(&settings);
	snprintf(path, sizeof path, "%s/swap0.conf", folder);
	return 0;
}

static int tear_down(void **state)
{
	settings_free(&settings);
	unlink(path);
	return 0;
}

static void write_bytes(const void *bytes, size_t n)
{
	FILE *file;

	unlink(path);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	assert_int_equal(fchmod(fileno(file), 0644), 0);
	fclose(file);
	settings_free(&settings);
	settings_init(&settings);
}

static void read_back(void)
{
	struct wrong wrong = {""};

	if (config_read(path, RAM, &settings, &wrong) != 0)
		fail_msg("%s", wrong.text);
}

static void good(const char *text)
{
	write_bytes(text, strlen(text));
	read_back();
}

/* Refused, with the file, what follows it (":LINE: " or ": "), and the remedy. */
static void refuse_file(int error, const char *place, const char *one, const char *other)
{
	struct wrong wrong = {""};
	char start[500];

	assert_int_equal(config_read(path, RAM, &settings, &wrong), error);
	snprintf(start, sizeof start, "%s%s", path, place);
	if (strncmp(wrong.text, start, strlen(start)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", wrong.text, start);
	if (!strstr(wrong.text, one) || !strstr(wrong.text, other))
		fail_msg("\"%s\" has no \"%s\" or no \"%s\"", wrong.text, one, other);
	settings_free(&settings);
	settings_init(&settings);
	assert_int_equal(config_read(path, RAM, &settings, NULL), error);
}

static void refuse(const char *text, unsigned line, const char *one, const char *other)
{
	char place[20];

	write_bytes(text, strlen(text));
	snprintf(place, sizeof place, ":%u: ", line);
	refuse_file(-EINVAL, place, one, other);
}

static void expect_word(const char *key, const char *value)
{
	const char *found = settings_param(&settings, key);

	if (!found || strcmp(found, value) != 0)
		fail_msg("%s is %s, not %s", key, found ? found : "missing", value);
}

static void test_swap(void **state)
{
	good("# a comment\n"
	     "; another\n"
	     "[zsblk]\n"
	     "size = min(ram / 2, 4096)\n"
	     "algorithm=zstd(level=3)\n"
	     "\n"
	     "  mem-limit\t= 1G   \n"
	     "reserve = 64M # as much as that\n"
	     "memory = shm:0x7a73 ; here\n"
	     "device = /dev/nbd3\n"
	     "swap-priority = 5\n"
	     "connections = 2\n"
	     "threads = 4\n"
	     "request-timeout = 10\n"
	     "dead-connection-timeout = 7200\n"
	     "probe-timeout = 2.5\n"
	     "nbdkit = /usr/sbin/nbdkit\n"
	     "plugin = ./zsblk.so\n");
	assert_string_equal(settings.name, "swap0");
	expect_word("size", "2147483648");
	expect_word("algorithm", "zstd");
	expect_word("level", "3");
	expect_word("mem-limit", "1073741824");
	expect_word("reserve", "67108864");
	expect_word("memory", "shm:0x7a73");
	assert_string_equal(settings.device, "/dev/nbd3");
	assert_int_equal(settings.use, SETTINGS_USE_SWAP);
	assert_int_equal(settings.swap_priority, 5);
	assert_int_equal(settings.connections, 2);
	assert_int_equal(settings.threads, 4);
	assert_int_equal(settings.request_timeout, 10);
	assert_int_equal(settings.dead_timeout, 7200);
	assert_int_equal(settings.probe_timeout, 2500);
	assert_string_equal(settings.nbdkit, "/usr/sbin/nbdkit");
	assert_string_equal(settings.plugin, "./zsblk.so");
	assert_int_equal(settings_check(&settings, NULL), 0);
}

static void test_mount(void **state)
{
	good("size = 8G\nmount-point = /srv/a b=c#d;e\nfs-type = xfs\noptions = "
	     "noatime,discard\nalgorithm = zstd\nlevel = -1\n");
	assert_int_equal(settings.use, SETTINGS_USE_MOUNT);
	assert_string_equal(settings.mount_point, "/srv/a b=c#d;e");
	assert_string_equal(settings.fs_type, "xfs");
	assert_string_equal(settings.mount_options, "noatime,discard");
	expect_word("level", "-1");
	assert_int_equal(settings_check(&settings, NULL), 0);
	/* As with zram, what is deleted gives its memory back. */
	good("size = 8G\nmount-point = /a\n");
	assert_string_equal(settings.mount_options, "discard");
}

/* The examples of zsblk.conf(5). */
static void test_examples(void **state)
{
	good("size = min(ram / 2, 4096)\n"
	     "algorithm = zstd(level=1)\n"
	     "mem-limit = ram / 4\n"
	     "reserve = 64M\n"
	     "swap-priority = 100\n");
	assert_int_equal(settings_check(&settings, NULL), 0);
	assert_int_equal(settings.use, SETTINGS_USE_SWAP);
	good("[zsblk]\n"
	     "size = 8G\n"
	     "# Blocks that are deleted give their memory back.\n"
	     "mount-point = /srv/build\n"
	     "fs-type = ext4\n"
	     "options = noatime,discard\n"
	     "connections = 1\n"
	     "threads = 4\n");
	assert_int_equal(settings_check(&settings, NULL), 0);
	assert_int_equal(settings.use, SETTINGS_USE_MOUNT);
	good("size = 2G\n"
	     "device = /dev/nbd7\n"
	     "memory = shm:0x7a73\n"
	     "use = nothing\n");
	assert_int_equal(settings_check(&settings, NULL), 0);
	assert_int_equal(settings.use, SETTINGS_USE_NOTHING);
}

/* What zram-generator's users have. */
static void test_aliases(void **state)
{
	good("zram-size = ram\ncompression-algorithm = lz4\nzram-resident-limit = ram / 4\n");
	expect_word("size", "4294967296");
	expect_word("algorithm", "lz4");
	expect_word("mem-limit", "1073741824");
}

static void test_use(void **state)
{
	good("size = 1G\n");
	assert_int_equal(settings.use, SETTINGS_USE_SWAP);
	assert_false(settings_given(&settings, "use"));
	good("size = 1G\nuse = nothing\n");
	assert_int_equal(settings.use, SETTINGS_USE_NOTHING);
	good("mount-point = /a\n");
	assert_int_equal(settings.use, SETTINGS_USE_MOUNT);
	good("size = 1G\nuse = mount\n");
	assert_int_equal(settings.use, SETTINGS_USE_MOUNT);
	good("size = 1G\nfs-type = xfs\n");
	assert_int_equal(settings_check(&settings, NULL), -EINVAL);
}

static void expect_complaint(const char *text, const char *place, const char *one)
{
	struct wrong wrong = {""};
	char start[500];

	good(text);
	assert_int_equal(settings_check(&settings, &wrong), -EINVAL);
	snprintf(start, sizeof start, "%s%s", path, place);
	if (strncmp(wrong.text, start, strlen(start)) != 0 || !strstr(wrong.text, one))
		fail_msg("\"%s\" does not begin with \"%s\", or has no \"%s\"", wrong.text, start, one);
}

/* What is wrong with all of them together has the line of one. */
static void test_lines_of_the_whole(void **state)
{
	expect_complaint("threads = 1\n", ": ", "there is no size");
	expect_complaint("size = 1G\n\nmem-limit = 16M\nreserve = 32M\n", ":4: ", "reserve=33554432");
	expect_complaint("size = 1G\nalgorithm = lzo-rle\n", ":2: ", "algorithm=lzo-rle is not known");
	expect_complaint("# c\nsize = 1G\nalgorithm = zstd(level=900)\n", ":3: ", "level=900");
	expect_complaint("level = -50\nalgorithm = lz4\nsize = 1G\n", ":1: ", "level=-50");
	expect_complaint("zram-resident-limit = 64K\nsize = 1G\n", ":1: ", "mem-limit=65536");
	expect_complaint("size = 1G\nuse = mount\n", ":2: ", "mount-point");
	expect_complaint("size = 1G\nuse = swap\n mount-point = /srv\n", ":3: ", "mount-point = /srv");
	expect_complaint("size = 1G\noptions = ro\n", ":2: ", "options = ro");
}

static void test_names(void **state)
{
	struct wrong wrong = {""};

	good("size = 1G\n");
	assert_string_equal(settings.name, "swap0");
	unlink(path);
	/* One that was given stays. */
	write_bytes("size = 1G\n", 10);
	assert_int_equal(settings_name(&settings, "other", NULL), 0);
	read_back();
	assert_string_equal(settings.name, "other");
	unlink(path);
	snprintf(path, sizeof path, "%s/a.b.conf", folder);
	good("");
	assert_string_equal(settings.name, "a.b");
	unlink(path);
	snprintf(path, sizeof path, "%s/plain", folder);
	good("");
	assert_string_equal(settings.name, "plain");
	unlink(path);
	/* Relative, without a folder. */
	assert_int_equal(chdir(folder), 0);
	strcpy(path, "here.conf");
	good("");
	assert_string_equal(settings.name, "here");
	unlink(path);
	assert_int_equal(chdir("/"), 0);
	snprintf(path, sizeof path, "%s/not good.conf", folder);
	write_bytes("", 0);
	refuse_file(-EINVAL, ": ", "'not good'", "letters");
	unlink(path);
	snprintf(path, sizeof path, "%s/.conf", folder);
	write_bytes("", 0);
	refuse_file(-EINVAL, ": ", "''", "letters");
	unlink(path);
	/* The end of a long path, and the message. */
	snprintf(path, sizeof path, "%s/%0*d.conf", folder, 200, 7);
	write_bytes("", 0);
	assert_int_equal(config_read(path, RAM, &settings, &wrong), -EINVAL);
	if (!strstr(wrong.text, "00007.conf: the name '000") || !strstr(wrong.text, "at most 32"))
		fail_msg("%s", wrong.text);
}

static void test_layout(void **state)
{
	/* No newline at the end. */
	good("size = 1G");
	expect_word("size", "1073741824");
	/* From another system. */
	good("[zsblk]\r\n# c\r\nsize = 1G\r\nthreads=2\r\n\r\n");
	expect_word("size", "1073741824");
	assert_int_equal(settings.threads, 2);
	good("\xef\xbb\xbfsize = 2G\nthreads = 3\n");
	expect_word("size", "2147483648");
	good("\xef\xbb\xbf[zsblk]\nsize = 2G\n");
	expect_word("size", "2147483648");
	good("\xef\xbb\xbf");
	/* Keys before the section and in it; the section twice; white space everywhere. */
	good("\t size=1G\n \n  [zsblk]   ; c\n   threads   =   5   \n[zsblk]\n\t\tconnections=6\n");
	expect_word("size", "1073741824");
	assert_int_equal(settings.threads, 5);
	assert_int_equal(settings.connections, 6);
	/* An indented line is a line of its own, not more of the one before. */
	good("nbdkit = a\n  plugin = b\n");
	assert_string_equal(settings.nbdkit, "a");
	assert_string_equal(settings.plugin, "b");
	good("");
	good("\n");
	good("\n\n# nothing\n   ; at all");
	assert_string_equal(settings.name, "swap0");
	/* Beyond ASCII. */
	good("# größer\nmount-point = /srv/größer\n");
	assert_string_equal(settings.mount_point, "/srv/größer");
}

/* libinih takes "key: value" for "key = value" as well, and what follows would be part of the value. */
static void test_colons(void **state)
{
	refuse("size: 1G = 2G\n", 1, "has a ':' before the '='", "KEY = VALUE");
	refuse("threads: size = 2\n", 1, "has a ':' before the '='", "KEY = VALUE");
	good("mount-point = /srv/a:b\nuse = mount\nsize = 1G\n");
	assert_string_equal(settings.mount_point, "/srv/a:b");
}

static void test_lines(void **state)
{
	refuse("size = 1G\n\n# c\nfoo\n", 4, "'foo'", "write KEY = VALUE");
	refuse("foo", 1, "'foo' has no '='", "write KEY = VALUE");
	refuse("\xef\xbb\xbf"
	       "foo",
	       1, "'foo'", "KEY = VALUE");
	refuse("a = # b = c\n", 1, "'a'", "zsblk.conf(5)");
	refuse("foo # = 3\n", 1, "'foo' has no '='", "KEY = VALUE");
	refuse("= 3\n", 1, "'= 3'", "no key");
	refuse("size : 2G\n", 1, "'size : 2G'", "no '='");
	refuse("size =\n", 1, "size has no value", "leave the key out");
	refuse("size = ; 2G\n", 1, "size has no value", "leave the key out");
	refuse("\n[zram0]\n", 2, "[zram0]", "only [zsblk]");
	refuse("[zsblk\nsize = 1G\n", 1, "[zsblk", "only [zsblk]");
	refuse("[zsblk] size = 1G\n", 1, "[zsblk] size = 1G", "only [zsblk]");
	refuse("[]\nsize = 1G\n", 1, "[]", "left out");
	refuse("size = 1G\rthreads = 2\n", 1, "carriage return", "line feed");
	/* The first error is told, not the last. */
	refuse("size = 1G\nbad\nworse = 1\n[worst]\n", 2, "'bad'", "KEY = VALUE");
	refuse("size = x\nfoo\n", 1, "size = 'x'", "there are ram");
}

static void test_values(void **state)
{
	refuse("size = 1G\nthread = 2\n", 2, "'thread'", "do you mean threads?");
	refuse("size = 1G\n\r\n\r\nsize = 2G\n", 4, "size = 2G", "given already");
	refuse("size = 1G\n[zsblk]\nzram-size = 2G\n", 3, "zram-size = 2G", "size is given already");
	refuse("# c\nsize = ram +\n", 2, "'ram +'", "is missing");
	refuse("connections = 65\n", 1, "connections = 65", "1 to 64");
	refuse("memory = anon\n", 1, "memory = anon", "shm:KEY");
	refuse("mount-point = a\n", 1, "mount-point = a", "absolute");
	refuse("probe-timeout = 2.5s\n", 1, "probe-timeout = 2.5s", "such as 2.5");
	refuse("Threads = 2\n", 1, "'Threads'", "threads?");
}

static void test_without_ram(void **state)
{
	struct wrong wrong = {""};

	write_bytes("size = ram\n", 11);
	assert_int_equal(config_read(path, 0, &settings, &wrong), -EINVAL);
	assert_non_null(strstr(wrong.text, ":1: size = 'ram'"));
}

static void test_long_lines(void **state)
{
	static char text[100 * 1024 + 20];

	memset(text, 'x', sizeof text);
	memcpy(text, "size = 1G\n#", 11);
	write_bytes(text, sizeof text);
	refuse_file(-EINVAL, ":2: ", "longer than 199 bytes", "shorter");
	/* Path, line and remedy of the longest message are all there. */
	memset(text, 'x', 130);
	memcpy(text, "zram-resident-limit = ", 22);
	write_bytes(text, 22 + 100);
	refuse_file(-EINVAL, ":1: ", "character 1, is not known", "suffixes B, K, M, G and T");
	memset(text, 'x', sizeof text);
	/* Just as long as it may be. */
	memcpy(text, "mount-point = /", 15);
	memcpy(text + 199, "\nthreads = 2\n", 13);
	write_bytes(text, 212);
	read_back();
	assert_int_equal(strlen(settings.mount_point), 199 - 14);
	assert_int_equal(settings.threads, 2);
	text[199] = 'x';
	memcpy(text + 200, "\nthreads = 2\n", 13);
	write_bytes(text, 213);
	refuse_file(-EINVAL, ":1: ", "longer than", "199");
	/* Very many lines. */
	memset(text, '\n', sizeof text - 20);
	strcpy(text + sizeof text - 20, "foo = 1");
	write_bytes(text, strlen(text));
	refuse_file(-EINVAL, ":102401: ", "'foo'", "");
}

static void test_no_text(void **state)
{
	uint8_t bytes[256];

	write_bytes("size = 1G\nthr\0eads = 2\n", 23);
	refuse_file(-EINVAL, ":2: ", "0x00", "no text");
	write_bytes("size = 1G\n\0", 11);
	refuse_file(-EINVAL, ":2: ", "0x00", "no text");
	write_bytes("\x7f"
		    "ELF\2\1\1",
		    7);
	refuse_file(-EINVAL, ":1: ", "0x7f", "no text");
	refuse("options = \x1b[31m\n", 1, "0x1b", "no text");
	write_bytes("\xff\xfes\0i\0z\0e\0", 10);
	refuse_file(-EINVAL, ":1: ", "0x00", "no text");
	for (unsigned round = 0; round < 200; round++) {
		struct wrong wrong = {""};

		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = (uint8_t)(rand() >> 7);
		write_bytes(bytes, sizeof bytes);
		assert_int_equal(config_read(path, RAM, &settings, &wrong), -EINVAL);
		assert_true(strlen(wrong.text) > strlen(path) + 10);
	}
}

static void test_no_file(void **state)
{
	refuse_file(-ENOENT, ": ", "cannot be read", "No such file");
	assert_int_equal(mkdir(path, 0755), 0);
	refuse_file(-EINVAL, ": ", "is a directory", "a file is needed there");
	assert_int_equal(rmdir(path), 0);
	/* Nobody writes into it: it must not wait. */
	assert_int_equal(mkfifo(path, 0600), 0);
	refuse_file(-EINVAL, ": ", "no regular file", "");
	unlink(path);
	assert_int_equal(symlink("swap0.conf", path), 0);
	refuse_file(-ELOOP, ": ", "cannot be read", "");
	if (geteuid() != 0) {
		write_bytes("", 0);
		assert_int_equal(chmod(path, 0), 0);
		refuse_file(-EACCES, ": ", "cannot be read", "Permission");
	}
}

static void test_modes(void **state)
{
	static const struct {
		mode_t mode;
		const char *shown, *who;
	} bad[] = {{0664, "0664", "a group"}, {0646, "0646", "everybody"}, {0666, "0666", "everybody"}};
	static const mode_t fine[] = {0644, 0600, 0444, 0755};

	write_bytes("size = 1G\n", 10);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(chmod(path, bad[i].mode), 0);
		refuse_file(-EINVAL, ": mode ", bad[i].shown, bad[i].who);
		refuse_file(-EINVAL, ": mode ", "chmod go-w", "");
	}
	for (size_t i = 0; i < COUNT_OF(fine); i++) {
		settings_free(&settings);
		settings_init(&settings);
		assert_int_equal(chmod(path, fine[i]), 0);
		read_back();
	}
}

static void test_owner(void **state)
{
	write_bytes("size = 1G\n", 10);
	if (chown(path, 65534, 65534) < 0) {
		print_message("# not root: no file of another user\n");
		skip();
	}
	refuse_file(-EINVAL, ": belongs to ", "user 65534", "root's or your own");
	assert_int_equal(chown(path, 0, 65534), 0);
	read_back();
}

static void test_line_numbers_count_everything(void **state)
{
	refuse("; 1\n# 2\n\n[zsblk]\n\t\n  size = 1G\r\n\n\nnonsense = 9\n", 9, "'nonsense'", "zsblk.conf(5)");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(colons),
		TEST(swap),
		TEST(mount),
		TEST(examples),
		TEST(aliases),
		TEST(use),
		TEST(names),
		TEST(layout),
		TEST(lines),
		TEST(values),
		TEST(without_ram),
		TEST(long_lines),
		TEST(no_text),
		TEST(no_file),
		TEST(modes),
		TEST(owner),
		TEST(line_numbers_count_everything),
		TEST(lines_of_the_whole),
	};

	return cmocka_run_group_tests_name("config", tests, make_folder, remove_folder);
}
