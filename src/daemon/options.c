/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkd's command line. See options.h. */
#include "daemon/options.h"

#include "daemon/resources/memlimit.h"
#include "daemon/settings/config.h"
#include "daemon/settings/config_layers.h"
#include "daemon/settings/mistakes.h"
#include "daemon/supervise.h"
#include "daemon/transport/transport.h"
#include "text/size.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPT_SWAPON = 256,
	OPT_CHECK,
	OPT_STOP,
	OPT_STOP_UNUSED,
	OPT_UPGRADE,
	OPT_STATUS,
	OPT_SETTING, /* one that only sets what has its name in configuration files */
};

static const struct option long_options[] = {
	{"name", required_argument, NULL, 'n'},
	{"config", required_argument, NULL, 'c'},
	{"check", no_argument, NULL, OPT_CHECK},
	{"swapon", no_argument, NULL, OPT_SWAPON},
	{"priority", required_argument, NULL, 'p'},
	{"stop", required_argument, NULL, OPT_STOP},
	{"stop-unused", required_argument, NULL, OPT_STOP_UNUSED},
	{"upgrade", required_argument, NULL, OPT_UPGRADE},
	{"status", required_argument, NULL, OPT_STATUS},
	{"device", required_argument, NULL, OPT_SETTING},
	{"transport", required_argument, NULL, OPT_SETTING},
	{"tune", required_argument, NULL, OPT_SETTING},
	{"connections", required_argument, NULL, OPT_SETTING},
	{"threads", required_argument, NULL, OPT_SETTING},
	{"request-timeout", required_argument, NULL, OPT_SETTING},
	{"dead-connection-timeout", required_argument, NULL, OPT_SETTING},
	{"probe-timeout", required_argument, NULL, OPT_SETTING},
	{"ublk-server", required_argument, NULL, OPT_SETTING},
	{"nbdkit", required_argument, NULL, OPT_SETTING},
	{"plugin", required_argument, NULL, OPT_SETTING},
	{"recovery-reserve", required_argument, NULL, OPT_SETTING},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static const char help[] =
	"Usage: zsblkd --name NAME [OPTION]... KEY=VALUE...\n"
	"       zsblkd --config FILE\n"
	"       zsblkd --check NAME\n"
	"       zsblkd --stop NAME | --stop-unused NAME | --upgrade NAME | --status NAME\n"
	"Keep a compressed block device in memory attached, as /dev/ublkbN or /dev/nbdN, whatever happens to its\n"
	"server.\n"
	"\n"
	"KEY=VALUE are parameters of the server's plugin (nbdkit zsblk --help), such as size=2G algorithm=zstd.\n"
	"Sizes are as in zsblk.conf(5), such as size=ram/2, but a number without a suffix is in bytes.\n"
	"\n"
	"What it is\n"
	"  -n, --name NAME             of the instance\n"
	"  -c, --config FILE           read everything from a file, see zsblk.conf(5)\n"
	"      --check [NAME]          say each mistake in all of this, or in the files of an instance, and which\n"
	"                              transport it would be; start nothing\n"
	"      --device FILE           attach it there, such as /dev/ublkb0 or /dev/nbd0 (default: where there is room)\n"
	"      --transport auto|ublk|nbd\n"
	"                              how the kernel reaches the server (default auto: ublk where it can be used)\n"
	"      --swapon                make it swap space, with discard\n"
	"  -p, --priority N            of the swap space, 0 to 32767, or -1: the kernel's choice (default 100)\n"
	"      --tune yes|no           the kernel's settings for swap in memory (default yes)\n"
	"\n"
	"How it is kept\n"
	"      --connections N         sockets given to the kernel (default 1; see zsblkd(8) before you use more)\n"
	"      --threads N             of the server for each connection (default: one for each CPU, at most 4)\n"
	"      --probe-timeout S       a server that does not answer for so many seconds hangs (default 3)\n"
	"      --dead-connection-timeout S\n"
	"                              requests wait so many seconds for a server (default 3600)\n"
	"      --request-timeout S     with several connections: the kernel sends a request again after so many\n"
	"                              seconds (default 30)\n"
	"      --recovery-reserve SIZE memory held for the start of a server when there is none (default: a 32nd\n"
	"                              of memory, at most 32M)\n"
	"      --ublk-server FILE      the server for ublk (default zsblk-ublk)\n"
	"      --nbdkit FILE           the server for NBD (default nbdkit)\n"
	"      --plugin FILE           its plugin (default zsblk)\n"
	"\n"
	"To the daemon of an instance\n"
	"      --stop NAME             swapoff, detach, end the server and remove the data\n"
	"      --stop-unused NAME      the same, but fail if the device is in use\n"
	"      --upgrade NAME          start a new server in place of the one there is, with nothing lost\n"
	"      --status NAME           say how it is doing; the exit status is 3 if no daemon of that name runs\n"
	"\n"
	"  -v, --verbose               say more\n"
	"  -h, --help                  this text\n"
	"  -V, --version               the version\n";

__attribute__((noreturn, format(printf, 1, 2))) static void options_refuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("zsblkd: ", stderr);
	vfprintf(stderr, format, args);
	fputs("\n", stderr);
	va_end(args);
	exit(EXIT_FAILURE);
}

