/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files make up a configuration, and what comes of them together. */
#include "lib/test.h"

#include "daemon/settings/config.h"
#include "daemon/settings/config_layers.h"
#include "daemon/settings/settings.h"

#include <errno.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)

static char folder[] = "/tmp/zsblk-layers-XXXXXX";
static char *before;
static struct settings settings;

static int set_up(void **state)
{
	static const char *const folders[] = {"root",           "root/etc", "root/etc/zsblk", "root/run",
					      "root/run/zsblk", "root/usr", "root/usr/lib",   "root/usr/lib/zsblk"};

	strcpy(strrchr(folder, '-') + 1, "XXXXXX");
	before = getcwd(NULL, 0);
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	for (size_t i = 0; i < COUNT_OF(folders); i++)
		if (mkdir(folders[i], 0755) < 0)
			return -1;
	settings_init(&settings);
	return 0;
}

static int tear_down(void **state)
{
	char command[100];

	settings_free(&settings);
	snprintf(command, sizeof command, "rm -r %s", folder);
	if (chdir(before) < 0 || system(command) != 0)
		return -1;
	free(before);
	return 0;
}

/* With the folder it is in. */
static void make(const char *path, const char *text)
{
	char parent[200];
	FILE *file;

	snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
	if (mkdir(parent, 0755) < 0)
		assert_int_equal(errno, EEXIST);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fchmod(fileno(file), 0644), 0);
	fclose(file);
}

/* The files of an instance, with blanks between them. */
static void expect_files(const char *wanted)
{
	struct config_layers layers;
	struct wrong wrong = {""};
	char text[1000] = "";

	if (config_layers_find(&layers, "root/etc/zsblk/a.conf", &wrong))
		fail_msg("%s", wrong.text);
	for (size_t i = 0; i < layers.n; i++) {
		strcat(text, i ? " " : "");
		strcat(text, layers.paths[i] + strlen("root/"));
	}
	config_layers_free(&layers);
	config_layers_free(&layers);
	assert_string_equal(text, wanted);
}

static void read_all(void)
{
	struct wrong wrong = {""};

	settings_free(&settings);
	settings_init(&settings);
	if (config_read("root/etc/zsblk/a.conf", 1024 * MIB, &settings, &wrong))
		fail_msg("%s", wrong.text);
}

static void expect_wrong(const char *one, const char *other)
{
	struct wrong wrong = {""};

	settings_free(&settings);
	settings_init(&settings);
	assert_int_not_equal(config_read("root/etc/zsblk/a.conf", 1024 * MIB, &settings, &wrong), 0);
	if (!strstr(wrong.text, one) || !strstr(wrong.text, other))
		fail_msg("\"%s\" has no \"%s\" or no \"%s\"", wrong.text, one, other);
}

static void test_main_file(void **state)
{
	/* None is there, and the message is about the one that people write. */
	expect_files("etc/zsblk/a.conf");
	expect_wrong("root/etc/zsblk/a.conf: cannot be read", "No such file");
	make("root/usr/lib/zsblk/a.conf", "size = 1G\n");
	expect_files("usr/lib/zsblk/a.conf");
	make("root/etc/zsblk/a.conf", "size = 2G\n");
	expect_files("etc/zsblk/a.conf");
	unlink("root/etc/zsblk/a.conf");
	assert_int_equal(symlink("/dev/null", "root/etc/zsblk/a.conf"), 0);
	expect_wrong("root/etc/zsblk/a.conf: is a link to /dev/null", "remove the link");
}

