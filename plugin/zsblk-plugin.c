/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbdkit-zsblk-plugin: serves a zsblk device over NBD. It is the one file that speaks NBD; what a request does is the
 * engine's (zsblk.h), and what the process asks of its system is host.h's.
 *
 *   load, config, config_complete   host_params.h: the parameters
 *   get_ready                       host_prepare(): rights; the device is opened
 *     fork, change of user
 *   after_fork                      host_start(): locks; the device is started
 *     requests
 *   cleanup                         host_stop(): the last statistics
 *   unload                          host_close()
 *
 * What can fail is done in get_ready or before, while a failure still becomes nbdkit's exit status.
 * The engine is closed in unload, since nbdkit may come to cleanup with requests in flight, and not
 * to unload.
 */
#include "host/host.h"
#include "host/protect.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct host_params params;
static void say(enum host_says how, const char *text);
static bool has_clients(void);
static int claim(struct zsblk_why *why);
static void unclaim(void);
static struct host host = {
	.params = &params,
	.say = say,
	.transport = "nbdkit",
	.has_clients = has_clients,
	.claim = claim,
	.unclaim = unclaim,
};

/* ------------------------------------------------------------------ life */

static void say(enum host_says how, const char *text)
{
	switch (how) {
	case HOST_ERROR:
		nbdkit_error("zsblk: %s", text);
		break;
	case HOST_NOTICE:
		fprintf(stderr, "nbdkit: zsblk: %s\n", text);
		break;
	case HOST_DEBUG:
		nbdkit_debug("zsblk: %s", text);
		break;
	}
}

/* Was the server told to end? Its signal handler only makes a note, which this call looks at. */
static bool told_to_end(void)
{
	static bool told; /* each call that finds it so prints a line */

	told = told || nbdkit_nanosleep(0, 0) < 0;
	return told;
}

static void plugin_load(void)
{
	host_params_init(&params);
	params.engine.interrupted = told_to_end;
}

static void plugin_unload(void)
{
	host_close(&host);
	host_params_free(&params);
}

static int tell(int r, const struct zsblk_why *why)
{
	if (r == 0)
		return 0;
	say(HOST_ERROR, why->text);
	return -1;
}

static int plugin_config(const char *key, const char *value)
{
	struct zsblk_why why;

	return tell(host_params_set(&params, key, value, &why), &why);
}

static int plugin_config_complete(void)
{
	struct zsblk_why why;

	return tell(host_params_complete(&params, &why), &why);
}

/*
 * Before 1.34 nbdkit fails an assertion when a client goes away while threads answer it. nbdkit does not tell plugins
 * its version, and the one that the plugin was built with may be another. But this function came with 1.34.
 */
extern void nbdkit_disconnect(int force) __attribute__((weak));

static void tell_fragile_server(void)
{
	if (!nbdkit_disconnect && strcmp(params.engine.memory, "anon") == 0)
		say(HOST_NOTICE, "this nbdkit is older than 1.34: a client that is killed can end it, and the data "
				 "with it. Use memory=shm:KEY to keep the data, or --threads 1 to avoid the fault");
}

/*
 * Is the server going to lock all memory it has and will have, between get_ready and after_fork (--swap)? nbdkit keeps
 * its options to itself, so look at its command line as the system shows it. An argument that only looks like the
 * option costs one more opening of the device, nothing else.
 */
static bool will_lock_all(void)
{
	bool found = false;
	size_t capacity = 0;
	char *arg = NULL;
	FILE *f = fopen("/proc/self/cmdline", "re");

	while (f && !found && getdelim(&arg, &capacity, '\0', f) > 0)
		found = strlen(arg) >= 4 && strncmp(arg, "--swap", strlen(arg)) == 0;
	free(arg);
	if (f)
		fclose(f);
	return found;
}

