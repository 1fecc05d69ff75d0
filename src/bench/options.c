/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line. Each message says what was wrong, with which value, and what would be right. */
#include "bench/bench.h"

#include "codec/group.h"
#include "text/duration.h"
#include "text/number.h"
#include "text/size.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_GROUP_ALGORITHM "zstd:9"
#define DEFAULT_SYNTHETIC       (UINT64_C(256) << 20)
#define DEFAULT_LIMIT           (UINT64_C(1) << 30)
#define MAX_BYTES               (UINT64_C(1) << 40)
#define MAX_REQUEST             (UINT64_C(1) << 20)
#define MAX_REPEAT              1000
#define MAX_AGE_S               (365u * 86400)
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

__attribute__((noreturn, format(printf, 1, 2))) static void refuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("zsblk-bench: ", stderr);
	vfprintf(stderr, format, args);
	fputs("\nTry 'zsblk-bench --help'.\n", stderr);
	va_end(args);
	exit(1);
}

static int64_t number(const char *option, const char *text, int64_t min, int64_t max)
{
	int64_t value;

	if (number_parse(text, min, max, &value) < 0)
		refuse("%s %s: a number from %" PRId64 " to %" PRId64 " is needed", option, text, min, max);
	return value;
}

static uint64_t size(const char *option, const char *text, uint64_t max)
{
	uint64_t bytes;

	if (size_parse(text, &bytes) < 0 || !bytes || bytes > max || bytes % BLOCK)
		refuse("%s %s: a multiple of %u bytes, at most %" PRIu64 " MiB, is needed, such as 4K or 1M", option,
		       text, BLOCK, max >> 20);
	return bytes;
}

/* NAME or NAME:LEVEL. */
static void take_choice(const char *option, char *item, struct choice *choice)
{
	char *level = strchr(item, ':');

	if (level)
		*level++ = '\0';
	choice->codec = codec_by_name(item);
	if (!choice->codec)
		refuse("%s %s: there is no such algorithm; there are lz4, lz4hc%s", option, item,
		       codec_by_id(CODEC_LZMA) ? ", zstd and lzma" : " and zstd");
	choice->level = choice->codec->level_default;
	if (level) {
		char what[64];

		snprintf(what, sizeof what, "%s %s, level", option, item);
		choice->level = (int)number(what, level, choice->codec->level_min, choice->codec->level_max);
	}
}

/* An algorithm that makes groups. */
static void take_tier(const char *option, char *item, struct choice *choice)
{
	take_choice(option, item, choice);
	if (!group_is_possible(choice->codec))
		refuse("%s %s: it is for single blocks only; use zstd%s", option, choice->codec->name,
		       codec_by_id(CODEC_LZMA) ? " or lzma" : "");
}

static void add_algorithm(struct options *options, char *item)
{
	if (options->algorithm_count == ALGORITHMS_MAX)
		refuse("--algorithm: more than %u algorithms", ALGORITHMS_MAX);
	take_choice("--algorithm", item, &options->algorithms[options->algorithm_count++]);
}

static void add_threads(struct options *options, char *item)
{
	unsigned threads = (unsigned)number("--threads", item, 1, THREADS_MAX);

	if (options->thread_count == TEAMS_MAX)
		refuse("--threads: more than %u numbers", TEAMS_MAX);
	options->threads[options->thread_count++] = threads;
	if (threads > options->threads_max)
		options->threads_max = threads;
}

static void add_mix(struct options *options, char *item)
{
	int mix = mix_by_name(item);

	if (mix < 0)
		refuse("--mix %s: there is no such mix; there are raw, same, hot-block, overwrite and read-beside-writer",
		       item);
	for (unsigned i = 0; i < options->mix_count; i++)
		if (options->mixes[i] == (enum mix)mix)
			refuse("--mix %s: once is enough; use --repeat for more passes", item);
	options->mixes[options->mix_count++] = (enum mix)mix;
}

static void check_room(const char *option, unsigned count)
{
	if (count == REPLAY_LIST_MAX)
		refuse("%s: more than %u values", option, REPLAY_LIST_MAX);
}

static void add_cold_after(struct options *options, char *item)
{
	struct replay_options *replay = &options->replay;
	uint64_t seconds;

	check_room("--cold-after", replay->cold_after_count);
	if (duration_parse(item, &seconds) < 0 || !seconds || seconds > MAX_AGE_S)
		refuse("--cold-after %s: a time is needed, such as 90 (seconds), 15m, 4h or 2d, at most %ud", item,
		       MAX_AGE_S / 86400);
	replay->cold_after_s[replay->cold_after_count++] = seconds;
}