static void test_order(void **state)
{
	make("root/usr/lib/zsblk/a.conf", "");
	make("root/usr/lib/zsblk/a.conf.d/20-x.conf", "");
	make("root/usr/lib/zsblk/a.conf.d/10-y.conf", "");
	make("root/run/zsblk/a.conf.d/15-z.conf", "");
	make("root/etc/zsblk/a.conf.d/05-w.conf", "");
	/* Not one of them. */
	make("root/etc/zsblk/a.conf.d/30-note.txt", "");
	make("root/etc/zsblk/a.conf.d/.40-hidden.conf", "");
	make("root/etc/zsblk/a.conf.d/.conf", "");
	make("root/etc/zsblk/b.conf.d/10-other.conf", "");
	expect_files("usr/lib/zsblk/a.conf etc/zsblk/a.conf.d/05-w.conf usr/lib/zsblk/a.conf.d/10-y.conf "
		     "run/zsblk/a.conf.d/15-z.conf usr/lib/zsblk/a.conf.d/20-x.conf");
	/* One of the same name in a later folder takes its place. */
	make("root/run/zsblk/a.conf.d/10-y.conf", "");
	make("root/etc/zsblk/a.conf.d/20-x.conf", "");
	expect_files("usr/lib/zsblk/a.conf etc/zsblk/a.conf.d/05-w.conf run/zsblk/a.conf.d/10-y.conf "
		     "run/zsblk/a.conf.d/15-z.conf etc/zsblk/a.conf.d/20-x.conf");
	unlink("root/etc/zsblk/a.conf.d/20-x.conf");
	assert_int_equal(symlink("/dev/null", "root/etc/zsblk/a.conf.d/20-x.conf"), 0);
	expect_files("usr/lib/zsblk/a.conf etc/zsblk/a.conf.d/05-w.conf run/zsblk/a.conf.d/10-y.conf "
		     "run/zsblk/a.conf.d/15-z.conf");
}

static void test_values(void **state)
{
	make("root/usr/lib/zsblk/a.conf", "size = 1G\nalgorithm = zstd\nlevel = 9\nswap-priority = 5\n");
	make("root/usr/lib/zsblk/a.conf.d/10-a.conf", "zram-size = 2G\nlevel =\nconnections = 2\n");
	make("root/etc/zsblk/a.conf.d/20-b.conf", "size = 3G\n");
	read_all();
	assert_string_equal(settings.name, "a");
	assert_string_equal(settings_param(&settings, "size"), "3221225472");
	assert_string_equal(settings_param(&settings, "algorithm"), "zstd");
	assert_null(settings_param(&settings, "level"));
	assert_int_equal(settings.connections, 2);
	assert_int_equal(settings.swap_priority, 5);
	assert_int_equal(settings.use, SETTINGS_USE_SWAP);
	assert_string_equal(settings_file(&settings, "zram-size"), "root/etc/zsblk/a.conf.d/20-b.conf");
	assert_int_equal(settings_line(&settings, "size"), 1);
	assert_string_equal(settings_file(&settings, "swap-priority"), "root/usr/lib/zsblk/a.conf");
	assert_int_equal(settings_line(&settings, "swap-priority"), 4);
	assert_string_equal(settings_file(&settings, "level"), "root/etc/zsblk/a.conf");
	/* Drop-ins alone are a configuration, too. */
	unlink("root/usr/lib/zsblk/a.conf");
	read_all();
	assert_null(settings_param(&settings, "algorithm"));
}

