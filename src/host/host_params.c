/* SPDX-License-Identifier: BSD-3-Clause */
/* The parameters of a server: parsers, the table of keys, help. See host_params.h. */
#include "host/host_params.h"

#include "host/host.h"
#include "host/jobs.h"
#include "host/refuse.h"
#include "text/number.h"
#include "text/size.h"
#include "varlink/socket.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of values, so much is shown: the message needs room for the remedy. */
#define SHOWN "%.100s"

static int no_memory(struct zsblk_why *why)
{
	return host_refuse(why, -ENOMEM, "no memory");
}

/* ------------------------------------------------------------------ one parser for each kind of value */

static int parse_size(const char *key, const char *value, uint64_t *size, struct zsblk_why *why)
{
	if (size_parse(value, size) == 0)
		return 0;
	return host_refuse(why, -EINVAL,
			   "%s=" SHOWN
			   " is not a size; give a number of bytes, or one with a suffix such as 512M, 2G or 1T",
			   key, value);
}

static int set_size(struct host_params *params, const char *value, struct zsblk_why *why)
{
	return parse_size("size", value, &params->engine.size, why);
}

static int set_max_size(struct host_params *params, const char *value, struct zsblk_why *why)
{
	return parse_size("max-size", value, &params->engine.max_size, why);
}

static int set_algorithm(struct host_params *params, const char *value, struct zsblk_why *why)
{
	(void)why;
	params->engine.algorithm = value;
	return 0;
}

static int set_level(struct host_params *params, const char *value, struct zsblk_why *why)
{
	char *end;
	long level;

	errno = 0;
	/* In the bases that nbdkit's own numbers may have. */
	level = strtol(value, &end, 0);
	if (errno || end == value || *end || level < INT_MIN || level > INT_MAX)
		return host_refuse(why, -EINVAL,
				   "level=" SHOWN " is not a whole number; --help lists the levels of each algorithm",
				   value);
	params->engine.level = (int)level;
	params->engine.has_level = true;
	return 0;
}

static int set_mem_limit(struct host_params *params, const char *value, struct zsblk_why *why)
{
	return parse_size("mem-limit", value, &params->engine.mem_limit, why);
}

static int set_memory(struct host_params *params, const char *value, struct zsblk_why *why)
{
	(void)why;
	params->engine.memory = value;
	return 0;
}

static int set_reserve(struct host_params *params, const char *value, struct zsblk_why *why)
{
	return parse_size("reserve", value, &params->engine.reserve, why);
}

static int set_lock(struct host_params *params, const char *value, struct zsblk_why *why)
{
	static const char *const modes[] = {[HOST_LOCK_AUTO] = "auto", [HOST_LOCK_YES] = "yes", [HOST_LOCK_NO] = "no"};

	for (int mode = HOST_LOCK_AUTO; mode <= HOST_LOCK_NO; mode++)
		if (strcmp(value, modes[mode]) == 0) {
			params->lock = (enum host_lock)mode;
			params->engine.lock_shared = mode != HOST_LOCK_NO;
			return 0;
		}
	return host_refuse(why, -EINVAL, "lock=" SHOWN " is not understood; use auto, yes or no", value);
}

/* The server may change to / later, when it goes to the background. */
static char *absolute_path(const char *path)
{
	char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0), *absolute = NULL;

	if (path[0] == '/')
		return strdup(path);
	if (folder && asprintf(&absolute, "%s/%s", folder, path) < 0)
		absolute = NULL;
	free(folder);
	return absolute;
}

static int check_stats_path(const char *path, struct zsblk_why *why)
{
	char *copy = strdup(path);
	struct stat st;
	int r = 0;

	if (!copy)
		return no_memory(why);
	/* Whatever file is there is replaced, but a directory cannot be. */
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		r = host_refuse(why, -EISDIR,
				"stats=" SHOWN " is a directory; name a file, such as " SHOWN "/zsblk.stats", path,
				path);
	else if (access(dirname(copy), W_OK | X_OK) < 0)
		r = host_refuse(why, -errno,
				"stats=" SHOWN
				" cannot be written: %s; name a file in a directory that exists and is yours to "
				"write, such as /run",
				path, strerror(errno));
	free(copy);
	return r;
}

static int set_stats(struct host_params *params, const char *value, struct zsblk_why *why)
{
	if (!value[0])
		return host_refuse(why, -EINVAL,
				   "stats= names no file; give one in a directory that is yours to write, such as "
				   "stats=/run/zsblk.stats");
	errno = ENOMEM;
	params->stats_path = absolute_path(value);
	if (!params->stats_path)
		return host_refuse(why, -errno, "stats=" SHOWN ": %s; give a path that begins with /", value,
				   strerror(errno));
	return check_stats_path(params->stats_path, why);
}

static int set_control(struct host_params *params, const char *value, struct zsblk_why *why)
{
	struct varlink_why wrong;
	int r;

	if (!value[0])
		return host_refuse(why, -EINVAL,
				   "control= names no socket; give one in a directory that is yours to write, such as "
				   "control=/run/zsblk.control");
	errno = ENOMEM;
	params->control_path = absolute_path(value);
	if (!params->control_path)
		return host_refuse(why, -errno, "control=" SHOWN ": %s; give a path that begins with /", value,
				   strerror(errno));
	r = varlink_socket_check(params->control_path, &wrong);
	return r ? host_refuse(why, r, "control=" SHOWN ": %s", value, wrong.text) : 0;
}

