/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of zsblk-ublk. See options.h. */
#include "ublk/options.h"

#include "text/number.h"
#include "ublk/service.h"
#include "ublk/uapi.h"
#include "ublk/why.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_DEVICE = 256,
	OPT_RECOVER,
	OPT_REMOVE,
	OPT_SERVED,
	OPT_SEQUENCE,
	OPT_READY,
	OPT_LIST,
	OPT_CHECK,
	OPT_TRIAL,
	OPT_ANY_KERNEL,
};

static const struct option long_options[] = {
	{"device", required_argument, NULL, OPT_DEVICE},
	{"recover", required_argument, NULL, OPT_RECOVER},
	{"remove", required_argument, NULL, OPT_REMOVE},
	{"served", no_argument, NULL, OPT_SERVED},
	{"sequence", required_argument, NULL, OPT_SEQUENCE},
	{"ready", required_argument, NULL, OPT_READY},
	{"list", no_argument, NULL, OPT_LIST},
	{"check", no_argument, NULL, OPT_CHECK},
	{"trial", no_argument, NULL, OPT_TRIAL},
	{"any-kernel", no_argument, NULL, OPT_ANY_KERNEL},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static const char help[] =
	"Usage: zsblk-ublk [OPTION]... KEY=VALUE...\n"
	"       zsblk-ublk --recover N [OPTION]... KEY=VALUE...\n"
	"       zsblk-ublk --remove N\n"
	"Serve a compressed block device in memory as /dev/ublkbN, until SIGTERM or SIGINT.\n"
	"\n"
	"      --device N       make it /dev/ublkbN (default: the first number that is free)\n"
	"      --recover N      take /dev/ublkbN over, whose server has died, with the same memory=shm:...\n"
	"      --remove N       remove /dev/ublkbN, whose server has died and that nobody uses\n"
	"      --served         with --remove: also while it has a server, which ends then\n"
	"      --sequence S     with --remove: only if its diskseq (/sys/block/ublkbN/diskseq) is S\n"
	"      --ready FILE     once the device is there, make FILE a symbolic link with its name, such as ublkb0\n"
	"      --trial          do all that comes before the device is made, and end\n"
	"      --check          say why this kernel cannot be used, if it cannot, and end\n"
	"      --list           list the devices of zsblk: number, state, process of the server, segment\n"
	"      --any-kernel     use a kernel that is known to be broken\n"
	"  -v, --verbose        say more\n"
	"  -h, --help           this text\n"
	"  -V, --version        the version\n"
	"\n"
	"Parameters\n"
	"queues=<N>           Queues, each with a thread (default: one for each processor, at most 32)\n"
	"depth=<N>            Requests that a queue can have at a time, 8 to 4096 (default 256)\n";

void options_print_help(void)
{
	fputs(help, stdout);
	fputs(host_params_help(), stdout);
}

/* ------------------------------------------------------------------ options */

/* The driver's minor numbers. */
#define MOST_NUMBER ((1u << 20) - 1)

static int take_device(struct options *options, const char *option, const char *value, struct zsblk_why *why)
{
	int64_t number;

	if (options->number != UAPI_ANY_NUMBER)
		return why_say(why, -EINVAL, "%s %.60s: give one of --device, --recover and --remove, and once", option,
			       value);
	if (strncmp(value, "/dev/ublkb", 10) == 0)
		value += 10;
	if (number_parse(value, 0, MOST_NUMBER, &number) < 0)
		return why_say(why, -EINVAL, "%s %.60s: give the number of a device, such as 0 for /dev/ublkb0", option,
			       value);
	options->number = (uint32_t)number;
	return 0;
}

static int take_sequence(struct options *options, const char *value, struct zsblk_why *why)
{
	int64_t sequence;

	if (number_parse(value, 1, INT64_MAX, &sequence) < 0)
		return why_say(why, -EINVAL, "--sequence %.60s: give the number in /sys/block/ublkbN/diskseq", value);
	options->sequence = (uint64_t)sequence;
	return 0;
}

/* ------------------------------------------------------------------ KEY=VALUE */

static int take_own_parameter(unsigned *parameter, const char *key, const char *value, unsigned least, unsigned most,
			      struct zsblk_why *why)
{
	int64_t number;

	if (*parameter)
		return why_say(why, -EINVAL, "%s is given twice, the second time as %.60s; give it once", key, value);
	if (number_parse(value, least, most, &number) < 0)
		return why_say(why, -EINVAL, "%s=%.60s is not a number from %u to %u", key, value, least, most);
	*parameter = (unsigned)number;
	return 0;
}

static int take_parameter(struct options *options, char *argument, struct zsblk_why *why)
{
	char *equals = strchr(argument, '=');
	int r;

	if (!equals || equals == argument)
		return why_say(why, -EINVAL, "'%.60s' is not KEY=VALUE; see zsblk-ublk --help", argument);
	*equals = '\0';
	if (strcmp(argument, "queues") == 0)
		r = take_own_parameter(&options->queues, argument, equals + 1, 1, SERVICE_QUEUES_MOST, why);
	else if (strcmp(argument, "depth") == 0)
		r = take_own_parameter(&options->depth, argument, equals + 1, SERVICE_DEPTH_LEAST, UAPI_MAX_DEPTH, why);
	else
		r = host_params_set(&options->host, argument, equals + 1, why);
	if (r == -ENOENT)
		r = why_say(why, -EINVAL, "parameter %.60s=%.60s is not known; see zsblk-ublk --help", argument,
			    equals + 1);
	*equals = '=';
	return r;
}

/* ------------------------------------------------------------------ all */

static int take_option(struct options *options, int option, struct zsblk_why *why)
{
	switch (option) {
	case OPT_DEVICE:
		return take_device(options, "--device", optarg, why);
	case OPT_RECOVER:
		options->recover = true;
		return take_device(options, "--recover", optarg, why);
	case OPT_REMOVE:
		options->remove = true;
		return take_device(options, "--remove", optarg, why);
	case OPT_SERVED:
		options->served = true;
		return 0;
	case OPT_SEQUENCE:
		return take_sequence(options, optarg, why);
	case OPT_READY:
		options->ready = optarg;
		return 0;
	case OPT_LIST:
		options->list = true;
		return 0;
	case OPT_CHECK:
		options->check = true;
		return 0;
	case OPT_TRIAL:
		options->trial = true;
		return 0;
	case OPT_ANY_KERNEL:
		options->any_kernel = true;
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	case 'V':
		options->version = true;
		return 0;
	}
	return -EINVAL;
}

int options_parse(struct options *options, int argc, char **argv, struct zsblk_why *why)
{
	int option, r = 0;

	*options = (struct options){.number = UAPI_ANY_NUMBER};
	host_params_init(&options->host);
	optind = 0;
	opterr = 0;
	while (!r && (option = getopt_long(argc, argv, ":vhV", long_options, NULL)) >= 0) {
		if (option == '?')
			r = why_say(why, -EINVAL, "option '%.60s' is not known; see zsblk-ublk --help",
				    argv[optind - 1]);
		else if (option == ':')
			r = why_say(why, -EINVAL, "option '%.60s' needs a value; see zsblk-ublk --help",
				    argv[optind - 1]);
		else
			r = take_option(options, option, why);
	}
	if (options->help || options->version || options->list || options->check)
		return r;
	if (!r && options->served && !options->remove)
		return why_say(why, -EINVAL, "--served goes with --remove");
	if (!r && options->sequence && !options->remove)
		return why_say(why, -EINVAL, "--sequence goes with --remove");
	if (!r && options->remove && (options->trial || options->ready))
		return why_say(why, -EINVAL, "--trial and --ready do not go with --remove");
	while (!r && optind < argc)
		r = options->remove
			    ? why_say(why, -EINVAL, "--remove takes no parameters; leave out %.60s", argv[optind])
			    : take_parameter(options, argv[optind++], why);
	if (!r && !options->remove)
		r = host_params_complete(&options->host, why);
	return r;
}

void options_free(struct options *options)
{
	host_params_free(&options->host);
}
