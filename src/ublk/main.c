/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsblk-ublk: serves a zsblk device as /dev/ublkbN. See zsblk-ublk(8).
 *
 *   options.c   command line          service.c   life of the device       queue.c     its threads
 *   tune.c      /sys/block            driver.c    control commands         request.c   one request, to the engine
 *   target.c    how we know our own   device.c    one whoever serves it    use.c       who uses it
 *   own_disk.c  what the control socket does with the disk                 resize.c    another size
 */
#include "host/host.h"
#include "host/protect.h"
#include "machine/kernels.h"
#include "ublk/device.h"
#include "ublk/notify.h"
#include "ublk/options.h"
#include "ublk/own_disk.h"
#include "ublk/service.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <unistd.h>

static bool verbose;

static void say(enum host_says how, const char *text)
{
	if (how != HOST_DEBUG || verbose)
		fprintf(stderr, "zsblk-ublk: %s\n", text);
}

static int fail(const struct zsblk_why *why)
{
	say(HOST_ERROR, why->text);
	return EXIT_FAILURE;
}

static _Atomic uint64_t swap_requests;

static size_t say_swap_requests(char *text, size_t size)
{
	return (size_t)snprintf(text, size, "swap_requests=%" PRIu64 "\n",
				atomic_load_explicit(&swap_requests, memory_order_relaxed));
}

/* ------------------------------------------------------------------ signals */

/* Those that tell the program to end. Whoever had one blocked before the start wants it to go on: that one stays blocked. */
static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

static int signals = -1; /* a signalfd */

/* From now on they are read from `signals`. */
static int hold_signals(void)
{
	sigset_t before, wanted;

	sigprocmask(SIG_BLOCK, NULL, &before);
	sigemptyset(&wanted);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		if (!sigismember(&before, ends[i]))
			sigaddset(&wanted, ends[i]);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	signals = signalfd(-1, &wanted, SFD_CLOEXEC);
	if (signals < 0)
		say(HOST_ERROR, "signals cannot be read: no descriptor, or no memory");
	return signals < 0 ? -1 : 0;
}

