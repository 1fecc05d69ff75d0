/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings: every key, its default and its range, and that every refusal names value and remedy. */
#include "lib/settings.h"

#include <errno.h>

static void test_defaults(void **state)
{
	assert_null(settings.name);
	assert_null(settings.device);
	assert_int_equal(settings.use, SETTINGS_USE_NOTHING);
	assert_int_equal(settings.swap_priority, 100);
	assert_null(settings.mount_point);
	assert_string_equal(settings.fs_type, "ext4");
	assert_string_equal(settings.mount_options, "discard");
	assert_int_equal(settings.connections, 1);
	assert_int_equal(settings.threads, 0);
	assert_int_equal(settings.request_timeout, 30);
	assert_int_equal(settings.dead_timeout, 3600);
	assert_int_equal(settings.probe_timeout, 3000);
	assert_string_equal(settings.nbdkit, "nbdkit");
	assert_string_equal(settings.plugin, "zsblk");
	assert_int_equal(settings.n_params, 0);
	assert_null(settings.params[0]);
	assert_int_equal(settings.given, 0);
	/* Freeing twice, and what was never filled in. */
	settings_free(&settings);
	settings_free(&settings);
	assert_null(settings.fs_type);
}

static void test_names(void **state)
{
	static const char *const fine[] = {"a", "swap0", "A.b_c-9", "...", "12345678901234567890123456789012"};
	static const char *const bad[] = {"", ".", "..", "a b", "a/b", "ä", "a\n", "123456789012345678901234567890123"};

	for (size_t i = 0; i < COUNT_OF(fine); i++) {
		assert_int_equal(settings_name(&settings, fine[i], NULL), 0);
		assert_string_equal(settings.name, fine[i]);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct wrong wrong = {""};

		assert_int_equal(settings_name(&settings, bad[i], &wrong), -EINVAL);
		expect_words(&wrong, bad[i], "at most 32 letters, digits");
		assert_string_equal(settings.name, fine[COUNT_OF(fine) - 1]);
	}
	/* It is no key: the file's name says it. */
	refuse_with("name", "x", "'name'", "zsblk.conf(5)");
}

static void test_words(void **state)
{
	char key[8];

	assert_int_equal(settings_add_param(&settings, "lock", "yes"), 0);
	assert_int_equal(settings_add_param(&settings, "lock", "no"), -EEXIST);
	assert_int_equal(settings_add_param(&settings, "loc", "x=y"), 0);
	expect_word("lock", "yes");
	expect_word("loc", "x=y");
	assert_null(settings_param(&settings, "lo"));
	assert_null(settings_param(&settings, "locks"));
	assert_string_equal(settings.params[0], "lock=yes");
	for (int i = 2; i < SETTINGS_MAX_PARAMS; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(settings_add_param(&settings, key, ""), 0);
	}
	assert_int_equal(settings_add_param(&settings, "more", "1"), -E2BIG);
	assert_int_equal(settings.n_params, SETTINGS_MAX_PARAMS);
	assert_null(settings.params[SETTINGS_MAX_PARAMS]);
	refuse_with("reserve", "1M", "reserve = 1048576", "more than 32 parameters");
}

static void test_string(void **state)
{
	char *text = NULL;

	assert_int_equal(settings_string(&text, "one"), 0);
	assert_int_equal(settings_string(&text, "two"), 0);
	assert_string_equal(text, "two");
	free(text);
}

static void test_size(void **state)
{
	refuse_with("size", "0", "size = 0 is 0 bytes", "4096 bytes");
	refuse_with("size", "4095B", "size = 4095B is 4095 bytes", "4096");
	refuse_with("size", "-1", "size = '-1'", "negative");
	refuse_with("size", "17T", "size = '17T'", "16T");
	refuse_with("size", "1/0", "size = '1/0'", "zero");
	refuse_with("size", "ram ^ 2", "size = 'ram ^ 2': '^', character 5", "512M");
	refuse_with("zram-size", "foo", "zram-size = 'foo'", "there are ram");
	set("size", "4097B");
	expect_word("size", "4096");
	again();
	set("zram-size", "min(ram / 2, 4096)");
	expect_word("size", "2147483648");
	again();
	set("size", "16T");
	expect_word("size", "17592186044416");
	again();
	set("size", "ram/3");
	expect_word("size", "1431654400");
	assert_int_equal(1431654400 % 4096, 0);
}