/* An algorithm can bring the level, which is a key of its own. */
static void test_levels(void **state)
{
	static const struct {
		const char *file, *drop_in, *level;
	} cases[] = {
		{"algorithm = zstd(level=9)", "level = 3", "3"},
		{"algorithm = zstd(level=9)", "level =", NULL},
		{"level = 9", "algorithm = zstd(level=3)", "3"},
		{"algorithm = zstd(level=9)", "algorithm = zstd(level=3)", "3"},
		{"algorithm = zstd(level=9)", "algorithm = zstd", NULL},
		{"algorithm = zstd(level=9)", "size = 2G", "9"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[80];
		const char *level;

		snprintf(text, sizeof text, "size = 1G\n%s\n", cases[i].file);
		make("root/etc/zsblk/a.conf", text);
		make("root/etc/zsblk/a.conf.d/10-a.conf", cases[i].drop_in);
		read_all();
		level = settings_param(&settings, "level");
		assert_string_equal(level ? level : "none", cases[i].level ? cases[i].level : "none");
	}
	make("root/etc/zsblk/a.conf", "size = 1G\nalgorithm = zstd(level=9)\nlevel = 3\n");
	make("root/etc/zsblk/a.conf.d/10-a.conf", "");
	expect_wrong("root/etc/zsblk/a.conf:3: level = 3", "given already, as 9");
}

static void test_messages(void **state)
{
	struct wrong wrong = {""};

	make("root/etc/zsblk/a.conf", "size = 1G\nmem-limit = 16M\n");
	make("root/etc/zsblk/a.conf.d/10-a.conf", "\nreserve = 32M\n");
	read_all();
	assert_int_equal(settings_check(&settings, &wrong), -EINVAL);
	assert_non_null(strstr(wrong.text, "root/etc/zsblk/a.conf.d/10-a.conf:2: reserve"));
	make("root/etc/zsblk/a.conf.d/10-a.conf", "threads = 2\nthreads = 3\n");
	expect_wrong("a.conf.d/10-a.conf:2: threads = 3", "given already");
	/* Without a file below it, there is nothing to take back. */
	make("root/etc/zsblk/a.conf.d/10-a.conf", "");
	make("root/etc/zsblk/a.conf", "size =\n");
	expect_wrong("root/etc/zsblk/a.conf:1: size has no value", "leave the key out");
	make("root/etc/zsblk/a.conf.d/10-a.conf", "sise =\n");
	expect_wrong("10-a.conf:1: there is no key 'sise'", "size?");
}

/* Nothing in it is read: it is not a folder of drop-ins. */
static void test_folder_as_file(void **state)
{
	struct wrong wrong = {""};

	make("root/etc/zsblk/a.conf", "size = 1G\n");
	assert_int_equal(mkdir("root/etc/zsblk/a.conf.d", 0755), 0);
	assert_int_equal(mkdir("root/etc/zsblk/a.conf.d/10-a.conf", 0755), 0);
	expect_wrong("a.conf.d/10-a.conf: is a directory", "a file is needed there; give the directory another name");
	assert_int_equal(rmdir("root/etc/zsblk/a.conf.d/10-a.conf"), 0);
	unlink("root/etc/zsblk/a.conf");
	assert_int_equal(mkdir("root/etc/zsblk/a.conf", 0755), 0);
	expect_wrong("root/etc/zsblk/a.conf: is a directory", "a file is needed there");
	settings_free(&settings);
	settings_init(&settings);
	assert_int_equal(config_read("root/etc", 1024 * MIB, &settings, &wrong), -EINVAL);
	assert_non_null(strstr(wrong.text, "name a file in it, such as root/etc/NAME.conf"));
}

/* A line that does not count is looked at all the same: the drop-in may be gone tomorrow. */
static void test_settled(void **state)
{
	make("root/etc/zsblk/a.conf", "size = bogus\n");
	make("root/etc/zsblk/a.conf.d/10-a.conf", "size = 64\n");
	expect_wrong("root/etc/zsblk/a.conf:1: ", "bogus");
	make("root/etc/zsblk/a.conf", "size = 1G\nsize = 2G\n");
	expect_wrong("root/etc/zsblk/a.conf:2: size = 2G", "given already");
	make("root/etc/zsblk/a.conf", "size =\n");
	expect_wrong("root/etc/zsblk/a.conf:1: size has no value", "leave the key out");
	make("root/etc/zsblk/a.conf", "size = 1G\nlevel = x\n");
	make("root/etc/zsblk/a.conf.d/10-a.conf", "algorithm = zstd(level=3)\n");
	expect_wrong("root/etc/zsblk/a.conf:2: ", "level = x");
	/* Drop-ins may take back what a drop-in above them says anyhow. */
	make("root/etc/zsblk/a.conf", "size = 1G\n");
	make("root/etc/zsblk/a.conf.d/05-a.conf", "threads =\n");
	make("root/etc/zsblk/a.conf.d/10-a.conf", "threads = 2\n");
	read_all();
	assert_int_equal(settings.threads, 2);
	/* What is good counts no more than before. */
	make("root/etc/zsblk/a.conf", "size = 1G\nthreads = 3\nuse = nothing\n");
	make("root/etc/zsblk/a.conf.d/20-b.conf", "use = swap\n");
	read_all();
	assert_int_equal(settings.threads, 2);
	assert_int_equal(settings.use, SETTINGS_USE_SWAP);
}

/* What others can write decides nothing. */
static void test_open_to_others(void **state)
{
	make("root/etc/zsblk/a.conf", "size = 1G\n");
	make("root/etc/zsblk/a.conf.d/10-a.conf", "size = 2G\n");
	assert_int_equal(chmod("root/etc/zsblk/a.conf.d", 0777), 0);
	expect_wrong("root/etc/zsblk/a.conf.d: mode 0777 lets everybody put files there", "chmod go-w");
	assert_int_equal(chmod("root/etc/zsblk/a.conf.d", 0775), 0);
	expect_wrong("lets a group put", "chmod go-w");
	assert_int_equal(chmod("root/etc/zsblk/a.conf.d", 0755), 0);
	assert_int_equal(chmod("root/etc/zsblk/a.conf.d/10-a.conf", 0666), 0);
	expect_wrong("10-a.conf: mode 0666", "chmod go-w");
	assert_int_equal(chmod("root/etc/zsblk/a.conf.d/10-a.conf", 0644), 0);
	read_all();
	if (chown("root/etc/zsblk/a.conf.d", 65534, 65534) == 0)
		expect_wrong("root/etc/zsblk/a.conf.d: belongs to user 65534", "root's or your own");
}

/* Nor what is in a folder that others can write to: they could put their own file in its place. */
static void test_open_tops(void **state)
{
	static const char *const tops[] = {"root/etc/zsblk", "root/run/zsblk", "root/usr/lib/zsblk"};

	make("root/etc/zsblk/a.conf", "size = 1G\n");
	for (size_t i = 0; i < COUNT_OF(tops); i++) {
		char wanted[100];

		snprintf(wanted, sizeof wanted, "%s: mode 0777 lets everybody put files there", tops[i]);
		assert_int_equal(chmod(tops[i], 0777), 0);
		expect_wrong(wanted, "chmod go-w");
		assert_int_equal(chmod(tops[i], 0755), 0);
		read_all();
	}
	assert_int_equal(rmdir("root/run/zsblk"), 0);
	read_all();
	if (chown("root/etc/zsblk", 65534, 65534) == 0)
		expect_wrong("root/etc/zsblk: belongs to user 65534", "root's or your own");
}

/* Paths elsewhere, and others in the folder, are files like any. */
static void test_other_paths(void **state)
{
	static const char *const paths[] = {"root/etc/zsblk/a", "root/etc/zsblk/.conf", "root/etc/zsblk/b/a.conf",
					    "a.conf", "root/etc/a.conf"};

	make("root/etc/zsblk/a.conf.d/10-a.conf", "size = 2G\n");
	make("root/etc/zsblk/.conf.d/10-a.conf", "size = 2G\n");
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct config_layers layers;
		struct wrong wrong;

		assert_int_equal(config_layers_find(&layers, paths[i], &wrong), 0);
		assert_int_equal(layers.n, 1);
		assert_string_equal(layers.paths[0], paths[i]);
		config_layers_free(&layers);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(main_file), TEST(order),          TEST(values),         TEST(levels),    TEST(messages),
		TEST(settled),   TEST(folder_as_file), TEST(open_to_others), TEST(open_tops), TEST(other_paths),
	};

	return cmocka_run_group_tests_name("config_layers", tests, NULL, NULL);
}