static int plugin_get_ready(void)
{
	bool reopen = will_lock_all();

	if (reopen)
		nbdkit_debug("zsblk: --swap: the device is mapped after the server has locked its memory");
	if (host_prepare(&host, reopen) < 0)
		return -1;
	tell_fragile_server();
	return 0;
}

static int plugin_after_fork(void)
{
	int r = host_start(&host);

	/* -EINTR is no error: a signal has told nbdkit to end, and it does so before it takes a connection. */
	return r < 0 && r != -EINTR ? -1 : 0;
}

static void plugin_cleanup(void)
{
	host_stop(&host);
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static void plugin_dump_plugin(void)
{
	const struct zsblk_algorithm *algorithm;
	unsigned can = protect_prepare();

	printf("zsblk_version=%s\n", ZSBLK_VERSION);
	/* Whoever asks looks for the line of its own version: so builds that know only the oldest one do. */
	for (unsigned version = ZSBLK_SEGMENT_OLDEST; version <= ZSBLK_SEGMENT_VERSION; version++)
		printf("zsblk_segment_version=%u\n", version);
	for (unsigned bit = 0; bit < 32; bit++)
		if (zsblk_segment_feature(bit))
			printf("zsblk_segment_feature=%s\n", zsblk_segment_feature(bit));
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
	printf("zsblk_lock_memory=%s\n", yes_no(can & PROTECT_MEMORY));
	printf("zsblk_lock_io_flusher=%s\n", yes_no(can & PROTECT_FLUSHER));
	printf("zsblk_lock_oom_killer=%s\n", yes_no(can & PROTECT_OOM));
}

/* ------------------------------------------------------------------ connections */

/* How many there are; CLAIMED: there is none, and none is let in. */
static _Atomic int clients;
#define CLAIMED (-1)

static bool has_clients(void)
{
	return atomic_load(&clients) > 0;
}

/*
 * Under zsblkd the kernel uses the device all the time. While it has a new server put behind its device it is not connected, and what
 * it has stored must stay.
 */
static int claim(struct zsblk_why *why)
{
	int n = 0;

	if (params.inherited) {
		snprintf(
			why->text, sizeof why->text,
			"zsblkd keeps this device for the kernel, which comes back whenever it is not connected; stop the "
			"instance, and start it again");
		return -EBUSY;
	}
	if (atomic_compare_exchange_strong(&clients, &n, CLAIMED))
		return 0;
	snprintf(why->text, sizeof why->text, "the device is in use by NBD clients: %d; disconnect them first", n);
	return -EBUSY;
}

static void unclaim(void)
{
	atomic_store(&clients, 0);
}

static void *plugin_open(int readonly)
{
	int n = atomic_load(&clients);

	(void)readonly;
	while (n != CLAIMED && !atomic_compare_exchange_weak(&clients, &n, n + 1))
		;
	if (n != CLAIMED)
		return NBDKIT_HANDLE_NOT_NEEDED;
	nbdkit_error("zsblk: the device is being reset, or made smaller; try again");
	return NULL;
}

static void plugin_close(void *handle)
{
	(void)handle;
	atomic_fetch_sub(&clients, 1);
}

static int64_t plugin_get_size(void *handle)
{
	return (int64_t)zsblk_size(host.device);
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
	return reply(zsblk_read(host.device, buf, count, offset));
}

static int plugin_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	return reply(zsblk_write(host.device, buf, count, offset));
}

static int plugin_flush(void *handle, uint32_t flags)
{
	return reply(zsblk_flush(host.device));
}

static int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return reply(zsblk_discard(host.device, count, offset));
}

/*
 * Always fast. Without NBDKIT_FLAG_MAY_TRIM the client would rather have no hole, so that later
 * writes find their room; compression makes that no promise anybody could keep, and zeroes are
 * holes either way.
 */
static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return reply(zsblk_write_zeroes(host.device, count, offset));
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
	int r = zsblk_extents(host.device, count, offset, add_extent, &walk);

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
	.close = plugin_close,
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
	plugin.config_help = host_params_help();
}

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
