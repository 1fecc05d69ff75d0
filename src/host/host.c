/* SPDX-License-Identifier: BSD-3-Clause */
/* The host of a device. See host.h. */
#include "host/host.h"

#include "host/cold.h"
#include "host/control.h"
#include "host/jobs.h"
#include "host/memo.h"
#include "host/protect.h"
#include "host/stats_file.h"
#include "host/ticker.h"
#include "host/tracer.h"
#include "process/cgroup.h"
#include "process/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Room for several thousand writes that come at once, and not much memory to lie idle. */
#define RESERVE_DEFAULT (UINT64_C(16) << 20)
/* Seconds between two looks whether the segment was removed. */
#define WATCH_S 5

uint64_t host_default_reserve(const struct zsblk_params *engine)
{
	uint64_t most = engine->mem_limit && engine->mem_limit < engine->size ? engine->mem_limit : engine->size;
	struct cgroup *cgroup = cgroup_open();
	struct cgroup_found found;

	cgroup_look(cgroup, 0, NULL, &found);
	cgroup_close(cgroup);
	if (found.limit < most)
		most = found.limit;
	return most / 16 < RESERVE_DEFAULT ? most / 16 : RESERVE_DEFAULT;
}

/* ------------------------------------------------------------------ what people are told */

__attribute__((format(printf, 3, 4))) static void say(const struct host *host, enum host_says how, const char *format,
						      ...)
{
	char text[800];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	host->say(how, text);
}

static int fail(const struct host *host, int error, const struct zsblk_why *why)
{
	say(host, HOST_ERROR, "%s", why->text[0] ? why->text : strerror(-error));
	return error;
}

static bool is_enough(unsigned had)
{
	return (had & PROTECT_NEEDED) == PROTECT_NEEDED;
}

static int fail_for_missing(const struct host *host, unsigned had)
{
	char text[512];

	protect_describe_missing(PROTECT_NEEDED, had, text, sizeof text);
	say(host, HOST_ERROR, "lock=yes is not possible: %s. Grant what is missing, or use lock=auto to do without",
	    text);
	return -EPERM;
}

/* No error, since a disk does not need these rights. But whoever is about to make the device swap should know. */
static void tell_missing(const struct host *host, unsigned had)
{
	char text[512];

	protect_describe_missing(PROTECT_ALL, had, text, sizeof text);
	say(host, HOST_NOTICE, "%s%s. lock=no does not try",
	    is_enough(had) ? "" : "good as a disk, not safe as swap: ", text);
}

/* Tell of a control group's limit: no parameter names it, and writes fail at it all the same. */
static void tell_cap(const struct host *host)
{
	uint64_t limit = host->params->engine.mem_limit;
	struct cgroup *cgroup = cgroup_open();
	struct cgroup_found found;
	char text[300];

	cgroup_look(cgroup, 0, NULL, &found);
	cgroup_describe(cgroup, &found, text, sizeof text);
	cgroup_close(cgroup);
	if (text[0] && (!limit || limit > found.limit))
		say(host, HOST_NOTICE,
		    "%s, and mem-limit is %" PRIu64 "%s: writes fail with ENOSPC before that is used up", text, limit,
		    limit ? "" : " (none)");
}

static bool has_segment(const struct host *host)
{
	return strncmp(host->params->engine.memory, "shm:", 4) == 0;
}

/* A segment is asked for because it outlives the server. Tell if it does not. */
static void tell_loss(const struct host *host)
{
	if (has_segment(host) && zsblk_segments_are_removed())
		say(host, HOST_NOTICE,
		    "kernel.shm_rmid_forced is 1: the kernel removes shared memory that no process has "
		    "attached, and what is stored ends with this server. Set it to 0 to keep it (sysctl "
		    "kernel.shm_rmid_forced=0)");
}

