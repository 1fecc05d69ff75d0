/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of org.zsblk.Device that change the device. What can wait, for memory or the kernel, is an errand: control_errand.h. */
#include "host/control_errand.h"
#include "host/control_methods.h"

#include "host/host.h"
#include "host/jobs.h"
#include "host/memo.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

/* ------------------------------------------------------------------ errands */

struct algorithm {
	char name[16];
	bool has_level;
	int level;
};

static int change_algorithm(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	const struct algorithm *algorithm = memory;

	return zsblk_set_algorithm(dev, algorithm->name, algorithm->has_level, algorithm->level, why);
}

const char *control_algorithms(void)
{
	return zsblk_algorithm_by_name("lzma") ? "lz4, lz4hc, zstd or lzma" : "lz4, lz4hc or zstd";
}

enum varlink_result control_set_algorithm(void *opaque, struct varlink_call *call)
{
	const char *name = varlink_string(call, "algorithm");
	struct algorithm algorithm = {.has_level = false};
	int64_t level = 0;
	bool done;

	algorithm.has_level = varlink_int(call, "level", &level);
	algorithm.level = (int)level;
	if (!zsblk_algorithm_by_name(name) || algorithm.level != level) {
		bool is_there = zsblk_algorithm_by_name(name);

		varlink_refuse(call, "Refused", "algorithm %.40s, level %" PRId64 ": there is no such %s%s", name,
			       level, is_there ? "level; --help lists those there are" : "algorithm; use ",
			       is_there ? "" : control_algorithms());
		return VARLINK_DONE;
	}
	snprintf(algorithm.name, sizeof algorithm.name, "%s", name);
	return control_errand(opaque, call, change_algorithm, &algorithm, sizeof algorithm, &done);
}

struct size {
	const struct host *host;
	uint64_t bytes;
	bool clients_know;
};

/* Keep clients away who would go on with the larger size. 0 or a negative errno with the reason. */
static int claim_for_shrinking(const struct host *host, struct zsblk_why *why)
{
	if (!host->params->inherited)
		return host->claim(why);
	snprintf(
		why->text, sizeof why->text,
		"the kernel uses this device, and has to be told of the size first; have zsblkd do both: zsblkctl resize "
		"NAME SIZE");
	return -EBUSY;
}

static int change_size(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	const struct size *size = memory;
	const struct host *host = size->host;
	bool claims = size->bytes < zsblk_size(dev) && !size->clients_know && !host->resize && host->claim;
	int r = claims ? claim_for_shrinking(host, why) : 0;

	if (r)
		return r;
	r = host->resize ? host->resize(dev, size->bytes, why) : zsblk_resize(dev, size->bytes, why);
	if (claims)
		host->unclaim();
	return r;
}

enum varlink_result control_resize(void *opaque, struct varlink_call *call)
{
	struct size size = {.host = opaque};
	int64_t bytes = 0;
	bool done;

	varlink_int(call, "size", &bytes);
	if (bytes <= 0 || bytes % ZSBLK_BLOCK_SIZE) {
		varlink_refuse(call, "Refused", "a size of %" PRId64 " bytes makes no sense; give a multiple of %u",
			       bytes, ZSBLK_BLOCK_SIZE);
		return VARLINK_DONE;
	}
	size.bytes = (uint64_t)bytes;
	varlink_bool(call, "clients_know", &size.clients_know);
	return control_errand(opaque, call, change_size, &size, sizeof size, &done);
}

static int change_reserve(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	const uint64_t *bytes = memory;

	return zsblk_set_reserve(dev, *bytes, why);
}

enum varlink_result control_set_reserve(void *opaque, struct varlink_call *call)
{
	int64_t bytes = 0;
	bool done;

	varlink_int(call, "bytes", &bytes);
	if (bytes < 0) {
		varlink_refuse(call, "Refused", "a reserve of %" PRId64 " bytes makes no sense; 0 stands for none",
			       bytes);
		return VARLINK_DONE;
	}
	return control_errand(opaque, call, change_reserve, &bytes, sizeof bytes, &done);
}

static int mark_idle(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	uint64_t *number = memory;

	(void)why;
	return zsblk_mark_idle(dev, *number, number);
}

enum varlink_result control_mark_idle(void *opaque, struct varlink_call *call)
{
	int64_t number = 0;
	struct json_object *out;
	enum varlink_result result;
	bool done;

	varlink_int(call, "older_than_s", &number);
	if (number < 0) {
		varlink_refuse(call, "Refused", "%" PRId64 " seconds make no sense; 0 marks all blocks", number);
		return VARLINK_DONE;
	}
	/* An age on its way in, a number of blocks on its way out. */
	result = control_errand(opaque, call, mark_idle, &number, sizeof number, &done);
	if (done) {
		out = json_object_new_object();
		varlink_add_int(out, "blocks", (uint64_t)number);
		varlink_reply(call, out);
	}
	return result;
}

static int reset(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	const struct host *const *host = memory;
	int r = (*host)->claim ? (*host)->claim(why) : 0;

	if (r)
		return r;
	zsblk_reset(dev);
	if ((*host)->unclaim)
		(*host)->unclaim();
	return 0;
}

enum varlink_result control_reset(void *opaque, struct varlink_call *call)
{
	bool done;

	return control_errand(opaque, call, reset, &opaque, sizeof opaque, &done);
}

/* ------------------------------------------------------------------ at once */

enum varlink_result control_set_memory_limit(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	int64_t bytes = 0;

	varlink_int(call, "bytes", &bytes);
	if (bytes < 0)
		varlink_refuse(call, "Refused", "a limit of %" PRId64 " bytes makes no sense; 0 stands for none",
			       bytes);
	else
		zsblk_set_mem_limit(host->device, (uint64_t)bytes);
	return VARLINK_DONE;
}

enum varlink_result control_set_background_cpu(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	char given[MEMO_VALUE_MAX], now[MEMO_VALUE_MAX];
	int64_t percent = 0;

	varlink_int(call, "percent", &percent);
	if (percent < 1 || percent > 100) {
		varlink_refuse(call, "Refused", "%" PRId64 " is no share of a processor; give 1 to 100 percent",
			       percent);
		return VARLINK_DONE;
	}
	jobs_set_cpu(host->jobs, (unsigned)percent);
	snprintf(given, sizeof given, "%u", host->params->background_cpu);
	snprintf(now, sizeof now, "%" PRId64, percent);
	if (memo_note(host->device, "background-cpu", given, now))
		host->say(HOST_ERROR, "there is no room to note background-cpu for the next server");
	return VARLINK_DONE;
}

enum varlink_result control_reset_peak(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;

	zsblk_reset_mem_used_max(host->device);
	return VARLINK_DONE;
}