static void add_group(struct options *options, char *item)
{
	struct replay_options *replay = &options->replay;

	check_room("--group", replay->group_count);
	replay->group[replay->group_count++] = (unsigned)number("--group", item, 2, TIERS_GROUP_MAX);
}

static void add_cache(struct options *options, char *item)
{
	struct replay_options *replay = &options->replay;

	check_room("--cache", replay->cache_count);
	replay->cache[replay->cache_count++] = (unsigned)number("--cache", item, 1, TIERS_CACHE_MAX);
}

static void add_read_rule(struct options *options, char *item)
{
	struct replay_options *replay = &options->replay;
	int rule = tiers_rule_by_name(item);

	check_room("--read-rule", replay->rule_count);
	if (rule < 0)
		refuse("--read-rule %s: there is no such rule; there are stay, second and out", item);
	replay->rule[replay->rule_count++] = (enum tiers_rule)rule;
}

static void take_group_algorithm(struct options *options, char *item)
{
	struct choice choice;

	take_tier("--group-algorithm", item, &choice);
	options->replay.algorithm = choice.codec;
	options->replay.level = choice.level;
}

static void for_each_item(struct options *options, const char *list, void (*add)(struct options *options, char *item))
{
	char *copy = strdup(list), *rest = copy, *item;

	if (!copy)
		refuse("no memory");
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
	case OPT_CAPTURE:
		options->capture = optarg;
		return true;
	case OPT_SECONDS:
		options->capture_seconds = (uint64_t)number("--seconds", optarg, 1, MAX_SECONDS);
		return true;
	case OPT_MEMORY:
		options->capture_memory = size("--memory", optarg, MAX_BYTES);
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
		for_each_item(options, optarg, add_cold_after);
		return true;
	case OPT_GROUP:
		for_each_item(options, optarg, add_group);
		return true;
	case OPT_CACHE:
		for_each_item(options, optarg, add_cache);
		return true;
	case OPT_READ_RULE:
		for_each_item(options, optarg, add_read_rule);
		return true;
	case OPT_GROUP_ALGORITHM:
		take_group_algorithm(options, optarg);
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
		for_each_item(options, optarg, add_mix);
		return true;
	case OPT_RECOMPRESS:
		take_choice("--recompress", optarg, &options->recompress);
		return true;
	case OPT_COLD:
		take_tier("--cold", optarg, &options->cold);
		return true;
	case OPT_FROZEN:
		take_tier("--frozen", optarg, &options->frozen);
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
		options->pid = (int)number("--pid", optarg, 1, INT_MAX);
		break;
	case OPT_SYNTHETIC:
		options->synthetic = (optarg ? size("--synthetic", optarg, MAX_BYTES) : DEFAULT_SYNTHETIC) / BLOCK;
		break;
	case 'a':
		for_each_item(options, optarg, add_algorithm);
		break;
	case 't':
		for_each_item(options, optarg, add_threads);
		break;
	case 'r':
		options->repeat = (unsigned)number("--repeat", optarg, 1, MAX_REPEAT);
		break;
	case OPT_REQUEST:
		options->request = (unsigned)(size("--request", optarg, MAX_REQUEST) / BLOCK);
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
		options->limit = size("--limit", optarg, MAX_BYTES) / BLOCK;
		break;
	case OPT_SEED:
		options->seed = (uint64_t)number("--seed", optarg, 0, INT64_MAX);
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

/* What goes with --capture-swap. Words that are no options are the command. */
static void check_capture(struct options *options, int argc, char **argv)
{
	static const int known[] = {OPT_CAPTURE, OPT_SECONDS, OPT_MEMORY, OPT_LIMIT, OPT_JSON, 0};
	bool has_others = options->capture_seconds || options->capture_memory;
	const char *other = other_option(options, known);

	if (!options->capture && has_others)
		refuse("--seconds and --memory are for --capture-swap FILE");
	if (!options->capture)
		return;
	if (other)
		refuse("--%s: not with --capture-swap: it captures, and measures nothing; measure the file then",
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
		refuse("%s%s: not with --plot: it draws what was measured before, and nothing else at the same time",
		       other ? "--" : "", other ? other : argv[optind]);
}

static void check_source(struct options *options, int argc, char **argv)
{
	int sources = (options->pid != 0) + (options->synthetic != 0);

	if (optind < argc) {
		options->file = argv[optind];
		sources++;
	}
	if (optind + 1 < argc)
		refuse("%s: one file is enough, %s was given already", argv[optind + 1], options->file);
	if (sources == 0 && !options->replay.trace)
		refuse("no pages to measure with: name a file of them, --pid PID or --synthetic");
	if (sources > 1)
		refuse("pages from several sources: name one of a file, --pid PID and --synthetic");
	if (options->synthetic > options->limit)
		options->limit = options->synthetic;
}

/* What goes with --mix, and what with everything else. */
static void check_mix(struct options *options)
{
	if (options->mix_count && options->churn)
		refuse("--churn: not with --mix, which measures requests beside each other only");
	if (options->mix_count && options->request != 1)
		refuse("--request: not with --mix, whose requests are for one block");
	if (options->json && !options->mix_count)
		options->churn = true;
}

/* And with --recompress. */
static void check_recompress(const struct options *options)
{
	if (!options->recompress.codec)
		return;
	if (options->mix_count)
		refuse("--recompress: not with --mix; measure one after the other");
	if (options->thread_count)
		refuse("--threads: not with --recompress, which one thread does");
	if (options->churn || options->request != 1)
		refuse("%s: not with --recompress, which measures nothing else",
		       options->churn ? "--churn" : "--request");
}

/* Without pages nothing is compressed. */
static void check_contents(struct options *options, bool has_pages)
{
	struct replay_options *replay = &options->replay;

	if (!has_pages && (replay->algorithm || options->algorithm_count))
		refuse("%s: for --replay only with pages, such as --capture-swap makes",
		       replay->algorithm ? "--group-algorithm" : "--algorithm");
	if (options->algorithm_count > 1)
		refuse("--algorithm: one, with --replay");
	for (unsigned i = 0; has_pages && i < replay->group_count; i++)
		if (replay->group[i] > GROUP_BLOCKS)
			refuse("--group %u: with pages at most %u", replay->group[i], GROUP_BLOCKS);
	if (!replay->algorithm)
		take_group_algorithm(options, (char[]){DEFAULT_GROUP_ALGORITHM});
}

/* And with --cold and --frozen. */
static void check_cold(const struct options *options)
{
	if (!options->cold.codec && !options->frozen.codec)
		return;
	if (options->mix_count || options->recompress.codec)
		refuse("--cold and --frozen: not with --mix or --recompress; measure one after the other");
	if (options->thread_count)
		refuse("--threads: not with --cold and --frozen, which one thread does");
	if (options->churn || options->request != 1)
		refuse("%s: not with --cold and --frozen, which measure nothing else",
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
		refuse("--cold-after, --group, --cache, --read-rule and --group-algorithm are for --replay TRACE");
	if (!replay->trace)
		return;
	if (options->mix_count || options->recompress.codec || options->churn || options->cold.codec ||
	    options->frozen.codec)
		refuse("--replay: not with --mix, --recompress, --cold, --frozen or --churn; measure one after the other");
	other = other_option(options, has_pages ? with_pages : known);
	if (other)
		refuse("--%s: not with --replay%s, which has no use for it", other, has_pages ? "" : " without pages");
	if (!replay->cold_after_count)
		add_cold_after(options, (char[]){"15m"});
	if (!replay->group_count)
		add_group(options, (char[]){"16"});
	if (!replay->cache_count)
		add_cache(options, (char[]){"16"});
	if (!replay->rule_count)
		add_read_rule(options, (char[]){"stay"});
	check_contents(options, has_pages);
	if (replay->cold_after_count * replay->group_count * replay->cache_count * replay->rule_count >
	    REPLAY_SETTINGS_MAX)
		refuse("--replay: these lists have more than %u combinations", REPLAY_SETTINGS_MAX);
}

void options_parse(struct options *options, int argc, char **argv)
{
	int option;

	*options = (struct options){
		.repeat = 5,
		.limit = DEFAULT_LIMIT / BLOCK,
		.seed = 1,
		.request = 1,
	};
	while ((option = getopt_long(argc, argv, "p:a:t:r:hV", long_options, NULL)) != -1)
		take_option(options, option);
	check_plot(options, argc, argv);
	check_capture(options, argc, argv);
	check_replay(options, argc);
	if (!options->capture && !options->plot)
		check_source(options, argc, argv);
	check_recompress(options);
	check_cold(options);
	check_mix(options);
	if (!options->algorithm_count)
		for_each_item(options, options->cold.codec || options->frozen.codec ? "lz4" : DEFAULT_ALGORITHMS,
			      add_algorithm);
	if (!options->thread_count)
		add_threads(options, (char[]){"1"});
}