/* The command line says something else, and does not count. */
static void tell_adopted(const struct host *host, const char *adopted)
{
	if (adopted[0])
		say(host, HOST_NOTICE,
		    "this goes on, since it was set in the running device: %s. To end it, set another value, or start a "
		    "server with other parameters than it was set under",
		    adopted);
}

static void tell_stats_trouble(void *opaque, const char *path, int error)
{
	const struct host *host = opaque;

	if (error)
		say(host, HOST_ERROR, "stats=%s cannot be written: %s; requests are served all the same", path,
		    strerror(error));
	else
		say(host, HOST_DEBUG, "stats=%s is written again", path);
}

/* ------------------------------------------------------------------ before the fork */

static int open_device(struct host *host)
{
	struct zsblk_why why = {.text = ""};
	int r = zsblk_open(&host->params->engine, &host->device, &why);

	return r < 0 ? fail(host, r, &why) : 0;
}

int host_prepare(struct host *host, bool reopen)
{
	enum host_lock lock = host->params->lock;
	int r;

	memory_map_large(PROTECT_HEAP_LARGEST);
	if (lock != HOST_LOCK_NO)
		host->lock_can = protect_prepare();
	if (lock == HOST_LOCK_YES && !is_enough(host->lock_can))
		return fail_for_missing(host, host->lock_can);
	r = open_device(host);
	if (r < 0)
		return r;
	if (lock != HOST_LOCK_NO && host->lock_can != PROTECT_ALL)
		tell_missing(host, host->lock_can);
	tell_cap(host);
	tell_loss(host);
	tell_adopted(host, zsblk_adopted(host->device));
	if (reopen)
		host_close(host);
	return 0;
}

/* ------------------------------------------------------------------ after the fork */

static int protect_process(struct host *host)
{
	unsigned had;

	if (host->params->lock == HOST_LOCK_NO)
		return 0;
	had = protect_apply(host->params->control_path ? CONTROL_HEAP_BYTES : 0);
	host->locked = is_enough(had);
	say(host, HOST_DEBUG, "lock: memory locked on fault: %s, I/O flusher: %s, OOM killer kept away: %s",
	    had & PROTECT_MEMORY ? "yes" : "no", had & PROTECT_FLUSHER ? "yes" : "no",
	    had & PROTECT_OOM ? "yes" : "no");
	/*
	 * Rights can be lost since host_prepare(), by a change of user, and mlockall() can fail for other reasons as
	 * well.
	 */
	if (host->params->lock == HOST_LOCK_YES && !is_enough(had))
		return fail_for_missing(host, had);
	if (host->lock_can & ~had)
		tell_missing(host, had);
	return 0;
}

/*
 * Somebody can remove the segment that the server uses (ipcrm; for ordinary users also systemd-logind, with
 * RemoveIPC=). The server goes on, and all that is stored is lost when it ends.
 */
static bool look_for_removal(void *opaque)
{
	const struct host *host = opaque;
	bool removed = zsblk_is_removed(host->device);

	if (removed)
		say(host, HOST_ERROR,
		    "somebody has removed the segment %s (ipcrm, or RemoveIPC= of logind.conf): what is stored lasts only "
		    "as long as this server. Copy it away before the server ends",
		    host->params->engine.memory);
	/* A removal cannot be undone, so the watch ends with it. */
	return !removed;
}

/* Who has no other use for them: cold=yes, or a former server was told so. */
static bool needs_jobs(const struct host *host)
{
	char memo[ZSBLK_MEMO_MAX];

	zsblk_memo(host->device, memo);
	return host->params->control_path || host->params->cold.on || memo[0];
}

/* That of a former server, if it was changed there and its parameter is the same. */
static unsigned background_cpu(const struct host *host)
{
	char given[MEMO_VALUE_MAX], now[MEMO_VALUE_MAX];
	unsigned percent;

	snprintf(given, sizeof given, "%u", host->params->background_cpu);
	if (!memo_adopt(host->device, "background-cpu", given, now) || sscanf(now, "%u", &percent) != 1 ||
	    percent < 1 || percent > 100)
		return host->params->background_cpu;
	say(host, HOST_NOTICE,
	    "background-cpu=%u goes on, since it was set in the running device. To end it, set another value", percent);
	return percent;
}