static void test_max_size(void **state)
{
	refuse_with("max-size", "big", "max-size = 'big'", "there are ram");
	set("max-size", "ram/3");
	expect_word("max-size", "1431654400");
}

static void test_limits(void **state)
{
	set("mem-limit", "0");
	set("reserve", "0");
	expect_word("mem-limit", "0");
	expect_word("reserve", "0");
	again();
	set("zram-resident-limit", "ram / 4");
	set("reserve", "16M");
	expect_word("mem-limit", "1073741824");
	expect_word("reserve", "16777216");
	again();
	refuse_with("mem-limit", "-1", "mem-limit = '-1'", "negative");
	refuse_with("reserve", "20T", "reserve = '20T'", "16T");
	settings.ram_bytes = 0;
	refuse_with("reserve", "ram", "reserve = 'ram'", "give a number");
}

static void test_algorithm(void **state)
{
	static const char *const with_level[] = {"zstd(level=3)", "zstd (level=3)", "zstd( level = 3 )",
						 "zstd(level=3) "};
	static const char *const bad[] = {"(level=3)",       "zstd(level=)",     "zstd(level=3",
					  "zstd()",          "zstd(dict=x)",     "lzo-rle zstd(level=3) (type=idle)",
					  "lz4 zstd",        "zstd(level=3)(x)", "zs*d",
					  "zstd(level=fast)"};

	set("algorithm", "lz4hc");
	expect_word("algorithm", "lz4hc");
	assert_null(settings_param(&settings, "level"));
	for (size_t i = 0; i < COUNT_OF(with_level); i++) {
		again();
		set("compression-algorithm", with_level[i]);
		expect_word("algorithm", "zstd");
		expect_word("level", "3");
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		again();
		refuse("algorithm", bad[i], "such as zstd or zstd(level=3)");
	}
	again();
	refuse("algorithm", "an-algorithm-whose-name-never-ends", "one algorithm");
	/* What there is, the plugin knows. */
	set("algorithm", "lzo-rle");
	expect_word("algorithm", "lzo-rle");
}

static void test_level(void **state)
{
	refuse("level", "fast", "whole number");
	refuse("level", "3.5", "whole number");
	refuse("level", "--3", "whole number");
	refuse("level", "99999999999999999999", "whole number");
	set("level", "-5");
	expect_word("level", "-5");
	refuse_with("algorithm", "zstd(level=3)", "level = 3", "given already, as -5");
	again();
	set("algorithm", "zstd(level=3)");
	refuse_with("level", "4", "level = 4", "given already, as 3; give it once");
	again();
	refuse_with("algorithm", "zstd(level=3-4)", "level = 3-4", "whole number");
}

static void test_memory(void **state)
{
	static const char *const bad[] = {"disk", "shm:", "shm:0", "shm:key", "shm:id=", "shm:1,2", "shm:0x1ffffffff"};

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		refuse("memory", bad[i], "shm:KEY");
	refuse("memory", "anon", "lost with the server; shm:KEY");
	set("memory", "shm:0x7a73");
	expect_word("memory", "shm:0x7a73");
	again();
	set("memory", "shm:id=7");
	expect_word("memory", "shm:id=7");
}

static void test_device(void **state)
{
	static const char *const bad[] = {"/dev/nbd", "nbd0",       "/dev/nbd0p1",     "/dev/nbd01",
					  "/dev/sda", "/dev/nbd-1", "/dev/nbd1234567", "/dev/../dev/nbd0",
					  "/dev/nb"};

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		refuse("device", bad[i], "such as /dev/nbd0");
	assert_null(settings.device);
	set("device", "/dev/nbd15");
	assert_string_equal(settings.device, "/dev/nbd15");
	again();
	set("device", "/dev/nbd0");
	again();
	refuse("device", "/dev/ublkb", "/dev/ublkb0");
	refuse("device", "/dev/ublkc0", "/dev/ublkb0");
	refuse("device", "/dev/ublkb00", "/dev/ublkb0");
	set("device", "/dev/ublkb7");
	assert_string_equal(settings.device, "/dev/ublkb7");
}