static uint64_t memory_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void set(struct settings *settings, const char *option, const char *key, const char *value)
{
	struct wrong wrong;

	if (settings_set(settings, key, value, &wrong))
		options_refuse("--%s: %s", option, wrong.text);
}

static bool is_size(const char *key)
{
	static const char *const sizes[] = {"size", "max-size", "mem-limit", "reserve"};

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		if (strcmp(key, sizes[i]) == 0)
			return true;
	return false;
}

/*
 * Sizes are written as in a file (zsblk.conf(5)), but a number alone is in bytes, and with nbdkit's s in sectors. False: it is no such
 * number. Otherwise `text` is the one that the plugin gets.
 */
static bool is_plain(const char *value, char *text, size_t size)
{
	size_t digits = strspn(value, "0123456789");
	uint64_t bytes;

	if (!digits || (value[digits] && strcmp(value + digits, "s") != 0))
		return false;
	if (size_parse(value, &bytes) == 0)
		snprintf(text, size, "%" PRIu64, bytes);
	else
		snprintf(text, size, "%s", value);
	return true;
}

/* Those that the daemon keeps to itself, or passes on in a way that servers of older versions understand. */
static bool is_own(const char *key)
{
	static const char *const keys[] = {"control-group",    "background-cpu", "cold",
					   "cold-after",       "cold-algorithm", "frozen-after",
					   "frozen-algorithm", "cold-rate",      "cold-budget"};

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

/* Parameters go to the plugin as they are, and the plugin judges them; but sizes are given to it in bytes. */
static void add_plugin_param(struct settings *settings, const char *param)
{
	const char *equals = strchr(param, '=');
	struct wrong wrong;
	char key[40], number[120];
	int r;

	if (!equals || equals == param || (size_t)(equals - param) >= sizeof key)
		options_refuse("'%s' is not KEY=VALUE; see zsblkd --help", param);
	snprintf(key, sizeof key, "%.*s", (int)(equals - param), param);
	/* --status reads them. */
	if (strcmp(key, "stats") == 0)
		options_refuse("%s: the statistics of a server are in /run/zsblk/NAME/stats; leave it out", param);
	if (strcmp(key, "control") == 0)
		options_refuse("%s: the control socket of a server is /run/zsblk/NAME/control; leave it out", param);
	if (is_own(key)) {
		if (settings_set(settings, key, equals + 1, &wrong))
			options_refuse("%s", wrong.text);
		return;
	}
	r = settings_param(settings, key) ? -EEXIST : 0;
	if (!r && !is_size(key)) {
		r = settings_add_param(settings, key, equals + 1);
	} else if (!r && is_plain(equals + 1, number, sizeof number)) {
		r = settings_add_param(settings, key, number);
	} else if (!r) {
		if (settings_set(settings, key, equals + 1, &wrong))
			options_refuse("%s", wrong.text);
	}
	if (r)
		options_refuse("%s: %s", param,
			       r == -EEXIST  ? "it was given already"
			       : r == -E2BIG ? "too many parameters"
					     : strerror(-r));
}

static void set_request(struct options *options, const char *request, const char *name)
{
	if (options->request)
		options_refuse("--%s: one request at a time", request);
	options->request = request;
	options->request_name = name;
}

/*
 * What is wrong in the file may be put right, and until then the device that has this name already has nobody to look
 * after it: the exit status for which systemd tries again, after a while.
 */
__attribute__((noreturn)) static void refuse_file(const struct settings *settings, const struct wrong *wrong)
{
	int device = settings->name ? transport_find_instance(settings) : -ENODEV;

	if (device == -ENODEV)
		options_refuse("%s", wrong->text);
	fprintf(stderr, "zsblkd: %s; %s\n", wrong->text,
		device ? "whether a device of that name is attached cannot be told (/sys/block)"
		       : "the device that is there goes on without zsblkd until that is put right");
	sleep(SUPERVISE_AGAIN_S);
	exit(SUPERVISE_AGAIN);
}

/* One thread for each CPU: the kernel has one connection, whose requests are served in parallel. */
static void default_threads(struct settings *settings)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (settings->threads)
		return;
	settings->threads = settings->connections > 1 || cpus < 1 ? 1 : cpus > 4 ? 4 : (unsigned)cpus;
}

/* What was given besides settings. */
struct given {
	const char *config, *name;
	char path[CONFIG_PATH_BYTES]; /* of the configuration whose name was given */
	const char *setting;          /* the last option that sets something */
};

