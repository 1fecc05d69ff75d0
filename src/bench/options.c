/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line. Each message says what was wrong, with which value, and what would be right. */
#include "bench/values.h"

#include "codec/group.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_GROUP_ALGORITHM "zstd:9"
#define DEFAULT_SYNTHETIC       (UINT64_C(256) << 20)
#define DEFAULT_LIMIT           (UINT64_C(1) << 30)
#define DEFAULT_REPORT_LIMIT    (UINT64_C(128) << 20)
#define MAX_BYTES               (UINT64_C(1) << 40)
#define MAX_REQUEST             (UINT64_C(1) << 20)
#define MAX_REPEAT              1000
#define MAX_SECONDS             86400
#define DEFAULT_SECONDS         60
#define DEFAULT_MEMORY          (UINT64_C(128) << 20)

enum {
	OPT_SYNTHETIC = 256,
	OPT_SEED,
	OPT_LIMIT,
	OPT_REQUEST,
	OPT_MIX,
	OPT_RECOMPRESS,
	OPT_COLD,
	OPT_FROZEN,
	OPT_CHURN,
	OPT_JSON,
	OPT_SAVE,
	OPT_REPLAY,
	OPT_COLD_AFTER,
	OPT_GROUP,
	OPT_CACHE,
	OPT_READ_RULE,
	OPT_GROUP_ALGORITHM,
	OPT_PLOT,
	OPT_REPORT,
	OPT_CAPTURE,
	OPT_SECONDS,
	OPT_MEMORY
};

static const struct option long_options[] = {
	/* clang-format off */
	{"pid", required_argument, NULL, 'p'},
	{"synthetic", optional_argument, NULL, OPT_SYNTHETIC},
	{"algorithm", required_argument, NULL, 'a'},
	{"threads", required_argument, NULL, 't'},
	{"repeat", required_argument, NULL, 'r'},
	{"request", required_argument, NULL, OPT_REQUEST},
	{"churn", no_argument, NULL, OPT_CHURN},
	{"mix", required_argument, NULL, OPT_MIX},
	{"recompress", required_argument, NULL, OPT_RECOMPRESS},
	{"cold", required_argument, NULL, OPT_COLD},
	{"frozen", required_argument, NULL, OPT_FROZEN},
	{"replay", required_argument, NULL, OPT_REPLAY},
	{"cold-after", required_argument, NULL, OPT_COLD_AFTER},
	{"group", required_argument, NULL, OPT_GROUP},
	{"cache", required_argument, NULL, OPT_CACHE},
	{"group-algorithm", required_argument, NULL, OPT_GROUP_ALGORITHM},
	{"plot", required_argument, NULL, OPT_PLOT},
	{"report", required_argument, NULL, OPT_REPORT},
	{"capture-swap", required_argument, NULL, OPT_CAPTURE},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"read-rule", required_argument, NULL, OPT_READ_RULE},
	{"json", no_argument, NULL, OPT_JSON},
	{"save", required_argument, NULL, OPT_SAVE},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"seed", required_argument, NULL, OPT_SEED},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	/* clang-format on */
	{0},
};
_Static_assert(sizeof long_options / sizeof long_options[0] <= OPTIONS_MAX + 1, "each has its place in struct options");

static void for_each_item(struct options *options, const char *list, void (*add)(struct options *options, char *item))
{
	char *copy = strdup(list), *rest = copy, *item;

	if (!copy)
		values_refuse("no memory");
	while ((item = strsep(&rest, ",")))
		add(options, item);
	free(copy);
}

/* False: it is another one. */
static bool take_capture_option(struct options *options, int option)
{
	switch (option) {
	case OPT_PLOT:
		options->plot = optarg;
		return true;
	case OPT_REPORT:
		options->report = optarg;
		return true;
	case OPT_CAPTURE:
		options->capture = optarg;
		return true;
	case OPT_SECONDS:
		options->capture_seconds = (uint64_t)values_number("--seconds", optarg, 1, MAX_SECONDS);
		return true;
	case OPT_MEMORY:
		options->capture_memory = values_size("--memory", optarg, MAX_BYTES);
		return true;
	default:
		return false;
	}
}

