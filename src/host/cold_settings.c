/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings of the policy: keys, their parsers, and their values as texts. See cold_settings.h. */
#include "host/cold_settings.h"

#include "text/duration.h"
#include "text/number.h"
#include "text/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Ages are known up to 73 days: src/engine/ages.h. */
#define MOST_AGE_S    (UINT64_C(73) * 86400)
#define FROZEN_FACTOR 16u
/* Of values, so much is shown: the message needs room for the remedy. */
#define SHOWN "%.100s"

__attribute__((format(printf, 2, 3))) static int refuse(struct zsblk_why *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (why)
		vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
	return -EINVAL;
}

void cold_settings_init(struct cold_settings *settings)
{
	*settings = (struct cold_settings){
		.cold_after_s = 15 * 60,
		.cold = {"zstd", 9},
		.frozen = {"lzma", 1},
	};
	cold_settings_default_frozen(settings);
}

void cold_settings_default_frozen(struct cold_settings *settings)
{
	bool can = zsblk_algorithm_by_name(settings->frozen.algorithm) &&
		   settings->cold_after_s <= MOST_AGE_S / FROZEN_FACTOR;

	/* Never, where that is beyond what can be known, or there is no such algorithm. */
	settings->frozen_after_s = can ? settings->cold_after_s * FROZEN_FACTOR : 0;
}

/* ------------------------------------------------------------------ one parser for each kind of value */

struct key;

/* Take a value into the member at `place`. */
typedef int take_fn(const struct key *key, const char *value, void *place, struct zsblk_why *why);
typedef void tell_fn(const void *place, char text[COLD_VALUE_BYTES]);

struct key {
	const char *name;
	size_t offset, bytes; /* of the member */
	take_fn *take;
	tell_fn *tell;
};

static int take_switch(const struct key *key, const char *value, void *place, struct zsblk_why *why)
{
	bool *on = place;

	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return refuse(why, "%s=" SHOWN " is not understood; use yes or no", key->name, value);
	*on = value[0] == 'y';
	return 0;
}

static void tell_switch(const void *place, char text[COLD_VALUE_BYTES])
{
	const bool *on = place;

	snprintf(text, COLD_VALUE_BYTES, "%s", *on ? "yes" : "no");
}

static int take_age(const struct key *key, const char *value, void *place, struct zsblk_why *why)
{
	uint64_t seconds, *age = place;

	if (duration_parse(value, &seconds) < 0 || !seconds || seconds > MOST_AGE_S)
		return refuse(why, "%s=" SHOWN " is no age; give one from 1s to 73d, such as 90s, 15m or 4h", key->name,
			      value);
	*age = seconds;
	return 0;
}

static int take_age_or_never(const struct key *key, const char *value, void *place, struct zsblk_why *why)
{
	uint64_t *age = place;

	if (strcmp(value, "never") != 0)
		return take_age(key, value, place, why);
	*age = 0;
	return 0;
}

static void tell_age(const void *place, char text[COLD_VALUE_BYTES])
{
	const uint64_t *age = place;
	char duration[DURATION_BYTES];

	snprintf(text, COLD_VALUE_BYTES, "%s", *age ? duration_text(*age, duration) : "never");
}

const char *cold_settings_algorithms(char text[80])
{
	const struct zsblk_algorithm *algorithm;
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)) && n < 80; i++)
		if (algorithm->makes_groups)
			n += (size_t)snprintf(text + n, 80 - n, "%s%s", n ? " or " : "", algorithm->name);
	return text;
}

