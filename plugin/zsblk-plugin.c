/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbdkit-zsblk-plugin: serves a zsblk device over NBD. It is the one file that speaks NBD; what a
 * request does is the engine's (zsblk.h).
 *
 *   load, config, config_complete   parameters (params.c)
 *   get_ready                       rights (lock.c); the device is opened
 *     fork, change of user
 *   after_fork                      locks (lock.c); the device is started, statistics (statsfile.c), a watch over
 *                                   the segment (watch.c)
 *     requests
 *   cleanup                         the last statistics
 *   unload                          the device is closed
 *
 * Whatever can go wrong goes wrong in get_ready or before, where nbdkit still has its exit status.
 * The engine is closed in unload, since nbdkit may come to cleanup with requests in flight, and not
 * to unload.
 */
#include "lock.h"
#include "params.h"
#include "process/cgroup.h"
#include "process/process.h"
#include "statsfile.h"
#include "watch.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct plugin_params params;
static struct zsblk *device;
static struct stats_file *stats_file;
static struct watch *watch;
static unsigned lock_can; /* what get_ready saw that can be had */

/* ------------------------------------------------------------------ life */

/* Was the server told to end? Its signal handler only makes a note, which this call looks at. */
static bool told_to_end(void)
{
	static bool told; /* each call that finds it so prints a line */

	told = told || nbdkit_nanosleep(0, 0) < 0;
	return told;
}

static void plugin_load(void)
{
	params_init(&params);
	params.engine.interrupted = told_to_end;
}

static void plugin_unload(void)
{
	zsblk_close(device);
	device = NULL;
	params_free(&params);
}

static int plugin_config(const char *key, const char *value)
{
	return params_set(&params, key, value);
}

static int plugin_config_complete(void)
{
	return params_complete(&params);
}

static int open_device(void)
{
	struct zsblk_why why = {.text = ""};
	int r = zsblk_open(&params.engine, &device, &why);

	if (r < 0)
		nbdkit_error("zsblk: %s", why.text[0] ? why.text : strerror(-r));
	return r < 0 ? -1 : 0;
}

static bool is_enough(unsigned had)
{
	return (had & LOCK_NEEDED) == LOCK_NEEDED;
}

static int fail_for_missing(unsigned had)
{
	char text[512];

	lock_describe_missing(LOCK_NEEDED, had, text, sizeof text);
	nbdkit_error("zsblk: lock=yes is not possible: %s. Grant what is missing, or use lock=auto "
		     "to do "
		     "without",
		     text);
	return -1;
}

/* A disk can do without, so this is no error; but whoever is about to swap on it should know. */
static void tell_missing(unsigned had)
{
	char text[512];

	lock_describe_missing(LOCK_ALL, had, text, sizeof text);
	fprintf(stderr, "nbdkit: zsblk: %s%s. lock=no does not try\n",
		is_enough(had) ? "" : "good as a disk, not safe as swap: ", text);
}

/* A limit that nobody has asked zsblk for, and that ends writes all the same. */
static void tell_cap(void)
{
	uint64_t limit = params.engine.mem_limit;
	struct cgroup *cgroup = cgroup_open();
	struct cgroup_found found;
	char text[300];

	cgroup_look(cgroup, 0, NULL, &found);
	cgroup_describe(cgroup, &found, text, sizeof text);
	cgroup_close(cgroup);
	if (text[0] && (!limit || limit > found.limit))
		fprintf(stderr,
			"nbdkit: zsblk: %s, and mem-limit is %" PRIu64
			"%s: writes fail with ENOSPC before that is used up\n",
			text, limit, limit ? "" : " (none)");
}

/*
 * Before 1.34 nbdkit fails an assertion when a client goes away while threads answer it. nbdkit does not tell plugins its
 * version, and the one that the plugin was built with may be another. But this function came with 1.34.
 */
extern void nbdkit_disconnect(int force) __attribute__((weak));

static void tell_fragile_server(void)
{
	if (!nbdkit_disconnect && strcmp(params.engine.memory, "anon") == 0)
		fprintf(stderr,
			"nbdkit: zsblk: this nbdkit is older than 1.34: a client that is killed can end it, and the data "
			"with it. Use memory=shm:KEY to keep the data, or --threads 1 to avoid the fault\n");
}

static bool has_segment(void)
{
	return strncmp(params.engine.memory, "shm:", 4) == 0;
}

/* Whoever asks for a segment wants it to outlive the server. */
static void tell_loss(void)
{
	if (has_segment() && zsblk_segments_are_removed())
		fprintf(stderr,
			"nbdkit: zsblk: kernel.shm_rmid_forced is 1: the kernel removes shared memory that no process has "
			"attached, and what is stored ends with this server. Set it to 0 to keep it (sysctl "
			"kernel.shm_rmid_forced=0)\n");
}

