/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters and algorithms. */
#include "engine/engine.h"

#include "codec/group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ algorithms */

static struct zsblk_algorithm algorithms[CODEC_IDS];
static pthread_once_t algorithms_once = PTHREAD_ONCE_INIT;

static void list_algorithms(void)
{
	const struct codec *codec;

	for (unsigned i = 0; i < CODEC_IDS && (codec = codec_at(i)); i++)
		algorithms[i] = (struct zsblk_algorithm){
			.name = codec->name,
			.summary = codec->summary,
			.level_min = codec->level_min,
			.level_max = codec->level_max,
			.level_default = codec->level_default,
			.makes_groups = group_is_possible(codec),
		};
}

const struct zsblk_algorithm *zsblk_algorithm(unsigned index)
{
	pthread_once(&algorithms_once, list_algorithms);
	return index < CODEC_IDS && algorithms[index].name ? &algorithms[index] : NULL;
}

const struct zsblk_algorithm *zsblk_algorithm_by_name(const char *name)
{
	const struct zsblk_algorithm *algorithm;

	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)); i++)
		if (strcmp(algorithm->name, name) == 0)
			return algorithm;
	return NULL;
}

static void algorithm_names(char *text, size_t size)
{
	const struct zsblk_algorithm *algorithm;
	size_t at = 0;

	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)) && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%s", i ? ", " : "", algorithm->name);
}

void params_describe_codecs(char codecs[SUPER_CODECS][16], unsigned end)
{
	memset(codecs, 0, SUPER_CODECS * sizeof codecs[0]);
	for (unsigned id = 0; id < end; id++)
		if (codec_by_id(id))
			snprintf(codecs[id], sizeof codecs[id], "%s", codec_by_id(id)->name);
}

/* ------------------------------------------------------------------ parameters */

void zsblk_params_init(struct zsblk_params *params)
{
	*params = (struct zsblk_params){
		.algorithm = zsblk_algorithm(0)->name,
		.memory = "anon",
		.lock_shared = true,
	};
}

static int check_max_size(const struct zsblk_params *params, struct zsblk_why *why)
{
	uint64_t most = params->max_size;

	if (most == 0 || (most >= params->size && most <= ZSBLK_MAX_SIZE && most % BLOCK == 0))
		return 0;
	return why_fail(why, -EINVAL,
			"max-size=%" PRIu64 " is out of range; use a multiple of %u from size=%" PRIu64 " to %" PRIu64
			", or 0 for size",
			most, BLOCK, params->size, ZSBLK_MAX_SIZE);
}

static int check_size(uint64_t size, struct zsblk_why *why)
{
	if (size == 0)
		return why_fail(why, -EINVAL, "size is 0; say how large the device is to be, for example size=2G");
	if (size > ZSBLK_MAX_SIZE)
		return why_fail(why, -EINVAL, "size=%" PRIu64 " is too large; the largest device is %" PRIu64 " (16T)",
				size, ZSBLK_MAX_SIZE);
	if (size < BLOCK)
		return why_fail(why, -EINVAL, "size=%" PRIu64 " is too small; the smallest device is %u", size, BLOCK);
	if (size % BLOCK)
		return why_fail(why, -EINVAL,
				"size=%" PRIu64 " is not a multiple of %u; the nearest ones are %" PRIu64
				" and %" PRIu64,
				size, BLOCK, size / BLOCK * BLOCK, (size / BLOCK + 1) * BLOCK);
	return 0;
}

const char *params_algorithm_name(const struct zsblk_params *params)
{
	return params->algorithm ? params->algorithm : zsblk_algorithm(0)->name;
}

int params_check_algorithm(const char *name, bool has_level, int level, struct zsblk_why *why)
{
	const struct zsblk_algorithm *algorithm = zsblk_algorithm_by_name(name);
	char names[100];

	if (!algorithm) {
		algorithm_names(names, sizeof names);
		return why_fail(why, -EINVAL, "algorithm=%s is not known; use one of %s", name, names);
	}
	if (has_level && (level < algorithm->level_min || level > algorithm->level_max))
		return why_fail(why, -EINVAL, "level=%d is out of range for %s; use %d to %d", level, algorithm->name,
				algorithm->level_min, algorithm->level_max);
	return 0;
}

/* Bytes of the largest zspage there is with this chain. */
static uint64_t largest_zspage(unsigned chain)
{
	struct class_rules rules = class_rules_default(chain ? chain : ZS_DEFAULT_CHAIN);
	struct class_geometry classes[ZS_MAX_CLASSES];
	int n = class_table(&rules, classes, ZS_MAX_CLASSES, NULL);
	unsigned pages = 1;

	for (int i = 0; i < n; i++)
		pages = classes[i].pages > pages ? classes[i].pages : pages;
	return (uint64_t)pages * BLOCK;
}

static int check_memory(const struct zsblk_params *params, struct zsblk_why *why)
{
	struct segment_spec spec;
	uint64_t least;

	if (segment_parse(params->memory, &spec))
		return why_fail(why, -EINVAL,
				"memory=%s is not understood; use anon, shm:KEY with a number that is "
				"not 0 (such as shm:0x7a73), or shm:id=N as ipcs prints it",
				params->memory);
	if (params->contexts > ZSBLK_MAX_CONTEXTS)
		return why_fail(why, -EINVAL, "contexts=%u is out of range; use 1 to %u, or 0 for a default",
				params->contexts, ZSBLK_MAX_CONTEXTS);
	if (params->chain > ZS_MAX_CHAIN)
		return why_fail(why, -EINVAL, "chain=%u is out of range; use 1 to %u pages", params->chain,
				ZS_MAX_CHAIN);
	least = largest_zspage(params->chain);
	if (params->mem_limit && params->mem_limit < least)
		return why_fail(why, -EINVAL,
				"mem-limit=%" PRIu64 " is less than one zspage of the largest class; "
				"use at least %" PRIu64 ", or 0 for no limit",
				params->mem_limit, least);
	if (params->mem_limit && params->reserve > params->mem_limit)
		return why_fail(why, -EINVAL,
				"reserve=%" PRIu64 " is more than mem-limit=%" PRIu64
				" lets the pool use; make it smaller",
				params->reserve, params->mem_limit);
	return 0;
}

int zsblk_params_check(const struct zsblk_params *params, struct zsblk_why *why)
{
	int r = check_size(params->size, why);

	if (!r)
		r = check_max_size(params, why);
	if (!r)
		r = params_check_algorithm(params_algorithm_name(params), params->has_level, params->level, why);
	return r ? r : check_memory(params, why);
}