/*
 * A number is not looked up: that would read /etc/group, and where the root file system is in memory, /etc/group may be swapped out to the
 * very device that this server is to serve.
 */
static int set_control_group(struct host_params *params, const char *value, struct zsblk_why *why)
{
	const struct group *group;
	int64_t number;

	if (number_parse(value, 0, UINT32_MAX - 1, &number) == 0)
		params->control_group = (gid_t)number;
	else if ((group = getgrnam(value)))
		params->control_group = group->gr_gid;
	else
		return host_refuse(
			why, -EINVAL,
			"control-group=" SHOWN " is no group; give a name that getent group lists, or a number", value);
	return 0;
}

static int set_background_cpu(struct host_params *params, const char *value, struct zsblk_why *why)
{
	int64_t percent;

	if (number_parse(value, 1, 100, &percent) < 0)
		return host_refuse(why, -EINVAL,
				   "background-cpu=" SHOWN " is no share of a processor; give 1 to 100 percent", value);
	params->background_cpu = (unsigned)percent;
	return 0;
}

/* One setter for each key of cold_settings.h, which knows what is right. */
#define COLD_KEY(name, key)                                                                                            \
	static int set_##name(struct host_params *params, const char *value, struct zsblk_why *why)                    \
	{                                                                                                              \
		return cold_settings_set(&params->cold, key, value, why);                                              \
	}
COLD_KEY(cold, "cold")
COLD_KEY(cold_after, "cold-after")
COLD_KEY(cold_algorithm, "cold-algorithm")
COLD_KEY(frozen_after, "frozen-after")
COLD_KEY(frozen_algorithm, "frozen-algorithm")
COLD_KEY(cold_rate, "cold-rate")
COLD_KEY(cold_budget, "cold-budget")

/* ------------------------------------------------------------------ all of them */

/* Adds lines to a text of help: as snprintf() does. */
typedef int add_help_fn(char *text, size_t size);

static int add_algorithms(char *text, size_t size)
{
	const struct zsblk_algorithm *algorithm;
	int n = snprintf(text, size, "algorithm=<NAME>     How blocks are compressed (default %s):\n",
			 zsblk_algorithm(0)->name);

	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)) && n >= 0 && (size_t)n < size; i++)
		n += snprintf(text + n, size - (size_t)n, "%21s%-5s %s (default %d)\n", "", algorithm->name,
			      algorithm->summary, algorithm->level_default);
	return n;
}

/*
 * What a value may be beyond its form, the engine knows: zsblk_params_check(). It is asked when all are given, since
 * the bounds of one depend on others.
 */
static const struct key {
	const char *name;
	int (*set)(struct host_params *params, const char *value, struct zsblk_why *why);
	const char *help;
	add_help_fn *add_help; /* in place of `help`, where that depends on what there is */
} keys[] = {
	/* clang-format off */
	{"size", set_size,
	 "size=<SIZE>          (required) Size of the device, a multiple of 4096, up to 16T\n", NULL},
	{"max-size", set_max_size,
	 "max-size=<SIZE>      Largest size that the device can be given later (default: its size)\n", NULL},
	{"algorithm", set_algorithm, NULL, add_algorithms},
	{"level", set_level,
	 "level=<N>            Level of the algorithm, in the range above\n", NULL},
	{"mem-limit", set_mem_limit,
	 "mem-limit=<SIZE>     Most memory for stored blocks (default 0: no limit)\n", NULL},
	{"memory", set_memory,
	 "memory=anon          Keep everything in the process's own memory (default)\n"
	 "memory=shm:<KEY>     ... in a System V shared memory segment, which outlives the server;\n"
	 "                     locked (SHM_LOCK: takes CAP_IPC_LOCK) unless lock=no\n"
	 "memory=shm:id=<N>    ... in an existing segment, as ipcs -m prints it\n", NULL},
	{"reserve", set_reserve,
	 "reserve=<SIZE>       Memory kept ready ahead of demand (default 16M, less on small devices)\n", NULL},
	{"lock", set_lock,
	 "lock=auto|yes|no     Lock memory on fault (takes CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK),\n"
	 "                     set the I/O flusher flag and keep the OOM killer away (take\n"
	 "                     CAP_SYS_RESOURCE): what can be had (default), all or fail, nothing\n", NULL},
	{"stats", set_stats,
	 "stats=<FILE>         Keep statistics in this file\n", NULL},
	{"control", set_control,
	 "control=<SOCKET>     Answer zsblkctl and others on this Unix socket\n", NULL},
	{"control-group", set_control_group,
	 "control-group=<GROUP>\n"
	 "                     Let members of this group look there; root and the server's user may change things\n", NULL},
	{"background-cpu", set_background_cpu,
	 "background-cpu=<N>   Percent of a processor for jobs asked for there, and for cold=yes (default 10)\n", NULL},
	{"cold", set_cold,
	 "cold=yes|no          Pack blocks that nobody uses into groups, in the background (default no)\n", NULL},
	{"cold-after", set_cold_after,
	 "cold-after=<AGE>     ... when they were not used for so long: 90s, 15m, 4h, 2d (default 15m)\n", NULL},
	{"cold-algorithm", set_cold_algorithm,
	 "cold-algorithm=<NAME[:LEVEL]>\n"
	 "                     ... with this algorithm (default zstd:9)\n", NULL},
	{"frozen-after", set_frozen_after,
	 "frozen-after=<AGE>   ... and more tightly after so long, or never (default 16 times cold-after)\n", NULL},
	{"frozen-algorithm", set_frozen_algorithm,
	 "frozen-algorithm=<NAME[:LEVEL]>\n"
	 "                     ... with this one (default lzma:1)\n", NULL},
	{"cold-rate", set_cold_rate,
	 "cold-rate=<SIZE>     Most data that is packed in a second (default 0: any)\n", NULL},
	{"cold-budget", set_cold_budget,
	 "cold-budget=<SIZE>   Most data that is packed in 24 hours (default 0: any)\n", NULL},
	/* clang-format on */
};
#define N_KEYS (sizeof keys / sizeof keys[0])
_Static_assert(N_KEYS <= 8 * sizeof((struct host_params *)0)->given, "host_params.given has a bit for each");

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static unsigned key_bit(const struct key *key)
{
	return 1u << (key - keys);
}