static int plugin_get_ready(void)
{
	process_map_large(LOCK_HEAP_LARGEST);
	if (params.lock != LOCK_MODE_NO)
		lock_can = lock_prepare();
	if (params.lock == LOCK_MODE_YES && !is_enough(lock_can))
		return fail_for_missing(lock_can);
	if (open_device() < 0)
		return -1;
	if (params.lock != LOCK_MODE_NO && lock_can != LOCK_ALL)
		tell_missing(lock_can);
	tell_cap();
	tell_fragile_server();
	tell_loss();
	/* Everything mapped now would be filled to its end. It has been checked; open it once that
	 * is over. */
	if (lock_server_will()) {
		nbdkit_debug("zsblk: --swap: the device is mapped after the server has locked its "
			     "memory");
		zsblk_close(device);
		device = NULL;
	}
	return 0;
}

static int protect_process(void)
{
	unsigned had;

	if (params.lock == LOCK_MODE_NO)
		return 0;
	had = lock_apply();
	nbdkit_debug("zsblk: lock: memory locked on fault: %s, I/O flusher: %s, OOM killer kept "
		     "away: %s",
		     had & LOCK_MEMORY ? "yes" : "no", had & LOCK_FLUSHER ? "yes" : "no",
		     had & LOCK_OOM ? "yes" : "no");
	/* Rights can be lost on the way (-u), and mlockall can fail for more reasons than rights.
	 */
	if (params.lock == LOCK_MODE_YES && !is_enough(had))
		return fail_for_missing(had);
	if (lock_can & ~had)
		tell_missing(had);
	return 0;
}

static void stats_trouble(const char *path, int error)
{
	if (error)
		nbdkit_error("zsblk: stats=%s cannot be written: %s; requests are served all the same", path,
			     strerror(error));
	else
		nbdkit_debug("zsblk: stats=%s is written again", path);
}

static void tell_removed(void)
{
	nbdkit_error(
		"zsblk: somebody has removed the segment %s (ipcrm, or RemoveIPC= of logind.conf): what is stored lasts only "
		"as long as this server. Copy it away before the server ends",
		params.engine.memory);
}

static int start_watch(void)
{
	int r = has_segment() ? watch_start(&watch, device, tell_removed) : 0;

	if (r < 0)
		nbdkit_error("zsblk: the thread that watches the segment cannot be started: %s", strerror(-r));
	return r;
}

static int plugin_after_fork(void)
{
	struct zsblk_why why = {.text = ""};
	int r;

	if (protect_process() < 0 || (!device && open_device() < 0))
		return -1;
	r = zsblk_start(device, &why);
	/* Not an error: nbdkit ends by itself, before it takes a connection. */
	if (r == -EINTR) {
		nbdkit_debug("zsblk: %s", why.text);
		return 0;
	}
	if (r < 0) {
		nbdkit_error("zsblk: %s", why.text[0] ? why.text : strerror(-r));
		return -1;
	}
	nbdkit_debug("zsblk: %" PRIu64 " bytes, %s level %d, memory %s", zsblk_size(device),
		     zsblk_algorithm_name(device), zsblk_level(device), params.engine.memory);
	if (start_watch() < 0)
		return -1;
	if (!params.stats_path)
		return 0;
	r = stats_file_start(&stats_file, params.stats_path, device, stats_trouble);
	if (r < 0)
		nbdkit_error("zsblk: the thread that writes stats=%s cannot be started: %s", params.stats_path,
			     strerror(-r));
	return r < 0 ? -1 : 0;
}

static void plugin_cleanup(void)
{
	struct zsblk_stats s;

	watch_stop(watch);
	watch = NULL;
	stats_file_stop(stats_file);
	stats_file = NULL;
	if (!device)
		return;
	/* The columns of zram's mm_stat. */
	zsblk_get_stats(device, &s);
	nbdkit_debug("zsblk: mm_stat: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		     " %" PRIu64 " %" PRIu64,
		     s.orig_data_size, s.compr_data_size, s.mem_used_total, s.mem_limit, s.mem_used_max, s.same_pages,
		     s.pages_compacted, s.huge_pages, s.huge_pages_since);
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static void plugin_dump_plugin(void)
{
	const struct zsblk_algorithm *algorithm;
	unsigned can = lock_prepare();

	printf("zsblk_version=%s\n", ZSBLK_VERSION);
	printf("zsblk_segment_version=%u\n", ZSBLK_SEGMENT_VERSION);
	printf("zsblk_block_size=%u\n", ZSBLK_BLOCK_SIZE);
	printf("zsblk_max_size=%" PRIu64 "\n", ZSBLK_MAX_SIZE);
	printf("zsblk_algorithms=");
	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)); i++)
		printf("%s%s", i ? " " : "", algorithm->name);
	printf("\nzsblk_algorithm_default=%s\n", zsblk_algorithm(0)->name);
	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)); i++)
		printf("zsblk_%s_level=%d..%d\nzsblk_%s_level_default=%d\n", algorithm->name, algorithm->level_min,
		       algorithm->level_max, algorithm->name, algorithm->level_default);
	printf("zsblk_memory=anon shm\n");
	printf("zsblk_lock_memory=%s\n", yes_no(can & LOCK_MEMORY));
	printf("zsblk_lock_io_flusher=%s\n", yes_no(can & LOCK_FLUSHER));
	printf("zsblk_lock_oom_killer=%s\n", yes_no(can & LOCK_OOM));
}

