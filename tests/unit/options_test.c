/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of zsblk-ublk. What the servers' common parameters mean: host_params_test.c. */
#include "lib/test.h"

#include "ublk/options.h"
#include "ublk/uapi.h"

#include <errno.h>

static struct options options;
static struct zsblk_why why;

/* `line` is split at its blanks. */
static int parse(const char *line)
{
	static char text[400];
	char *argv[20] = {(char *)"zsblk-ublk"}, *rest = text, *word;
	int argc = 1;

	options_free(&options);
	why.text[0] = '\0';
	snprintf(text, sizeof text, "%s", line);
	while ((word = strsep(&rest, " ")))
		if (*word)
			argv[argc++] = word;
	return options_parse(&options, argc, argv, &why);
}

static void refused(const char *line, const char *text)
{
	if (parse(line) != -EINVAL)
		fail_msg("'%s' is taken", line);
	if (!strstr(why.text, text))
		fail_msg("'%s': '%s' is not in '%s'", line, text, why.text);
}

static void test_defaults(void **state)
{
	assert_int_equal(parse("size=1G"), 0);
	assert_int_equal(options.number, UAPI_ANY_NUMBER);
	assert_int_equal(options.queues, 0);
	assert_int_equal(options.depth, 0);
	assert_false(options.recover || options.remove || options.any_kernel || options.verbose || options.help ||
		     options.version);
	assert_int_equal(options.host.engine.size, 1 << 30);
}

static void test_all(void **state)
{
	assert_int_equal(
		parse("--verbose --any-kernel --recover 7 size=2G queues=4096 depth=8 algorithm=zstd memory=shm:9"), 0);
	assert_true(options.verbose && options.any_kernel && options.recover);
	assert_int_equal(options.number, 7);
	assert_int_equal(options.queues, 4096);
	assert_int_equal(options.depth, 8);
	assert_string_equal(options.host.engine.algorithm, "zstd");
	assert_string_equal(options.host.engine.memory, "shm:9");
	assert_int_equal(parse("size=1M --device /dev/ublkb12 depth=4096"), 0);
	assert_int_equal(options.number, 12);
	assert_false(options.recover);
	assert_int_equal(parse("--device 0 size=1M"), 0);
	assert_int_equal(options.number, 0);
	assert_int_equal(parse("--remove 3"), 0);
	assert_true(options.remove);
	assert_false(options.served);
	assert_int_equal(parse("--served --remove 3"), 0);
	assert_true(options.remove && options.served);
	assert_int_equal(options.sequence, 0);
	assert_int_equal(parse("--remove 3 --sequence 17"), 0);
	assert_int_equal(options.sequence, 17);
	assert_int_equal(parse("--ready=/run/x/1-2.ready --recover=3 size=1M"), 0);
	assert_string_equal(options.ready, "/run/x/1-2.ready");
	assert_int_equal(options.number, 3);
	assert_int_equal(parse("--trial size=1M"), 0);
	assert_true(options.trial);
	assert_int_equal(parse("--list"), 0);
	assert_true(options.list);
	assert_int_equal(parse("--check"), 0);
	assert_true(options.check);
	assert_int_equal(parse("--help --nonsense"), -EINVAL);
	assert_int_equal(parse("-h"), 0);
	assert_true(options.help);
	assert_int_equal(parse("--version"), 0);
	assert_true(options.version);
}

static void test_limits(void **state)
{
	refused("size=1M depth=7", "depth=7 is not a number from 8 to 4096");
	refused("size=1M depth=4097", "depth=4097 is not a number from 8 to 4096");
	refused("size=1M depth=", "depth= is not a number");
	refused("size=1M depth=8x", "depth=8x is not a number");
	refused("size=1M depth=-8", "depth=-8 is not a number");
	refused("size=1M queues=0", "queues=0 is not a number from 1 to 4096");
	refused("size=1M queues=4097", "queues=4097 is not a number from 1 to 4096");
	refused("size=1M queues=99999999999999999999", "is not a number");
	refused("size=1M --device -1", "--device -1: give the number of a device");
	refused("size=1M --device 1048576", "give the number of a device");
	refused("size=1M --device /dev/nbd0", "give the number of a device");
	refused("--remove 1 --sequence 0", "--sequence 0: give the number in");
	refused("--remove 1 --sequence 1x", "--sequence 1x: give the number in");
	refused("--remove x", "--remove x: give the number of a device");
}

static void test_refused(void **state)
{
	refused("", "size is missing");
	refused("size=1M size=2M", "size is given twice");
	refused("size=1M depth=8 depth=9", "depth is given twice, the second time as 9");
	refused("size=1M queues=1 queues=1", "queues is given twice");
	refused("size=100", "size=100");
	refused("size=1M colour=blue", "colour=blue is not known");
	refused("1M", "'1M' is not KEY=VALUE");
	refused("=1M", "'=1M' is not KEY=VALUE");
	refused("size=1M --nonsense", "'--nonsense' is not known");
	refused("size=1M --device", "'--device' needs a value");
	refused("--device 1 --recover 1 size=1M", "give one of --device, --recover and --remove");
	refused("size=1M --served", "--served goes with --remove");
	refused("size=1M --sequence 17", "--sequence goes with --remove");
	refused("--trial --remove 1", "--trial and --ready do not go with --remove");
	refused("--remove 1 --ready /run/x", "--trial and --ready do not go with --remove");
	refused("--remove 1 size=1M", "--remove takes no parameters; leave out size=1M");
}

static int release(void **state)
{
	options_free(&options);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, release);
}