static bool told_to_end(void)
{
	struct pollfd fd = {.fd = signals, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

/* ------------------------------------------------------------------ serving */

static void say_ready(const struct service *service, bool recovered, const char *ready)
{
	char text[80];

	snprintf(text, sizeof text, "ublkb%" PRIu32, service_number(service));
	if (ready && symlink(text, ready) < 0) {
		snprintf(text, sizeof text, "--ready: %s", strerror(errno));
		say(HOST_ERROR, text);
	}

	snprintf(text, sizeof text, "READY=1\nSTATUS=/dev/ublkb%" PRIu32, service_number(service));
	printf("/dev/ublkb%" PRIu32 "\n", service_number(service));
	fflush(stdout);
	notify_send(text);
	snprintf(text, sizeof text, "%s: %u queues of depth %u", recovered ? "taken over" : "made",
		 service_queues(service), service_depth(service));
	say(HOST_DEBUG, text);
}

/* Until the device is removed, by ourselves or by others. */
static int serve(struct service *service)
{
	struct pollfd fds[] = {
		{.fd = signals, .events = POLLIN},
		{.fd = service_ended_fd(service), .events = POLLIN},
	};

	for (;;) {
		struct signalfd_siginfo info;
		struct zsblk_why why;

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents) {
			service_why_ended(service, &why);
			return fail(&why);
		}
		if (!fds[0].revents || read(signals, &info, sizeof info) != sizeof info)
			continue;
		if (own_disk_stop(service, &why) == 0)
			return EXIT_SUCCESS;
		say(HOST_ERROR, why.text);
		if (!service_serves(service))
			return EXIT_FAILURE;
	}
}

/* Threads may be left that wait for requests, or serve them: those of a device that could not be taken over, or failed. */
static int run(struct host *host, const struct service_params *params, const char *ready)
{
	struct service *service = NULL;
	struct zsblk_why why;
	int r, status;

	if (service_open(&service, params, &why) < 0)
		return fail(&why);
	r = hold_signals();
	if (!r)
		r = host_start(host);
	if (r < 0) {
		service_close(service);
		return r == -EINTR ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (service_start(service, &why) < 0) {
		service_close(service);
		return fail(&why);
	}
	own_disk_is(service_number(service));
	say_ready(service, params->recover, ready);
	status = serve(service);
	if (status == EXIT_SUCCESS)
		service_close(service);
	return status;
}

static int check_kernel(bool any_kernel)
{
	struct utsname name;
	const char *reason = uname(&name) == 0 ? kernels_verdict(name.release, name.version) : NULL;
	char text[300];

	if (!reason)
		return 0;
	snprintf(text, sizeof text, "this kernel, %.60s, is not to be used for ublk: %s.%s", name.release, reason,
		 any_kernel ? "" : " Use another kernel or NBD; --any-kernel takes the risk");
	say(any_kernel ? HOST_NOTICE : HOST_ERROR, text);
	return any_kernel ? 0 : -EOPNOTSUPP;
}

static int serve_device(struct options *options)
{
	struct host host = {
		.params = &options->host,
		.say = say,
		.more_statistics = say_swap_requests,
		.transport = "ublk",
		.device_name = own_disk_name,
		.claim = own_disk_claim,
		.unclaim = own_disk_unclaim,
		.resize = own_disk_resize,
	};
	struct service_params params = {
		.host = &host,
		.number = options->number,
		.queues = options->queues,
		.depth = options->depth,
		.recover = options->recover,
		.swap_requests = &swap_requests,
	};
	struct zsblk_why why;
	int status;

	options->host.engine.interrupted = told_to_end;
	/* Whoever has read the device's name may have gone. */
	signal(SIGPIPE, SIG_IGN);
	/* The kernel's thread for control commands is made with the first of them, and has the flags that this one has then. */
	if (options->host.lock != HOST_LOCK_NO)
		protect_prepare();
	/* Before a segment is made for nothing. */
	if (service_check(&why) < 0)
		return fail(&why);
	if (host_prepare(&host, false) < 0)
		return EXIT_FAILURE;
	if (options->trial) {
		host_close(&host);
		return EXIT_SUCCESS;
	}
	status = run(&host, &params, options->ready);
	host_stop(&host);
	if (status == EXIT_SUCCESS)
		host_close(&host);
	return status;
}

static void print_device(const struct uapi_info *info, int segment)
{
	static const char *const states[] = {"dead", "live", "quiesced", "fail-io"};

	printf("%" PRIu32 " %s %d %d\n", info->device,
	       info->state < sizeof states / sizeof states[0] ? states[info->state] : "unknown", info->server, segment);
}

/* zsblkd looks for what its segment needs: format, features and algorithms. */
static void print_version(void)
{
	const struct zsblk_algorithm *algorithm;

	puts("zsblk-ublk " ZSBLK_VERSION);
	for (unsigned version = ZSBLK_SEGMENT_OLDEST; version <= ZSBLK_SEGMENT_VERSION; version++)
		printf("segment version %u\n", version);
	for (unsigned bit = 0; bit < 32; bit++)
		if (zsblk_segment_feature(bit))
			printf("segment feature %s\n", zsblk_segment_feature(bit));
	printf("algorithms");
	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)); i++)
		printf(" %s", algorithm->name);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct options options;
	struct zsblk_why why;
	int status;

	if (options_parse(&options, argc, argv, &why) < 0) {
		status = fail(&why);
	} else if (options.help) {
		options_print_help();
		status = EXIT_SUCCESS;
	} else if (options.version) {
		print_version();
		status = EXIT_SUCCESS;
	} else {
		verbose = options.verbose;
		if (check_kernel(options.any_kernel) < 0)
			status = EXIT_FAILURE;
		else if (options.check)
			status = service_check(&why) < 0 ? fail(&why) : EXIT_SUCCESS;
		else if (options.list)
			status = device_each(print_device, &why) < 0 ? fail(&why) : EXIT_SUCCESS;
		else if (options.remove)
			status = device_remove(options.number, options.served, options.sequence, &why) < 0
					 ? fail(&why)
					 : EXIT_SUCCESS;
		else
			status = serve_device(&options);
	}
	options_free(&options);
	return status;
}