/* The same. */
static bool take_replay_option(struct options *options, int option)
{
	switch (option) {
	case OPT_REPLAY:
		options->replay.trace = optarg;
		return true;
	case OPT_COLD_AFTER:
		for_each_item(options, optarg, values_add_cold_after);
		return true;
	case OPT_GROUP:
		for_each_item(options, optarg, values_add_group);
		return true;
	case OPT_CACHE:
		for_each_item(options, optarg, values_add_cache);
		return true;
	case OPT_READ_RULE:
		for_each_item(options, optarg, values_add_read_rule);
		return true;
	case OPT_GROUP_ALGORITHM:
		values_group_algorithm(options, optarg);
		return true;
	default:
		return false;
	}
}

/* What is measured instead. */
static bool take_other_measurement(struct options *options, int option)
{
	switch (option) {
	case OPT_MIX:
		for_each_item(options, optarg, values_add_mix);
		return true;
	case OPT_RECOMPRESS:
		values_choice("--recompress", optarg, &options->recompress);
		return true;
	case OPT_COLD:
		values_tier("--cold", optarg, &options->cold);
		return true;
	case OPT_FROZEN:
		values_tier("--frozen", optarg, &options->frozen);
		return true;
	default:
		return false;
	}
}

/* getopt has said what is wrong. */
__attribute__((noreturn)) static void give_up(void)
{
	fputs("Try 'zsblk-bench --help'.\n", stderr);
	exit(1);
}

static void take_option(struct options *options, int option)
{
	for (size_t i = 0; long_options[i].name; i++)
		options->given[i] = options->given[i] || long_options[i].val == option;
	switch (option) {
	case 'p':
		options->pid = (int)values_number("--pid", optarg, 1, INT_MAX);
		break;
	case OPT_SYNTHETIC:
		options->synthetic =
			(optarg ? values_size("--synthetic", optarg, MAX_BYTES) : DEFAULT_SYNTHETIC) / BLOCK;
		break;
	case 'a':
		for_each_item(options, optarg, values_add_algorithm);
		break;
	case 't':
		for_each_item(options, optarg, values_add_threads);
		break;
	case 'r':
		options->repeat = (unsigned)values_number("--repeat", optarg, 1, MAX_REPEAT);
		break;
	case OPT_REQUEST:
		options->request = (unsigned)(values_size("--request", optarg, MAX_REQUEST) / BLOCK);
		break;
	case OPT_CHURN:
		options->churn = true;
		break;
	case OPT_JSON:
		options->json = true;
		break;
	case OPT_SAVE:
		options->save = optarg;
		break;
	case OPT_LIMIT:
		options->limit = values_size("--limit", optarg, MAX_BYTES) / BLOCK;
		break;
	case OPT_SEED:
		options->seed = (uint64_t)values_number("--seed", optarg, 0, INT64_MAX);
		break;
	case 'h':
		help_print();
	case 'V':
		printf("zsblk-bench %s\n", ZSBLK_BENCH_VERSION);
		exit(0);
	default:
		if (!take_other_measurement(options, option) && !take_replay_option(options, option) &&
		    !take_capture_option(options, option))
			give_up();
	}
}

/* Keeps the trees of all that it has parsed, and goes over them again and again. */
static char *default_command[] = {
	(char[]){"python3"}, (char[]){"-c"},
	(char[]){"import ast, glob, sysconfig\n"
		 "trees = []\n"
		 "for name in sorted(glob.glob(sysconfig.get_path('stdlib') + '/**/*.py', recursive=True)):\n"
		 "    try:\n"
		 "        trees.append(ast.parse(open(name, 'rb').read()))\n"
		 "    except (SyntaxError, ValueError, OSError, RecursionError):\n"
		 "        pass\n"
		 "while True:\n"
		 "    for tree in trees:\n"
		 "        sum(1 for node in ast.walk(tree))\n"},
	NULL};

/* An option that was given and is none of these, which 0 ends; NULL: there is none. */
static const char *other_option(const struct options *options, const int *known)
{
	for (size_t i = 0; long_options[i].name; i++) {
		const int *at = known;

		while (*at && *at != long_options[i].val)
			at++;
		if (options->given[i] && !*at)
			return long_options[i].name;
	}
	return NULL;
}

static bool is_given(const struct options *options, int option)
{
	size_t i = 0;

	while (long_options[i].name && long_options[i].val != option)
		i++;
	return options->given[i];
}