static void test_transport(void **state)
{
	assert_int_equal(settings.transport, SETTINGS_TRANSPORT_AUTO);
	refuse("transport", "NBD", "auto, ublk or nbd");
	refuse("transport", "none", "auto, ublk or nbd");
	set("transport", "ublk");
	assert_int_equal(settings.transport, SETTINGS_TRANSPORT_UBLK);
	again();
	set("transport", "nbd");
	assert_int_equal(settings.transport, SETTINGS_TRANSPORT_NBD);
	again();
	set("transport", "auto");
	assert_int_equal(settings.transport, SETTINGS_TRANSPORT_AUTO);
	assert_string_equal(settings.ublk_server, "zsblk-ublk");
	set("ublk-server", "/opt/zsblk-ublk");
	assert_string_equal(settings.ublk_server, "/opt/zsblk-ublk");
}

static void test_use(void **state)
{
	set("use", "swap");
	assert_int_equal(settings.use, SETTINGS_USE_SWAP);
	again();
	set("use", "mount");
	assert_int_equal(settings.use, SETTINGS_USE_MOUNT);
	again();
	settings.use = SETTINGS_USE_SWAP;
	set("use", "nothing");
	assert_int_equal(settings.use, SETTINGS_USE_NOTHING);
	again();
	refuse("use", "Swap", "nothing, swap or mount");
}

static void test_swap_priority(void **state)
{
	refuse("swap-priority", "32768", "-1 to 32767");
	refuse("swap-priority", "-2", "-1 to 32767");
	refuse("swap-priority", "high", "-1 to 32767");
	assert_int_equal(settings.use, SETTINGS_USE_NOTHING);
	set("swap-priority", "-1");
	assert_int_equal(settings.swap_priority, -1);
	assert_int_equal(settings.use, SETTINGS_USE_SWAP);
	again();
	set("swap-priority", "32767");
	assert_int_equal(settings.swap_priority, 32767);
}

static void test_mount(void **state)
{
	refuse("mount-point", "srv/fast", "absolute path");
	refuse("mount-point", "\"/srv\"", "absolute path");
	refuse("mount-point", "//", "other than /");
	assert_int_equal(settings.use, SETTINGS_USE_NOTHING);
	set("mount-point", "/srv/my files");
	assert_string_equal(settings.mount_point, "/srv/my files");
	assert_int_equal(settings.use, SETTINGS_USE_MOUNT);
	refuse("fs-type", "../evil", "such as ext4");
	refuse("fs-type", "ext4 xfs", "such as ext4");
	set("fs-type", "btrfs");
	assert_string_equal(settings.fs_type, "btrfs");
	refuse("options", "noatime, discard", "noatime,discard");
	set("options", "noatime,discard");
	assert_string_equal(settings.mount_options, "noatime,discard");
}

static void test_numbers(void **state)
{
	static const struct {
		const char *key;
		unsigned *at;
		unsigned min, max;
	} numbers[] = {
		{"connections", &settings.connections, 1, 64},
		{"threads", &settings.threads, 0, 64},
		{"request-timeout", &settings.request_timeout, 1, 86400},
		{"dead-connection-timeout", &settings.dead_timeout, 1, 86400},
	};

	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		static const char *const bad[] = {"-1", "99999999999999999999", "two", "1.5", "1s", "+1", "0x1"};
		char text[20], range[40];

		snprintf(range, sizeof range, "from %u to %u", numbers[i].min, numbers[i].max);
		for (size_t j = 0; j < COUNT_OF(bad); j++)
			refuse(numbers[i].key, bad[j], range);
		snprintf(text, sizeof text, "%u", numbers[i].max + 1);
		refuse(numbers[i].key, text, range);
		snprintf(text, sizeof text, "%d", (int)numbers[i].min - 1);
		refuse(numbers[i].key, text, range);
		snprintf(text, sizeof text, "%u", numbers[i].max);
		set(numbers[i].key, text);
		assert_int_equal(*numbers[i].at, numbers[i].max);
		again();
		snprintf(text, sizeof text, "%u", numbers[i].min);
		set(numbers[i].key, text);
		assert_int_equal(*numbers[i].at, numbers[i].min);
	}
}

