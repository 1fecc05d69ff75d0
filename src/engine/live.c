/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Live settings: what was changed while the device was in use, and what the next server of the same segment goes on
 * with. Otherwise a change would be lost when a server dies.
 *
 * Whom to believe: a change is made against what the server was told by its parameters, and both are recorded. The next
 * server that is told the same goes on with the change. If it is told something else, somebody has decided anew since:
 * the parameters count, and the change is dropped. Each setting is by itself.
 *
 * The record is in the room of a shared segment (docs/format.md). It is compatible: a zsblk that does not know it does
 * what its parameters say.
 */
#include "engine/engine.h"

#include "segment/super_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* For what was not asked for, and may be another value the next time for that reason. */
#define DEFAULT_LEVEL   INT32_MIN
#define DEFAULT_RESERVE UINT64_MAX

/* As in the segment. */
struct live_record {
	uint32_t changed; /* enum live_setting */
	uint32_t reserved;
	struct live_values now, given;
	char memo[ZSBLK_MEMO_MAX]; /* of the front end: zsblk_set_memo() */
};
_Static_assert(sizeof(struct live_values) == 40 && sizeof(struct live_record) == 88 + ZSBLK_MEMO_MAX, "no padding");
_Static_assert(sizeof(struct live_record) <= SUPER_SETTINGS_COPY - SUPER_RECORD_HEAD, "a copy has room for it");

/* ------------------------------------------------------------------ from one server to the next */

static struct live_values values_of(const struct zsblk_params *params)
{
	struct live_values values = {
		.mem_limit = params->mem_limit,
		.reserve = params->reserve_by_default ? DEFAULT_RESERVE : params->reserve,
		.level = params->has_level ? params->level : DEFAULT_LEVEL,
	};

	snprintf(values.algorithm, sizeof values.algorithm, "%s", params_algorithm_name(params));
	return values;
}

static bool is_algorithm(const struct live_values *values)
{
	return memchr(values->algorithm, '\0', sizeof values->algorithm) &&
	       params_check_algorithm(values->algorithm, true, values->level, NULL) == 0;
}

/* What of the record counts here. */
static uint32_t settings_in_force(const struct live_record *record, const struct live_values *given)
{
	uint32_t settings = 0;

	if (record->given.mem_limit == given->mem_limit)
		settings |= LIVE_MEM_LIMIT;
	if (record->given.reserve == given->reserve)
		settings |= LIVE_RESERVE;
	/* Another version may have had another algorithm. */
	if (strncmp(record->given.algorithm, given->algorithm, sizeof given->algorithm) == 0 &&
	    record->given.level == given->level && is_algorithm(&record->now))
		settings |= LIVE_ALGORITHM;
	return settings & record->changed;
}

static void describe(struct live *live, const struct zsblk_params *params)
{
	size_t n = 0, size = sizeof live->text;

	if (live->changed & LIVE_MEM_LIMIT)
		n += (size_t)snprintf(live->text, size, " mem-limit=%" PRIu64, params->mem_limit);
	if (live->changed & LIVE_RESERVE)
		n += (size_t)snprintf(live->text + n, size - n, " reserve=%" PRIu64, params->reserve);
	if (live->changed & LIVE_ALGORITHM)
		snprintf(live->text + n, size - n, " algorithm=%s level=%d", params->algorithm, params->level);
}

void live_adopt(struct zsblk *dev, struct zsblk_params *params)
{
	const void *place = super_settings(&dev->seg, &dev->layout);
	struct live *live = &dev->live;
	struct live_record record;

	live->given = values_of(params);
	if (!place || !(dev->layout.features.compatible & SUPER_HAS_SETTINGS) ||
	    !super_record_read(place, SUPER_SETTINGS_COPY, &record, sizeof record))
		return;
	live->recorded = record.changed;
	live->changed = settings_in_force(&record, &live->given);
	live->now = record.now;
	/* A version that does not know the memo leaves zeroes. */
	if (memchr(record.memo, '\0', sizeof record.memo))
		memcpy(live->memo, record.memo, sizeof live->memo);
	if (live->changed & LIVE_MEM_LIMIT)
		params->mem_limit = record.now.mem_limit;
	if (live->changed & LIVE_RESERVE)
		params->reserve = record.now.reserve;
	if (live->changed & LIVE_ALGORITHM) {
		params->algorithm = codec_by_name(record.now.algorithm)->name;
		params->level = record.now.level;
		params->has_level = true;
	}
	describe(live, params);
}

void live_drop_algorithm(struct zsblk *dev, struct zsblk_params *params, const struct zsblk_params *given)
{
	params->algorithm = given->algorithm;
	params->level = given->level;
	params->has_level = given->has_level;
	dev->live.changed &= ~(uint32_t)LIVE_ALGORITHM;
	dev->live.text[0] = '\0';
	describe(&dev->live, params);
}

/* ------------------------------------------------------------------ writing */

/* With live_lock. */
static void keep(struct zsblk *dev)
{
	void *place = super_settings(&dev->seg, &dev->layout);
	struct live_record record = {.changed = dev->live.changed, .now = dev->live.now, .given = dev->live.given};

	if (!place)
		return;
	memcpy(record.memo, dev->live.memo, sizeof record.memo);
	super_record_write(place, SUPER_SETTINGS_COPY, &record, sizeof record);
	if (!(dev->layout.features.compatible & SUPER_HAS_SETTINGS))
		super_begin_settings(&dev->seg, &dev->layout);
}

void live_start(struct zsblk *dev)
{
	pthread_mutex_lock(&dev->live_lock);
	if (dev->live.changed != dev->live.recorded)
		keep(dev);
	dev->live.in_service = true;
	pthread_mutex_unlock(&dev->live_lock);
}

void live_note_held(struct zsblk *dev, enum live_setting setting, const struct live_values *values)
{
	struct live_values *now = &dev->live.now;

	if (!dev->live.in_service)
		return;
	switch (setting) {
	case LIVE_MEM_LIMIT:
		now->mem_limit = values->mem_limit;
		break;
	case LIVE_RESERVE:
		now->reserve = values->reserve;
		break;
	case LIVE_ALGORITHM:
		memcpy(now->algorithm, values->algorithm, sizeof now->algorithm);
		now->level = values->level;
		break;
	}
	dev->live.changed |= setting;
	keep(dev);
}

void live_note(struct zsblk *dev, enum live_setting setting, const struct live_values *values)
{
	pthread_mutex_lock(&dev->live_lock);
	live_note_held(dev, setting, values);
	pthread_mutex_unlock(&dev->live_lock);
}

int zsblk_set_memo(struct zsblk *dev, const char *memo)
{
	size_t length = strlen(memo);

	if (length >= ZSBLK_MEMO_MAX)
		return -E2BIG;
	pthread_mutex_lock(&dev->live_lock);
	/* What is behind the end is stored as well, and says nothing. */
	memset(dev->live.memo, 0, sizeof dev->live.memo);
	memcpy(dev->live.memo, memo, length);
	if (dev->live.in_service)
		keep(dev);
	pthread_mutex_unlock(&dev->live_lock);
	return 0;
}

void zsblk_memo(struct zsblk *dev, char memo[ZSBLK_MEMO_MAX])
{
	pthread_mutex_lock(&dev->live_lock);
	memcpy(memo, dev->live.memo, ZSBLK_MEMO_MAX);
	pthread_mutex_unlock(&dev->live_lock);
}

/* ------------------------------------------------------------------ what people see */

const char *zsblk_adopted(const struct zsblk *dev)
{
	return dev->live.text[0] ? dev->live.text + 1 : "";
}