/* NAME or NAME:LEVEL */
static int take_codec(const struct key *key, const char *value, void *place, struct zsblk_why *why)
{
	struct cold_codec *codec = place;
	const struct zsblk_algorithm *algorithm;
	const char *colon = strchr(value, ':');
	char name[sizeof codec->algorithm], which[80];
	int64_t level;

	snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - value) : (int)strlen(value), value);
	algorithm = zsblk_algorithm_by_name(name);
	if (!algorithm)
		return refuse(why,
			      "%s=" SHOWN
			      ": there is no such algorithm; give one such as zstd, or zstd:9 for its level 9",
			      key->name, value);
	if (!algorithm->makes_groups)
		return refuse(why, "%s=" SHOWN ": groups cannot be made with %s; give %s", key->name, value, name,
			      cold_settings_algorithms(which));
	level = algorithm->level_default;
	if (colon && number_parse(colon + 1, algorithm->level_min, algorithm->level_max, &level) < 0)
		return refuse(why, "%s=" SHOWN ": %s has no such level; give one from %d to %d, such as %s:%d",
			      key->name, value, name, algorithm->level_min, algorithm->level_max, name,
			      algorithm->level_default);
	strcpy(codec->algorithm, name);
	codec->level = (int)level;
	return 0;
}

static void tell_codec(const void *place, char text[COLD_VALUE_BYTES])
{
	const struct cold_codec *codec = place;

	snprintf(text, COLD_VALUE_BYTES, "%s:%d", codec->algorithm, codec->level);
}

static int take_bytes(const struct key *key, const char *value, void *place, struct zsblk_why *why)
{
	uint64_t *bytes = place;

	if (size_parse(value, bytes) == 0)
		return 0;
	return refuse(why,
		      "%s=" SHOWN " is not a size; give a number of bytes, or one with a suffix such as 512K or 2G",
		      key->name, value);
}

static void tell_bytes(const void *place, char text[COLD_VALUE_BYTES])
{
	const uint64_t *bytes = place;

	snprintf(text, COLD_VALUE_BYTES, "%" PRIu64, *bytes);
}

/* ------------------------------------------------------------------ all of them */

#define MEMBER(member) offsetof(struct cold_settings, member), sizeof((struct cold_settings *)0)->member

static const struct key keys[] = {
	{"cold", MEMBER(on), take_switch, tell_switch},
	{"cold-after", MEMBER(cold_after_s), take_age, tell_age},
	{"cold-algorithm", MEMBER(cold), take_codec, tell_codec},
	{"frozen-after", MEMBER(frozen_after_s), take_age_or_never, tell_age},
	{"frozen-algorithm", MEMBER(frozen), take_codec, tell_codec},
	{"cold-rate", MEMBER(rate), take_bytes, tell_bytes},
	{"cold-budget", MEMBER(budget), take_bytes, tell_bytes},
};
#define KEYS (sizeof keys / sizeof keys[0])

const char *cold_settings_key(unsigned index)
{
	return index < KEYS ? keys[index].name : NULL;
}

int cold_settings_set(struct cold_settings *settings, const char *key, const char *value, struct zsblk_why *why)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].name, key) == 0)
			return keys[i].take(&keys[i], value, (char *)settings + keys[i].offset, why);
	return -ENOENT;
}

const char *cold_settings_value(const struct cold_settings *settings, unsigned index, char text[COLD_VALUE_BYTES])
{
	keys[index].tell((const char *)settings + keys[index].offset, text);
	return text;
}

void cold_settings_copy(struct cold_settings *to, const struct cold_settings *from, unsigned index)
{
	const struct key *key = &keys[index];

	memcpy((char *)to + key->offset, (const char *)from + key->offset, key->bytes);
}

int cold_settings_check(const struct cold_settings *settings, struct zsblk_why *why)
{
	char cold[DURATION_BYTES], frozen[DURATION_BYTES];

	if (settings->frozen_after_s && !zsblk_algorithm_by_name(settings->frozen.algorithm))
		return refuse(
			why,
			"frozen-algorithm=%s: there is no such algorithm here; give another one, or frozen-after=never",
			settings->frozen.algorithm);
	if (!settings->frozen_after_s || settings->frozen_after_s > settings->cold_after_s)
		return 0;
	return refuse(why, "frozen-after=%s is not later than cold-after=%s; give a later one, or never",
		      duration_text(settings->frozen_after_s, frozen), duration_text(settings->cold_after_s, cold));
}