static void test_probe_timeout(void **state)
{
	static const struct {
		const char *text;
		unsigned ms;
	} fine[] = {{"2.5", 2500},   {"0.1", 100},   {"600", 600000},  {"3", 3000},
		    {"1.234", 1234}, {"0.100", 100}, {"600.0", 600000}};
	static const char *const bad[] = {"0",      "0.099", "600.001", "601",    "-1",         "2.",   ".5",
					  "1.2345", "2,5",   "2.5s",    "2500ms", "9999999999", "1.2.3"};

	for (size_t i = 0; i < COUNT_OF(fine); i++) {
		again();
		set("probe-timeout", fine[i].text);
		assert_int_equal(settings.probe_timeout, fine[i].ms);
	}
	again();
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		refuse("probe-timeout", bad[i], "0.1 to 600");
	assert_int_equal(settings.probe_timeout, 3000);
}

static void test_cold(void **state)
{
	set("cold", "yes");
	set("cold-after", "20m");
	set("cold-algorithm", "zstd(level=12)");
	set("frozen-after", "never");
	set("frozen-algorithm", "zstd:-3");
	set("cold-rate", "1");
	set("cold-budget", "2 * ram");
	assert_string_equal(settings.cold, "\ncold=yes\ncold-after=20m\ncold-algorithm=zstd:12\nfrozen-after=never\n"
					   "frozen-algorithm=zstd:-3\ncold-rate=1048576\ncold-budget=8589934592");
	again();
	assert_null(settings.cold);
	set("cold-algorithm", "zstd");
	assert_string_equal(settings.cold, "\ncold-algorithm=zstd");
	again();
	refuse_with("cold", "on", "cold = on", "yes or no");
	refuse_with("cold-after", "never", "cold-after = never", "such as 90s");
	refuse_with("cold-after", "0", "cold-after = 0", "such as 90s");
	refuse_with("cold-after", "74d", "cold-after = 74d", "to 73d");
	refuse_with("frozen-after", "1m\n", "frozen-after = 1m", "such as 90s");
	refuse_with("cold-algorithm", "gzip", "cold-algorithm = gzip", "such as zstd");
	refuse_with("cold-algorithm", "zstd:3 lz4", "cold-algorithm = zstd:3 lz4", "such as zstd");
	refuse_with("cold-algorithm", "zstd:", "cold-algorithm = zstd:", "such as zstd");
	refuse_with("cold-algorithm", "zstd(level=3", "cold-algorithm = zstd(level=3", "such as zstd");
	refuse_with("frozen-algorithm", "zstd:99", "frozen-algorithm = zstd:99", "levels");
	refuse_with("frozen-algorithm", "zstd:-", "frozen-algorithm = zstd:-", "levels");
	refuse_with("cold-rate", "fast", "cold-rate", "fast");
}

/* A file of servers that took it is no reason to have no swap. */
static void test_algorithms_without_groups(void **state)
{
	struct wrong remark;

	again();
	assert_false(settings_remark_text(&settings, 0, &remark));
	set("cold-algorithm", "lz4:1");
	set("frozen-algorithm", "lz4hc");
	assert_null(settings.cold);
	assert_true(settings_remark_text(&settings, 0, &remark));
	expect_words(&remark, "cold-algorithm = lz4:1: groups cannot be made with lz4", "such as zstd:9");
	assert_int_equal(settings_add_file(&settings, "/a.conf"), 0);
	settings_came_from(&settings, "frozen-algorithm", 0, 7);
	assert_true(settings_remark_text(&settings, 1, &remark));
	expect_words(&remark, "/a.conf:7: frozen-algorithm = lz4hc", "the server's default is used");
	assert_false(settings_remark_text(&settings, 2, &remark));
}