static int start_jobs(struct host *host)
{
	int r = jobs_start(&host->jobs, host->device, background_cpu(host));

	if (!r)
		r = cold_start(&host->cold, host->device, host->jobs, &host->params->cold);
	if (!r)
		tell_adopted(host, cold_adopted(host->cold));
	return r;
}

static int start_control(struct host *host)
{
	struct zsblk_segment segment = {.name = ""};

	if (has_segment(host) && zsblk_inspect(host->params->engine.memory, &segment, NULL) == 0)
		memcpy(host->name, segment.name, sizeof host->name);
	host->started_s = (uint64_t)time(NULL);
	return control_start(&host->control, host);
}

/* Without these requests are served all the same: for swap that comes back, nothing else counts. */
static void start_background(struct host *host)
{
	const char *path = host->params->control_path;
	int r = needs_jobs(host) ? start_jobs(host) : 0;

	if (r < 0 && !path)
		say(host, HOST_ERROR,
		    "cold=yes is not possible, since its threads cannot be started: %s; requests are served",
		    strerror(-r));
	if (!r && path)
		r = start_control(host);
	if (r < 0 && path)
		say(host, HOST_ERROR, "control=%s is not served, since its threads cannot be started: %s; requests are",
		    path, strerror(-r));
}

static int start_threads(struct host *host)
{
	const char *stats = host->params->stats_path;
	int r = has_segment(host) ? ticker_start(&host->watch, "zsblk-watch", WATCH_S, look_for_removal, host) : 0;

	if (r < 0) {
		say(host, HOST_ERROR, "the thread that watches the segment cannot be started: %s", strerror(-r));
		return r;
	}
	r = stats ? stats_file_start(&host->stats_file, stats, host->device, host->more_statistics, tell_stats_trouble,
				     host)
		  : 0;
	if (r < 0)
		say(host, HOST_ERROR, "the thread that writes stats=%s cannot be started: %s", stats, strerror(-r));
	if (!r)
		start_background(host);
	return r;
}

int host_start(struct host *host)
{
	struct zsblk_why why = {.text = ""};
	int r = protect_process(host);

	if (!r && !host->device)
		r = open_device(host);
	if (r < 0)
		return r;
	r = zsblk_start(host->device, &why);
	if (r == -EINTR)
		say(host, HOST_DEBUG, "%s", why.text);
	if (r < 0)
		return r == -EINTR ? r : fail(host, r, &why);
	say(host, HOST_DEBUG, "%" PRIu64 " bytes, %s level %d, memory %s", zsblk_size(host->device),
	    zsblk_algorithm_name(host->device), zsblk_level(host->device), host->params->engine.memory);
	return start_threads(host);
}

/* ------------------------------------------------------------------ the end */

void host_stop(struct host *host)
{
	struct zsblk_stats s;

	control_stop(host->control);
	host->control = NULL;
	cold_stop(host->cold);
	host->cold = NULL;
	jobs_stop(host->jobs);
	host->jobs = NULL;
	/* Errands are about it. */
	tracer_destroy(host->tracer);
	host->tracer = NULL;
	ticker_stop(host->watch);
	host->watch = NULL;
	stats_file_stop(host->stats_file);
	host->stats_file = NULL;
	if (!host->device)
		return;
	/* The columns of zram's mm_stat. */
	zsblk_get_stats(host->device, &s);
	say(host, HOST_DEBUG,
	    "mm_stat: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	    " %" PRIu64,
	    s.orig_data_size, s.compr_data_size, s.mem_used_total, s.mem_limit, s.mem_used_max, s.same_pages,
	    s.pages_compacted, s.huge_pages, s.huge_pages_since);
}

void host_close(struct host *host)
{
	zsblk_close(host->device);
	host->device = NULL;
}
