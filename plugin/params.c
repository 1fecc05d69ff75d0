/* SPDX-License-Identifier: BSD-3-Clause */
/* The plugin's parameters. See params.h. */
#include "params.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

/* ------------------------------------------------------------------ one setter for each key */

static int parse_size(const char *key, const char *value, uint64_t *size)
{
	int64_t n = nbdkit_parse_size(value);

	if (n < 0) {
		nbdkit_error("zsblk: %s=%s is not a size; give a number of bytes, or one with a "
			     "suffix such as 512M, 2G or 1T",
			     key, value);
		return -1;
	}
	*size = (uint64_t)n;
	return 0;
}

static int set_size(struct host_params *params, const char *value)
{
	return parse_size("size", value, &params->engine.size);
}

static int set_algorithm(struct host_params *params, const char *value)
{
	params->engine.algorithm = value;
	return 0;
}

static int set_level(struct host_params *params, const char *value)
{
	if (nbdkit_parse_int("level", value, &params->engine.level) < 0) {
		nbdkit_error("zsblk: level=%s is not a whole number; nbdkit zsblk --help lists the "
			     "levels of each algorithm",
			     value);
		return -1;
	}
	params->engine.has_level = true;
	return 0;
}

static int set_mem_limit(struct host_params *params, const char *value)
{
	return parse_size("mem-limit", value, &params->engine.mem_limit);
}

static int set_memory(struct host_params *params, const char *value)
{
	params->engine.memory = value;
	return 0;
}

static int set_reserve(struct host_params *params, const char *value)
{
	return parse_size("reserve", value, &params->engine.reserve);
}

static int set_lock(struct host_params *params, const char *value)
{
	static const char *const modes[] = {[HOST_LOCK_AUTO] = "auto", [HOST_LOCK_YES] = "yes", [HOST_LOCK_NO] = "no"};

	for (int mode = HOST_LOCK_AUTO; mode <= HOST_LOCK_NO; mode++)
		if (strcmp(value, modes[mode]) == 0) {
			params->lock = (enum host_lock)mode;
			params->engine.lock_shared = mode != HOST_LOCK_NO;
			return 0;
		}
	nbdkit_error("zsblk: lock=%s is not understood; use auto, yes or no", value);
	return -1;
}

static int check_stats_path(const char *path)
{
	char *copy = strdup(path);
	int r = copy ? access(dirname(copy), W_OK | X_OK) : -1;
	struct stat st;

	/* Whatever file is there is replaced, but a directory cannot be. */
	if (copy && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		nbdkit_error("zsblk: stats=%s is a directory; name a file, such as %s/zsblk.stats", path, path);
		r = -1;
	} else if (r < 0)
		nbdkit_error("zsblk: stats=%s cannot be written: %s; name a file in a directory that "
			     "exists and is yours to write, such as /run",
			     path, strerror(errno));
	free(copy);
	return r;
}

static int set_stats(struct host_params *params, const char *value)
{
	/* The server changes to / when it goes to the background. */
	params->stats_path = nbdkit_absolute_path(value);
	return params->stats_path ? check_stats_path(params->stats_path) : -1;
}

/* ------------------------------------------------------------------ all of them */

static struct parameter {
	const char *key;
	int (*set)(struct host_params *params, const char *value);
	bool given;
} parameters[] = {
	/* clang-format off */
	{"size", set_size, false},
	{"algorithm", set_algorithm, false},
	{"level", set_level, false},
	{"mem-limit", set_mem_limit, false},
	{"memory", set_memory, false},
	{"reserve", set_reserve, false},
	{"lock", set_lock, false},
	{"stats", set_stats, false},
	/* clang-format on */
};
#define N_PARAMETERS (sizeof parameters / sizeof parameters[0])

static struct parameter *find_parameter(const char *key)
{
	for (unsigned i = 0; i < N_PARAMETERS; i++)
		if (strcmp(parameters[i].key, key) == 0)
			return &parameters[i];
	return NULL;
}

void params_init(struct host_params *params)
{
	*params = (struct host_params){.lock = HOST_LOCK_AUTO};
	zsblk_params_init(&params->engine);
}

void params_free(struct host_params *params)
{
	free(params->stats_path);
	params->stats_path = NULL;
}

int params_set(struct host_params *params, const char *key, const char *value)
{
	struct parameter *parameter = find_parameter(key);

	if (!parameter) {
		nbdkit_error("zsblk: parameter %s=%s is not known; use size, algorithm, level, "
			     "mem-limit, memory, reserve, lock or stats",
			     key, value);
		return -1;
	}
	if (parameter->given) {
		nbdkit_error("zsblk: %s is given twice, the second time as %s; give it once", key, value);
		return -1;
	}
	parameter->given = true;
	return parameter->set(params, value);
}

int params_complete(struct host_params *params)
{
	struct zsblk_why why;

	if (!find_parameter("size")->given) {
		nbdkit_error("zsblk: size is missing; say how large the device is to be, for "
			     "example size=2G");
		return -1;
	}
	if (!find_parameter("reserve")->given)
		params->engine.reserve = host_default_reserve(&params->engine);
	if (zsblk_params_check(&params->engine, &why) < 0) {
		nbdkit_error("zsblk: %s", why.text);
		return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------ help */

/* clang-format off */
static const char help_size[] =
	"size=<SIZE>          (required) Size of the device, a multiple of 4096, up to 16T\n";
static const char help_rest[] =
	"level=<N>            Level of the algorithm, in the range above\n"
	"mem-limit=<SIZE>     Most memory for stored blocks (default 0: no limit)\n"
	"memory=anon          Keep everything in the process's own memory (default)\n"
	"memory=shm:<KEY>     ... in a System V shared memory segment, which outlives the server;\n"
	"                     locked (SHM_LOCK: takes CAP_IPC_LOCK) unless lock=no\n"
	"memory=shm:id=<N>    ... in an existing segment, as ipcs -m prints it\n"
	"reserve=<SIZE>       Memory kept ready ahead of demand (default 16M, less on small devices)\n"
	"lock=auto|yes|no     Lock memory on fault (takes CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK),\n"
	"                     set the I/O flusher flag and keep the OOM killer away (take\n"
	"                     CAP_SYS_RESOURCE): what can be had (default), all or fail, nothing\n"
	"stats=<FILE>         Keep statistics in this file\n";
/* clang-format on */

const char *params_help(void)
{
	static char text[4096];
	const struct zsblk_algorithm *algorithm;
	size_t at =
		(size_t)snprintf(text, sizeof text, "%salgorithm=<NAME>     How blocks are compressed (default %s):\n",
				 help_size, zsblk_algorithm(0)->name);

	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)) && at < sizeof text; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%21s%-5s %s (default %d)\n", "", algorithm->name,
				       algorithm->summary, algorithm->level_default);
	if (at < sizeof text)
		snprintf(text + at, sizeof text - at, "%s", help_rest);
	return text;
}
