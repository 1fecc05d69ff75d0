/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings as a whole: what goes together, and what does not. */
#include "lib/settings.h"

static void test_check(void **state)
{
	check_fails("no name", "swap0");
	assert_int_equal(settings_name(&settings, "a", NULL), 0);
	check_fails("no size", "size=2G");
	assert_int_equal(settings_string(&settings.path, "a.conf"), 0);
	check_fails("a.conf: there is no size", "size = ram / 2");
	good();
	set("threads", "64");
	check_passes();
	free(settings.plugin);
	settings.plugin = NULL;
	check_fails("no memory", "");
}

/* A device decides by itself, and so do keys that only one transport has. */
static void test_transport(void **state)
{
	good();
	set("transport", "ublk");
	check_passes();
	set("device", "/dev/nbd0");
	check_fails("device = /dev/nbd0 is for transport = nbd", "transport = ublk");
	good();
	set("transport", "nbd");
	set("device", "/dev/ublkb1");
	check_fails("device = /dev/ublkb1 is for transport = ublk", "transport = nbd");
	good();
	set("transport", "auto");
	set("device", "/dev/ublkb1");
	set("probe-timeout", "1");
	check_passes();
	set("connections", "2");
	check_fails("connections = 2 is for transport = nbd", "leave it out");
	good();
	set("transport", "ublk");
	set("threads", "2");
	check_fails("threads = 2 is for transport = nbd", "leave it out");
	/* With auto they are for the case that it is NBD. */
	good();
	set("threads", "2");
	set("connections", "2");
	check_passes();
}

/* What goes with one use of the device, and not with another. */
static void test_contradictions_of_use(void **state)
{
	good();
	set("use", "mount");
	check_fails("use = mount", "mount-point = /srv/fast");
	set("mount-point", "/a");
	set("fs-type", "xfs");
	set("options", "ro");
	check_passes();
	good();
	/* In either order. */
	set("use", "swap");
	set("mount-point", "/a");
	check_fails("mount-point = /a", "for swap");
	good();
	set("mount-point", "/a");
	set("use", "nothing");
	check_fails("mount-point = /a", "for nothing");
	good();
	set("mount-point", "/a");
	set("swap-priority", "5");
	check_fails("mount-point = /a", "for swap");
	good();
	set("swap-priority", "5");
	set("mount-point", "/a");
	check_fails("swap-priority = 5", "mounted");
	good();
	set("use", "nothing");
	set("swap-priority", "5");
	check_fails("swap-priority = 5", "for nothing");
	good();
	set("fs-type", "xfs");
	check_fails("fs-type = xfs", "add a mount-point");
	good();
	set("options", "ro");
	check_fails("options = ro", "mounted");
	good();
	set("fs-type", "swap");
	set("options", "discard");
	check_passes();
	assert_int_equal(settings.use, SETTINGS_USE_SWAP);
	set("mount-point", "/a");
	check_fails("fs-type = swap", "leave the mount-point out");
}

static void test_contradictions_of_figures(void **state)
{
	good();
	set("mem-limit", "1M");
	set("reserve", "2M");
	check_fails("reserve=2097152", "1048576");
	good();
	set("request-timeout", "5");
	check_fails("request-timeout = 5", "connections = 2");
	set("connections", "2");
	check_passes();
	good();
	set("frozen-after", "10m");
	set("cold-after", "10m");
	check_fails("frozen-after = 10m", "later than cold-after = 10m");
	good();
	set("frozen-after", "10m");
	check_fails("frozen-after = 10m", "later than cold-after = 15m");
	set("cold-after", "9m");
	check_passes();
	good();
	set("tune", "no");
	set("mount-point", "/a");
	check_fails("tune = no", "mounted");
}

/* What the engine refuses is refused before a server is started. */
static void test_what_the_engine_refuses(void **state)
{
	good();
	set("algorithm", "lzo-rle");
	check_fails("algorithm=lzo-rle", "use one of lz4");
	good();
	set("algorithm", "zstd(level=900)");
	check_fails("level=900", "zstd; use");
	good();
	set("algorithm", "lz4");
	set("level", "-50");
	check_fails("level=-50", "lz4");
	good();
	set("mem-limit", "64K");
	check_fails("mem-limit=65536", "use at least");
	good();
	set("max-size", "4096B");
	check_fails("max-size=4096", "from size=");
	/* What is understood in another way, or not at all, is the plugin's to judge. */
	again();
	assert_int_equal(settings_name(&settings, "a", NULL), 0);
	assert_int_equal(settings_add_param(&settings, "size", "2048s"), 0);
	assert_int_equal(settings_add_param(&settings, "level", "x"), 0);
	check_passes();
	good();
	set("mem-limit", "0");
	set("reserve", "2M");
	check_passes();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(check),
		TEST(transport),
		TEST(contradictions_of_use),
		TEST(contradictions_of_figures),
		TEST(what_the_engine_refuses),
	};

	return cmocka_run_group_tests_name("settings_check", tests, NULL, NULL);
}