/* What goes with --capture-swap. Words that are no options are the command. */
static void check_capture(struct options *options, int argc, char **argv)
{
	static const int known[] = {OPT_CAPTURE, OPT_SECONDS, OPT_MEMORY, OPT_LIMIT, OPT_JSON, 0};
	bool has_others = options->capture_seconds || options->capture_memory;
	const char *other = other_option(options, known);

	if (!options->capture && has_others)
		values_refuse("--seconds and --memory are for --capture-swap FILE");
	if (!options->capture)
		return;
	if (other)
		values_refuse("--%s: not with --capture-swap: it captures, and measures nothing; measure the file then",
			      other);
	options->command = optind < argc ? argv + optind : default_command;
	if (!options->capture_seconds)
		options->capture_seconds = DEFAULT_SECONDS;
	if (!options->capture_memory)
		options->capture_memory = DEFAULT_MEMORY;
}

static void check_plot(const struct options *options, int argc, char **argv)
{
	static const int known[] = {OPT_PLOT, 0};
	const char *other = other_option(options, known);

	if (options->plot && (other || optind < argc))
		values_refuse(
			"%s%s: not with --plot: it draws what was measured before, and nothing else at the same time",
			other ? "--" : "", other ? other : argv[optind]);
}

/* What goes with --report, and what it measures if nobody says. */
static void check_report(struct options *options)
{
	static const int known[] = {OPT_REPORT, OPT_REPLAY, OPT_COLD, OPT_FROZEN, OPT_SYNTHETIC,
				    OPT_SEED,   OPT_LIMIT,  'p',      'a',        0};
	const char *other = other_option(options, known);

	if (!options->report)
		return;
	if (other)
		values_refuse("--%s: not with --report, which has no use for it", other);
	if (!options->cold.codec)
		values_tier("--cold", (char[]){DEFAULT_GROUP_ALGORITHM}, &options->cold);
	if (!options->frozen.codec && codec_by_id(CODEC_LZMA))
		values_tier("--frozen", (char[]){"lzma:1"}, &options->frozen);
	else if (!options->frozen.codec)
		values_tier("--frozen", (char[]){"zstd:19"}, &options->frozen);
	if (!options->algorithm_count)
		for_each_item(options, "lz4,zstd:3", values_add_algorithm);
	if (!is_given(options, OPT_LIMIT))
		options->limit = DEFAULT_REPORT_LIMIT / BLOCK;
	/* Times of single pages take no repeats, and no speeds are told. */
	options->repeat = 1;
}

static void check_source(struct options *options, int argc, char **argv)
{
	int sources = (options->pid != 0) + (options->synthetic != 0);

	if (optind < argc) {
		options->file = argv[optind];
		sources++;
	}
	if (optind + 1 < argc)
		values_refuse("%s: one file is enough, %s was given already", argv[optind + 1], options->file);
	if (sources == 0 && !options->replay.trace && !options->report)
		values_refuse("no pages to measure with: name a file of them, --pid PID or --synthetic");
	if (sources > 1)
		values_refuse("pages from several sources: name one of a file, --pid PID and --synthetic");
	if (options->synthetic > options->limit)
		options->limit = options->synthetic;
}

/* What goes with --mix, and what with everything else. */
static void check_mix(struct options *options)
{
	if (options->mix_count && options->churn)
		values_refuse("--churn: not with --mix, which measures requests beside each other only");
	if (options->mix_count && options->request != 1)
		values_refuse("--request: not with --mix, whose requests are for one block");
	if (options->json && !options->mix_count)
		options->churn = true;
}

/* And with --recompress. */
static void check_recompress(const struct options *options)
{
	if (!options->recompress.codec)
		return;
	if (options->mix_count)
		values_refuse("--recompress: not with --mix; measure one after the other");
	if (options->thread_count)
		values_refuse("--threads: not with --recompress, which one thread does");
	if (options->churn || options->request != 1)
		values_refuse("%s: not with --recompress, which measures nothing else",
			      options->churn ? "--churn" : "--request");
}

