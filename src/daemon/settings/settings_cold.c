/* SPDX-License-Identifier: BSD-3-Clause */
/* What servers do with cold blocks. See settings_cold.h. */
#include "daemon/settings/settings_cold.h"

#include "daemon/settings/expression.h"
#include "daemon/settings/settings.h"
#include "text/duration.h"
#include "text/number.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ages of blocks are known up to 73 days. */
#define MOST_AGE_S (UINT64_C(73) * 86400)

static int add_line(struct settings *settings, const char *key, const char *value, struct wrong *wrong)
{
	char *lines;

	if (asprintf(&lines, "%s\n%s=%s", settings->cold ? settings->cold : "", key, value) < 0) {
		wrong_say(wrong, "no memory");
		return -ENOMEM;
	}
	free(settings->cold);
	settings->cold = lines;
	return 0;
}

static int set_switch(struct settings *settings, const char *key, const char *value, struct wrong *wrong)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return wrong_say(wrong, "%s = %.80s: yes or no is needed", key, value);
	return add_line(settings, key, value, wrong);
}

static int set_age(struct settings *settings, const char *key, const char *value, struct wrong *wrong)
{
	bool frozen = strcmp(key, "frozen-after") == 0, never = frozen && strcmp(value, "never") == 0;
	uint64_t seconds = 0;

	if (!never && (duration_parse(value, &seconds) < 0 || !seconds || seconds > MOST_AGE_S))
		return wrong_say(wrong, "%s = %.80s: an age from 1s to 73d is needed, such as 90s, 15m or 4h", key,
				 value);
	*(frozen ? &settings->frozen_after : &settings->cold_after) = seconds;
	return add_line(settings, key, value, wrong);
}

/* NAME, NAME:LEVEL, or NAME(level=N) as the key `algorithm` has it. False: it is none of these. */
static bool take_apart(const char *value, char name[16], char level[12])
{
	int end = 0;

	name[0] = level[0] = '\0';
	if (sscanf(value, "%15[a-z0-9]:%11[-0-9]%n", name, level, &end) == 2 && !value[end])
		return true;
	end = 0;
	if (sscanf(value, "%15[a-z0-9] ( level = %11[-0-9] ) %n", name, level, &end) == 2 && end && !value[end])
		return true;
	level[0] = '\0';
	return strcmp(value, name) == 0;
}

static int set_codec(struct settings *settings, const char *key, const char *value, struct wrong *wrong)
{
	char name[16], level[12], text[32];
	bool is_one = take_apart(value, name, level);
	const struct zsblk_algorithm *algorithm = zsblk_algorithm_by_name(name);
	int64_t number;

	if (!is_one || !algorithm)
		return wrong_say(wrong, "%s = %.80s: an algorithm is needed, such as zstd, or zstd:9 for its level 9",
				 key, value);
	/* Servers took it once, and then every group failed. Swap of a file from that time is not to be missing because of it. */
	if (!algorithm->makes_groups)
		return settings_remark(settings, key,
				       "%s = %.80s: groups cannot be made with %s, so the server's default is used; "
				       "leave the line out, or give another algorithm, such as zstd:9",
				       key, value, name);
	if (level[0] && number_parse(level, algorithm->level_min, algorithm->level_max, &number) < 0)
		return wrong_say(wrong, "%s = %.80s: %s has the levels %d to %d", key, value, name,
				 algorithm->level_min, algorithm->level_max);
	snprintf(text, sizeof text, "%s%s%s", name, level[0] ? ":" : "", level);
	return add_line(settings, key, text, wrong);
}

static int set_bytes(struct settings *settings, const char *key, const char *value, struct wrong *wrong)
{
	struct wrong why = {""};
	char text[24];
	uint64_t bytes;

	if (expression_bytes(value, settings->ram_bytes, &bytes, &why) < 0)
		return wrong_say(wrong, "%s = %.360s", key, why.text);
	snprintf(text, sizeof text, "%" PRIu64, bytes);
	return add_line(settings, key, text, wrong);
}

int settings_cold_set(struct settings *settings, const char *key, const char *value, struct wrong *wrong)
{
	static const struct {
		const char *key;
		int (*set)(struct settings *settings, const char *key, const char *value, struct wrong *wrong);
	} keys[] = {
		{"cold", set_switch},       {"cold-after", set_age},         {"cold-algorithm", set_codec},
		{"frozen-after", set_age},  {"frozen-algorithm", set_codec}, {"cold-rate", set_bytes},
		{"cold-budget", set_bytes},
	};

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (strcmp(keys[i].key, key) == 0)
			return keys[i].set(settings, key, value, wrong);
	return -EINVAL;
}