/* ------------------------------------------------------------------ connections */

static void *plugin_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t plugin_get_size(void *handle)
{
	return (int64_t)zsblk_size(device);
}

/*
 * What clients are asked not to exceed: nbdkit has a buffer for each thread of a connection, as large as the
 * largest request that the thread has had. Larger requests are served all the same, up to nbdkit's own limit of 64 MiB:
 * the buffer is there before the plugin is called, and clients that did not ask for the limit may exceed it.
 */
#define LARGEST_REQUEST (2u * 1024 * 1024)

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	*minimum = 1;
	*preferred = ZSBLK_BLOCK_SIZE;
	*maximum = LARGEST_REQUEST;
	return 0;
}

static int yes(void *handle)
{
	return 1;
}

static int can_fua(void *handle)
{
	return NBDKIT_FUA_NATIVE;
}

static int can_cache(void *handle)
{
	return NBDKIT_CACHE_NATIVE;
}

/* ------------------------------------------------------------------ requests
 *
 * nbdkit has checked that ranges are inside the device. Data is as safe as it ever gets once a
 * request returns, so that FUA and flush ask for nothing more.
 */

/* From the engine's way to report an error to nbdkit's (errno_is_preserved). */
static int reply(int r)
{
	if (r >= 0)
		return 0;
	errno = -r;
	return -1;
}

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	return reply(zsblk_read(device, buf, count, offset));
}

static int plugin_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	return reply(zsblk_write(device, buf, count, offset));
}

static int plugin_flush(void *handle, uint32_t flags)
{
	return reply(zsblk_flush(device));
}

static int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return reply(zsblk_discard(device, count, offset));
}

/*
 * Always fast. Without NBDKIT_FLAG_MAY_TRIM the client would rather have no hole, so that later
 * writes find their room; compression makes that no promise anybody could keep, and zeroes are
 * holes either way.
 */
static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return reply(zsblk_write_zeroes(device, count, offset));
}

struct extents_walk {
	struct nbdkit_extents *extents;
	bool one;
	int error;
};

#define WALK_ENDS 1

static int add_extent(void *opaque, uint64_t offset, uint64_t len, bool hole)
{
	struct extents_walk *walk = opaque;
	uint32_t type = hole ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0;

	if (nbdkit_add_extent(walk->extents, offset, len, type) < 0) {
		walk->error = errno ? -errno : -ENOMEM;
		return WALK_ENDS;
	}
	return walk->one ? WALK_ENDS : 0;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
	struct extents_walk walk = {.extents = extents, .one = flags & NBDKIT_FLAG_REQ_ONE};
	int r = zsblk_extents(device, count, offset, add_extent, &walk);

	return reply(r == WALK_ENDS ? walk.error : r);
}

/* It is all in memory. */
static int plugin_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "zsblk",
	.longname = "nbdkit zsblk plugin",
	.version = ZSBLK_VERSION,
	.description = "compressed block device in memory",
	.magic_config_key = "size",
	.errno_is_preserved = 1,

	.load = plugin_load,
	.unload = plugin_unload,
	.config = plugin_config,
	.config_complete = plugin_config_complete,
	.dump_plugin = plugin_dump_plugin,
	.get_ready = plugin_get_ready,
	.after_fork = plugin_after_fork,
	.cleanup = plugin_cleanup,

	.open = plugin_open,
	.get_size = plugin_get_size,
	.block_size = plugin_block_size,
	.can_multi_conn = yes,
	.can_flush = yes,
	.can_trim = yes,
	.can_zero = yes,
	.can_fast_zero = yes,
	.can_extents = yes,
	.can_fua = can_fua,
	.can_cache = can_cache,

	.pread = plugin_pread,
	.pwrite = plugin_pwrite,
	.flush = plugin_flush,
	.trim = plugin_trim,
	.zero = plugin_zero,
	.extents = plugin_extents,
	.cache = plugin_cache,
};

/* The text follows the algorithms there are, so it is made before nbdkit asks for it. */
__attribute__((constructor)) static void make_help(void)
{
	plugin.config_help = params_help();
}

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