static bool is_given(const struct host_params *params, const char *name)
{
	return params->given & key_bit(find_key(name));
}

static int unknown_key(const char *name, const char *value, struct zsblk_why *why)
{
	char names[240];
	size_t n = 0;

	for (size_t i = 0; i < N_KEYS && n < sizeof names; i++)
		n += (size_t)snprintf(names + n, sizeof names - n, "%s%s",
				      i == 0 ? "" : (i == N_KEYS - 1 ? " or " : ", "), keys[i].name);
	return host_refuse(why, -ENOENT, "parameter %.30s=%.30s is not known; use %s", name, value, names);
}

void host_params_init(struct host_params *params)
{
	*params = (struct host_params){
		.lock = HOST_LOCK_AUTO, .control_group = VARLINK_NO_GROUP, .background_cpu = JOBS_CPU_DEFAULT};
	zsblk_params_init(&params->engine);
	cold_settings_init(&params->cold);
}

void host_params_free(struct host_params *params)
{
	free(params->stats_path);
	free(params->control_path);
	free(params->inherited);
	params->stats_path = params->control_path = params->inherited = NULL;
}

int host_params_set(struct host_params *params, const char *key, const char *value, struct zsblk_why *why)
{
	const struct key *known = find_key(key);

	if (!known)
		return unknown_key(key, value, why);
	if (params->given & key_bit(known))
		return host_refuse(why, -EINVAL, "%s is given twice, the second time as " SHOWN "; give it once", key,
				   value);
	params->given |= key_bit(known);
	return known->set(params, value, why);
}

static int take_line(struct host_params *params, char *line, struct zsblk_why *why)
{
	char *value = strchr(line, '=');
	const struct key *known;

	if (!value)
		return 0;
	*value++ = '\0';
	known = find_key(line);
	return known && !is_given(params, line) ? host_params_set(params, line, value, why) : 0;
}

static int take_inherited(struct host_params *params, struct zsblk_why *why)
{
	const char *text = getenv(HOST_PARAMS_VARIABLE);
	char *rest, *line;
	int r = 0;

	if (!text || params->inherited)
		return 0;
	rest = params->inherited = strdup(text);
	if (!rest)
		return no_memory(why);
	while (!r && (line = strsep(&rest, "\n")))
		r = take_line(params, line, why);
	return r;
}

int host_params_complete(struct host_params *params, struct zsblk_why *why)
{
	int r = take_inherited(params, why);

	if (r)
		return r;
	if (!is_given(params, "size"))
		return host_refuse(why, -EINVAL,
				   "size is missing; say how large the device is to be, for example size=2G");
	if (is_given(params, "control-group") && !is_given(params, "control"))
		return host_refuse(why, -EINVAL,
				   "control-group is given without control; say where the socket is to be, for example "
				   "control=/run/zsblk.control");
	params->engine.reserve_by_default = !is_given(params, "reserve");
	if (params->engine.reserve_by_default)
		params->engine.reserve = host_default_reserve(&params->engine);
	if (!is_given(params, "frozen-after"))
		cold_settings_default_frozen(&params->cold);
	r = zsblk_params_check(&params->engine, why);
	return r ? r : cold_settings_check(&params->cold, why);
}

/* ------------------------------------------------------------------ help */

const char *host_params_help(void)
{
	static char text[4096];
	size_t n = 0;

	for (size_t i = 0; i < N_KEYS && n < sizeof text; i++)
		n += (size_t)(keys[i].add_help ? keys[i].add_help(text + n, sizeof text - n)
					       : snprintf(text + n, sizeof text - n, "%s", keys[i].help));
	return text;
}