static void take_setting(struct settings *settings, struct given *given, const char *option, const char *key,
			 const char *value)
{
	given->setting = option;
	set(settings, option, key, value);
}

static void apply_option(struct options *options, struct given *given, int option, int index)
{
	struct settings *settings = &options->settings;

	switch (option) {
	case OPT_SETTING:
		take_setting(settings, given, long_options[index].name, long_options[index].name, optarg);
		break;
	case 'n':
		given->name = optarg;
		break;
	case 'c':
		given->config = optarg;
		break;
	case 'p':
		take_setting(settings, given, "priority", "swap-priority", optarg);
		break;
	case OPT_CHECK:
		options->check = true;
		break;
	case OPT_SWAPON:
		take_setting(settings, given, "swapon", "use", "swap");
		break;
	case OPT_STOP:
		set_request(options, "stop", optarg);
		break;
	case OPT_STOP_UNUSED:
		set_request(options, "stop-unused", optarg);
		break;
	case OPT_UPGRADE:
		set_request(options, "upgrade", optarg);
		break;
	case OPT_STATUS:
		set_request(options, "status", optarg);
		break;
	case 'v':
		options->verbose = true;
		break;
	case 'h':
		fputs(help, stdout);
		exit(EXIT_SUCCESS);
	case 'V':
		puts("zsblkd " ZSBLKD_VERSION);
		exit(EXIT_SUCCESS);
	default:
		fputs("Try 'zsblkd --help'.\n", stderr);
		exit(EXIT_FAILURE);
	}
}

/* --stop NAME and the like stand alone. */
static void check_request(struct options *options, const struct given *given, bool more)
{
	struct wrong wrong;

	if (more || given->name || given->config || given->setting || options->check)
		options_refuse("--%s takes the name of an instance, and nothing else beside it", options->request);
	if (settings_name(&options->settings, options->request_name, &wrong))
		options_refuse("--%s: %s", options->request, wrong.text);
}

/* --check NAME: all files that this instance has. */
static void take_checked_name(struct settings *settings, struct given *given, char ***params)
{
	struct wrong wrong;
	char **words = *params;

	if (given->config || given->name || !words[0] || strchr(words[0], '='))
		return;
	if (words[1] || given->setting)
		options_refuse("--check %s: the name of an instance, and nothing else beside it, is needed", words[0]);
	if (settings_name(settings, words[0], &wrong))
		options_refuse("--check: %s", wrong.text);
	config_layers_path(words[0], given->path);
	given->config = given->path;
	*params = words + 1;
}

static void tell_mistake(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "zsblkd: %s\n", text);
}

/* Each mistake is told, and a device that is there changes nothing. Returns if there is none. */
static void check_files(struct settings *settings, const char *path)
{
	struct mistakes mistakes = {.tell = tell_mistake};
	int r = config_read_all(path, memory_bytes(), settings, &mistakes);

	/* Whether values that are wrong go together nobody can tell. */
	if (!r)
		r = settings_check_all(settings, &mistakes);
	if (r)
		exit(r == -EINVAL ? EXIT_FAILURE : OPTIONS_EXIT_NO_FILE);
}

/* The rest of a command line that starts a daemon: parameters of the plugin. */
static void finish_settings(struct options *options, const struct given *given, char **params)
{
	struct settings *settings = &options->settings;
	struct wrong wrong;

	if (given->config && given->setting)
		options_refuse("--%s: with --config all settings are in the file", given->setting);
	if (given->name && settings_name(settings, given->name, &wrong))
		options_refuse("--name: %s", wrong.text);
	if (given->config && options->check)
		check_files(settings, given->config);
	else if (given->config && config_read(given->config, memory_bytes(), settings, &wrong))
		refuse_file(settings, &wrong);
	if (given->config && *params)
		options_refuse("'%s': with --config all parameters are in the file", *params);
	for (; *params; params++)
		add_plugin_param(settings, *params);
	if (settings_check(settings, &wrong)) {
		if (given->config)
			refuse_file(settings, &wrong);
		options_refuse("%s", wrong.text);
	}
	default_threads(settings);
	settings_default_reserve(settings);
	settings_default_recovery(settings);
}

void options_parse(struct options *options, int argc, char **argv)
{
	struct given given = {.config = NULL};
	int option, index = 0;
	char **params;

	*options = (struct options){.request = NULL};
	settings_init(&options->settings);
	options->settings.ram_bytes = memory_bytes();
	options->settings.limit_bytes = memlimit_smallest();
	while ((option = getopt_long(argc, argv, "n:c:p:vhV", long_options, &index)) != -1)
		apply_option(options, &given, option, index);
	params = argv + optind;
	if (options->request) {
		check_request(options, &given, optind < argc);
		return;
	}
	if (options->check)
		take_checked_name(&options->settings, &given, &params);
	finish_settings(options, &given, params);
}