/* Without pages nothing is compressed. */
static void check_contents(struct options *options, bool has_pages)
{
	struct replay_options *replay = &options->replay;

	if (!has_pages && (replay->algorithm || options->algorithm_count))
		values_refuse("%s: for --replay only with pages, such as --capture-swap makes",
			      replay->algorithm ? "--group-algorithm" : "--algorithm");
	if (options->algorithm_count > 1)
		values_refuse("--algorithm: one, with --replay");
	for (unsigned i = 0; has_pages && i < replay->group_count; i++)
		if (replay->group[i] > GROUP_BLOCKS)
			values_refuse("--group %u: with pages at most %u", replay->group[i], GROUP_BLOCKS);
	if (!replay->algorithm)
		values_group_algorithm(options, (char[]){DEFAULT_GROUP_ALGORITHM});
}

/* And with --cold and --frozen. */
static void check_cold(const struct options *options)
{
	if (!options->cold.codec && !options->frozen.codec)
		return;
	if (options->mix_count || options->recompress.codec)
		values_refuse("--cold and --frozen: not with --mix or --recompress; measure one after the other");
	if (options->thread_count)
		values_refuse("--threads: not with --cold and --frozen, which one thread does");
	if (options->churn || options->request != 1)
		values_refuse("%s: not with --cold and --frozen, which measure nothing else",
			      options->churn ? "--churn" : "--request");
}

/* What goes with --replay. Its lists have at most 16^4 combinations. */
static void check_replay(struct options *options, int argc)
{
	/* Also what check_contents() refuses. */
	static const int known[] = {OPT_REPLAY, OPT_COLD_AFTER,      OPT_GROUP, OPT_CACHE, OPT_READ_RULE,
				    OPT_JSON,   OPT_GROUP_ALGORITHM, 'a',       0};
	static const int with_pages[] = {OPT_REPLAY, OPT_COLD_AFTER,      OPT_GROUP, OPT_CACHE, OPT_READ_RULE,
					 OPT_JSON,   OPT_GROUP_ALGORITHM, 'a',       'p',       OPT_SYNTHETIC,
					 OPT_SEED,   OPT_LIMIT,           OPT_SAVE,  0};
	bool has_pages = options->pid || options->synthetic || optind < argc;
	struct replay_options *replay = &options->replay;
	bool has_lists = replay->cold_after_count || replay->group_count || replay->cache_count || replay->rule_count ||
			 replay->algorithm;

	const char *other;

	if (!replay->trace && has_lists)
		values_refuse(
			"--cold-after, --group, --cache, --read-rule and --group-algorithm are for --replay TRACE");
	/* A report plays it with the default policy alone. */
	if (!replay->trace || options->report)
		return;
	if (options->mix_count || options->recompress.codec || options->churn || options->cold.codec ||
	    options->frozen.codec)
		values_refuse(
			"--replay: not with --mix, --recompress, --cold, --frozen or --churn; measure one after the other");
	other = other_option(options, has_pages ? with_pages : known);
	if (other)
		values_refuse("--%s: not with --replay%s, which has no use for it", other,
			      has_pages ? "" : " without pages");
	if (!replay->cold_after_count)
		values_add_cold_after(options, (char[]){"15m"});
	if (!replay->group_count)
		values_add_group(options, (char[]){"16"});
	if (!replay->cache_count)
		values_add_cache(options, (char[]){"16"});
	if (!replay->rule_count)
		values_add_read_rule(options, (char[]){"stay"});
	check_contents(options, has_pages);
	if (replay->cold_after_count * replay->group_count * replay->cache_count * replay->rule_count >
	    REPLAY_SETTINGS_MAX)
		values_refuse("--replay: these lists have more than %u combinations", REPLAY_SETTINGS_MAX);
}

void options_parse(struct options *options, int argc, char **argv)
{
	int option;

	*options = (struct options){
		.repeat = 5,
		.limit = DEFAULT_LIMIT / BLOCK,
		.seed = 1,
		.request = 1,
		.words = (const char *const *)argv,
	};
	while ((option = getopt_long(argc, argv, "p:a:t:r:hV", long_options, NULL)) != -1)
		take_option(options, option);
	check_plot(options, argc, argv);
	check_capture(options, argc, argv);
	check_report(options);
	check_replay(options, argc);
	if (!options->capture && !options->plot)
		check_source(options, argc, argv);
	check_recompress(options);
	check_cold(options);
	check_mix(options);
	if (!options->algorithm_count)
		for_each_item(options, options->cold.codec || options->frozen.codec ? "lz4" : DEFAULT_ALGORITHMS,
			      values_add_algorithm);
	if (!options->thread_count)
		values_add_threads(options, (char[]){"1"});
}
