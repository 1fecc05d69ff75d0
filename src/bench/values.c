/* SPDX-License-Identifier: BSD-3-Clause */
/* Values on the command line. See values.h. */
#include "bench/values.h"

#include "codec/group.h"
#include "text/duration.h"
#include "text/number.h"
#include "text/size.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_AGE_S (365u * 86400)

__attribute__((noreturn, format(printf, 1, 2))) void values_refuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("zsblk-bench: ", stderr);
	vfprintf(stderr, format, args);
	fputs("\nTry 'zsblk-bench --help'.\n", stderr);
	va_end(args);
	exit(1);
}

int64_t values_number(const char *option, const char *text, int64_t min, int64_t max)
{
	int64_t value;

	if (number_parse(text, min, max, &value) < 0)
		values_refuse("%s %s: a number from %" PRId64 " to %" PRId64 " is needed", option, text, min, max);
	return value;
}

uint64_t values_size(const char *option, const char *text, uint64_t max)
{
	uint64_t bytes;

	if (size_parse(text, &bytes) < 0 || !bytes || bytes > max || bytes % BLOCK)
		values_refuse("%s %s: a multiple of %u bytes, at most %" PRIu64 " MiB, is needed, such as 4K or 1M",
			      option, text, BLOCK, max >> 20);
	return bytes;
}

void values_choice(const char *option, char *item, struct choice *choice)
{
	char *level = strchr(item, ':');

	if (level)
		*level++ = '\0';
	choice->codec = codec_by_name(item);
	if (!choice->codec)
		values_refuse("%s %s: there is no such algorithm; there are lz4, lz4hc%s", option, item,
			      codec_by_id(CODEC_LZMA) ? ", zstd and lzma" : " and zstd");
	choice->level = choice->codec->level_default;
	if (level) {
		char what[64];

		snprintf(what, sizeof what, "%s %s, level", option, item);
		choice->level = (int)values_number(what, level, choice->codec->level_min, choice->codec->level_max);
	}
}

void values_tier(const char *option, char *item, struct choice *choice)
{
	values_choice(option, item, choice);
	if (!group_is_possible(choice->codec))
		values_refuse("%s %s: it is for single blocks only; use zstd%s", option, choice->codec->name,
			      codec_by_id(CODEC_LZMA) ? " or lzma" : "");
}

void values_add_algorithm(struct options *options, char *item)
{
	if (options->algorithm_count == ALGORITHMS_MAX)
		values_refuse("--algorithm: more than %u algorithms", ALGORITHMS_MAX);
	values_choice("--algorithm", item, &options->algorithms[options->algorithm_count++]);
}

void values_add_threads(struct options *options, char *item)
{
	unsigned threads = (unsigned)values_number("--threads", item, 1, THREADS_MAX);

	if (options->thread_count == TEAMS_MAX)
		values_refuse("--threads: more than %u numbers", TEAMS_MAX);
	options->threads[options->thread_count++] = threads;
	if (threads > options->threads_max)
		options->threads_max = threads;
}

void values_add_mix(struct options *options, char *item)
{
	int mix = mix_by_name(item);

	if (mix < 0)
		values_refuse(
			"--mix %s: there is no such mix; there are raw, same, hot-block, overwrite and read-beside-writer",
			item);
	for (unsigned i = 0; i < options->mix_count; i++)
		if (options->mixes[i] == (enum mix)mix)
			values_refuse("--mix %s: once is enough; use --repeat for more passes", item);
	options->mixes[options->mix_count++] = (enum mix)mix;
}

static void check_room(const char *option, unsigned count)
{
	if (count == REPLAY_LIST_MAX)
		values_refuse("%s: more than %u values", option, REPLAY_LIST_MAX);
}

void values_add_cold_after(struct options *options, char *item)
{
	struct replay_options *replay = &options->replay;
	uint64_t seconds;

	check_room("--cold-after", replay->cold_after_count);
	if (duration_parse(item, &seconds) < 0 || !seconds || seconds > MAX_AGE_S)
		values_refuse("--cold-after %s: a time is needed, such as 90 (seconds), 15m, 4h or 2d, at most %ud",
			      item, MAX_AGE_S / 86400);
	replay->cold_after_s[replay->cold_after_count++] = seconds;
}

void values_add_group(struct options *options, char *item)
{
	struct replay_options *replay = &options->replay;

	check_room("--group", replay->group_count);
	replay->group[replay->group_count++] = (unsigned)values_number("--group", item, 2, TIERS_GROUP_MAX);
}

void values_add_cache(struct options *options, char *item)
{
	struct replay_options *replay = &options->replay;

	check_room("--cache", replay->cache_count);
	replay->cache[replay->cache_count++] = (unsigned)values_number("--cache", item, 1, TIERS_CACHE_MAX);
}

void values_add_read_rule(struct options *options, char *item)
{
	struct replay_options *replay = &options->replay;
	int rule = tiers_rule_by_name(item);

	check_room("--read-rule", replay->rule_count);
	if (rule < 0)
		values_refuse("--read-rule %s: there is no such rule; there are stay, second and out", item);
	replay->rule[replay->rule_count++] = (enum tiers_rule)rule;
}

void values_group_algorithm(struct options *options, char *item)
{
	struct choice choice;

	values_tier("--group-algorithm", item, &choice);
	options->replay.algorithm = choice.codec;
	options->replay.level = choice.level;
}