static void test_control(void **state)
{
	set("control-group", "adm");
	set("background-cpu", "100");
	assert_string_equal(settings.control_group, "adm");
	assert_int_equal(settings.background_cpu, 100);
	again();
	refuse_with("control-group", "a b", "control-group = a b", "one group");
	refuse_with("control-group", "adm=1", "control-group = adm=1", "one group");
	refuse_with("background-cpu", "0", "background-cpu = 0", "1 to 100");
	refuse_with("background-cpu", "101", "background-cpu = 101", "1 to 100");
	refuse_with("max-size", "17T", "max-size = '17T'", "16T");
}

static void test_programs(void **state)
{
	set("nbdkit", "/opt/nbdkit/bin/nbdkit");
	set("plugin", "./zsblk.so");
	assert_string_equal(settings.nbdkit, "/opt/nbdkit/bin/nbdkit");
	assert_string_equal(settings.plugin, "./zsblk.so");
}

static void test_unknown_keys(void **state)
{
	static const struct {
		const char *key, *hint;
	} keys[] = {
		{"sise", "size?"},
		{"Size", "size?"},
		{"mem_limit", "mem-limit?"},
		{"mountpoint", "mount-point?"},
		{"thread", "threads?"},
		{"zram_size", "zram-size?"},
		{"dead-conn-timeout", "dead-connection-timeout?"},
		{"host-memory-limit", "zsblk.conf(5)"},
		{"x", "zsblk.conf(5)"},
		{"", "zsblk.conf(5)"},
	};
	char longer[300];

	for (size_t i = 0; i < COUNT_OF(keys); i++)
		refuse_with(keys[i].key, "1", keys[i].key, keys[i].hint);
	memset(longer, 's', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	refuse_with(longer, "1", "'sssss", "zsblk.conf(5)");
	assert_false(settings_given(&settings, "sise"));
}

static void test_once(void **state)
{
	static const struct {
		const char *key, *value;
	} all[] = {
		{"size", "1G"},           {"algorithm", "lz4"},
		{"level", "1"},           {"mem-limit", "1G"},
		{"reserve", "1M"},        {"memory", "shm:1"},
		{"device", "/dev/nbd0"},  {"use", "mount"},
		{"swap-priority", "1"},   {"mount-point", "/a"},
		{"fs-type", "ext4"},      {"options", "ro"},
		{"connections", "1"},     {"threads", "1"},
		{"request-timeout", "1"}, {"dead-connection-timeout", "1"},
		{"probe-timeout", "1"},   {"nbdkit", "nbdkit"},
		{"transport", "auto"},    {"ublk-server", "a"},
		{"plugin", "zsblk"},      {"max-size", "2G"},
	};

	for (size_t i = 0; i < COUNT_OF(all); i++) {
		assert_false(settings_given(&settings, all[i].key));
		refuse_with(all[i].key, "", all[i].key, "no value");
		refuse_with(all[i].key, "  ", all[i].key, "leave the key out");
		assert_false(settings_given(&settings, all[i].key));
		set(all[i].key, all[i].value);
		assert_true(settings_given(&settings, all[i].key));
		refuse(all[i].key, all[i].value, "given already; give it once");
	}
	/* Under its other name as well. */
	refuse("zram-size", "2G", "size is given already");
	refuse("compression-algorithm", "lz4", "algorithm is given already");
	refuse("zram-resident-limit", "1", "mem-limit is given already");
	assert_true(settings_given(&settings, "zram-size"));
	expect_word("size", "1073741824");
}

/* Values too long to be shown in full still leave room for the remedy. */
static void expect_reserve(const char *size, const char *limit, uint64_t ram, const char *reserve)
{
	settings_free(&settings);
	settings_init(&settings);
	settings.ram_bytes = ram;
	settings_add_param(&settings, "size", size);
	if (limit)
		settings_add_param(&settings, "mem-limit", limit);
	assert_int_equal(settings_default_reserve(&settings), 0);
	assert_string_equal(settings_param(&settings, "reserve"), reserve);
}

static void test_default_reserve(void **state)
{
	const uint64_t gib = UINT64_C(1) << 30;

	expect_reserve("1073741824", NULL, gib, "33554432");
	expect_reserve("1G", NULL, gib / 8, "8388608");
	expect_reserve("64G", NULL, 64 * gib, "67108864");
	expect_reserve("32M", NULL, gib, "8388608");
	expect_reserve("1G", "8M", gib, "4194304");
	expect_reserve("1G", "8388608", gib, "4194304");
	expect_reserve("1G", "nonsense", gib, "33554432");
	settings_free(&settings);
	settings_init(&settings);
	settings_add_param(&settings, "reserve", "5M");
	assert_int_equal(settings_default_reserve(&settings), 0);
	assert_string_equal(settings_param(&settings, "reserve"), "5M");
}

static void test_default_recovery(void **state)
{
	struct wrong wrong;

	settings.ram_bytes = UINT64_C(256) << 20;
	settings_default_recovery(&settings);
	assert_true(settings.recovery_reserve == UINT64_C(8) << 20);
	settings_free(&settings);
	settings_init(&settings);
	settings.ram_bytes = UINT64_C(64) << 30;
	settings_default_recovery(&settings);
	assert_true(settings.recovery_reserve == UINT64_C(32) << 20);
	assert_int_equal(settings_set(&settings, "recovery-reserve", "64", &wrong), 0);
	settings_default_recovery(&settings);
	assert_true(settings.recovery_reserve == UINT64_C(64) << 20);
}

static void test_replaced_word(void **state)
{
	assert_int_equal(settings_add_param(&settings, "size", "1G"), 0);
	assert_int_equal(settings_add_param(&settings, "sizes", "no"), 0);
	assert_int_equal(settings_replace_param(&settings, "size", "2G"), 0);
	assert_string_equal(settings_param(&settings, "size"), "2G");
	assert_string_equal(settings_param(&settings, "sizes"), "no");
	assert_int_equal(settings_replace_param(&settings, "level", "3"), 0);
	assert_string_equal(settings_param(&settings, "level"), "3");
	assert_true(settings_param_bytes(&settings, "size") == UINT64_C(2) << 30);
	assert_true(settings_param_bytes(&settings, "sizes") == 0);
}

static void test_tune(void **state)
{
	struct wrong wrong = {""};

	assert_true(settings.tune);
	assert_int_equal(settings_set(&settings, "tune", "maybe", &wrong), -EINVAL);
	expect_words(&wrong, "tune", "yes or no");
	assert_int_equal(settings_set(&settings, "tune", "no", &wrong), 0);
	assert_false(settings.tune);
}

static void test_long_values(void **state)
{
	static const char *const names[] = {
		"size",         "max-size",      "algorithm",       "level",
		"mem-limit",    "reserve",       "memory",          "device",
		"use",          "swap-priority", "mount-point",     "fs-type",
		"connections",  "threads",       "request-timeout", "dead-connection-timeout",
		"probe-timeout"};
	char value[5000];

	memset(value, '_', sizeof value - 1);
	value[100] = '/';
	value[sizeof value - 1] = '\0';
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct wrong wrong = {""};

		assert_int_equal(settings_set(&settings, names[i], value, &wrong), -EINVAL);
		expect_words(&wrong, names[i], "____");
		assert_true(strlen(wrong.text) < 300);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(defaults),      TEST(names),           TEST(words),         TEST(string),
		TEST(size),          TEST(max_size),        TEST(limits),        TEST(algorithm),
		TEST(level),         TEST(memory),          TEST(device),        TEST(transport),
		TEST(use),           TEST(swap_priority),   TEST(mount),         TEST(numbers),
		TEST(probe_timeout), TEST(control),         TEST(cold),          TEST(algorithms_without_groups),
		TEST(programs),      TEST(unknown_keys),    TEST(once),          TEST(long_values),
		TEST(tune),          TEST(default_reserve), TEST(replaced_word), TEST(default_recovery),
	};

	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
