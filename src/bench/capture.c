/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages in the order in which a kernel swaps them out: a command runs in a control group that has less memory than the command uses (keeper.c),
 * and after some time the swap device is read, slot by slot, while the command is stopped.
 *
 * Pages of other processes are secrets of others. The kernel can swap them out to our device when the whole machine is short of memory. So that has to
 * have memory to spare, and if more is on the device than the group has swapped out, nothing is kept.
 */
#include "bench/bench.h"
#include "bench/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* Slots that are read at once. */
#define PIECE 256u
/* The kernel keeps some freed slots in use, up to 128 for each CPU. */
#define SLACK_EACH_CPU 128u
#define STOP_ROUNDS    100u
/* Bytes for a group that cannot go on. */
#define GIVE (UINT64_C(4) << 20)

struct capture {
	const struct options *options;
	struct keeper_made made;
	struct pages pages;
	uint64_t memory_bytes;      /* that the group has now */
	uint64_t slots, zero;       /* that the kernel has used; that hold zeroes or nothing any more */
	uint64_t group_swap_bytes;  /* what the group has swapped out, as the kernel says */
	uint64_t device_swap_bytes; /* what is on the device */
	double seconds;             /* that the command had */
};

static volatile sig_atomic_t interrupted;

static void note_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* The keeper cleans up behind a caller who has died as well; this tells people more. */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = note_signal};

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaction(signals[i], &action, NULL);
}

/* ------------------------------------------------------------------ what the system says */

/* The number behind `name` in a file of lines; 0 if there is none. */
static uint64_t number_of(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	char line[256];
	uint64_t number = 0;
	size_t length = strlen(name);

	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, name, length) && sscanf(line + length, "%" SCNu64, &number) == 1)
			break;
	if (file)
		fclose(file);
	return number;
}

static uint64_t group_swap(const struct capture *capture)
{
	char path[384];

	snprintf(path, sizeof path, "%s/%s", capture->made.group,
		 capture->made.version == 1 ? "memory.stat" : "memory.swap.current");
	return number_of(path, capture->made.version == 1 ? "swap " : "");
}

/* Bytes that are in use on our device. */
static uint64_t device_swap(const struct capture *capture)
{
	FILE *file = fopen("/proc/swaps", "re");
	char line[512], device[256];
	uint64_t used, found = 0;

	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "%255s %*s %*s %" SCNu64, device, &used) == 2 && !strcmp(device, capture->made.device))
			found = used * 1024;
	if (file)
		fclose(file);
	return found;
}

/* Room for the group, for its pages uncompressed, and once more for what is read. */
static int check_machine(const struct options *options, struct zsblk_why *why)
{
	uint64_t available = number_of("/proc/meminfo", "MemAvailable:") * 1024;
	uint64_t needed = options->capture_memory + 2 * options->limit * BLOCK;

	if (geteuid() != 0)
		return because(why, -EPERM, "--capture-swap makes swap and a control group: only root can do that");
	if (sysconf(_SC_PAGESIZE) != (long)BLOCK)
		return because(why, -ENOTSUP, "--capture-swap needs a kernel with pages of %u bytes", BLOCK);
	/* Before all the work, not only after it. */
	if (faccessat(AT_FDCWD, options->capture, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return because(why, -EEXIST, "--capture-swap %s: it exists; remove it or choose another name",
			       options->capture);
	if (available < needed)
		return because(why, -ENOMEM,
			       "the system has %" PRIu64 " MiB of memory to spare, and --capture-swap may need %" PRIu64
			       " MiB: give a smaller --limit or --memory, so that nobody else's pages are swapped out",
			       available >> 20, needed >> 20);
	return 0;
}

/* ------------------------------------------------------------------ the command */

/* False: it has ended. */
static bool is_there(pid_t pid)
{
	char path[32], text[512];
	FILE *file;
	const char *state;
	bool there;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	there = file && fgets(text, sizeof text, file);
	if (file)
		fclose(file);
	/* The state follows the name, which may have any characters. */
	state = there ? strrchr(text, ')') : NULL;
	return state && state[1] && state[2] != 'Z';
}

/* No more than it takes: what is wanted are pages in swap. */
static void give_memory(struct capture *capture)
{
	uint64_t more = (capture->memory_bytes + GIVE) / BLOCK * BLOCK;

	if (keeper_set_memory(&capture->made, more) == 0)
		capture->memory_bytes = more;
}

static int let_it_run(struct capture *capture, struct zsblk_why *why)
{
	uint64_t began = now_ns(), end = began + capture->options->capture_seconds * 1000000000;
	const struct timespec pause = {.tv_nsec = 100000000};

	capture->memory_bytes = capture->options->capture_memory;
	while (now_ns() < end && !interrupted && is_there(capture->made.command_pid)) {
		if (keeper_is_stuck(&capture->made))
			give_memory(capture);
		progress("%s runs: %" PRIu64 " MiB are swapped out", capture->options->command[0],
			 device_swap(capture) >> 20);
		nanosleep(&pause, NULL);
	}
	capture->seconds = (double)(now_ns() - began) / 1e9;
	if (interrupted)
		return because(why, -EINTR, "interrupted; nothing is kept");
	if (!is_there(capture->made.command_pid))
		return because(why, -ECHILD,
			       "%s ended after %.1f s, and its pages with it: give a command that goes on, or a smaller"
			       " --seconds",
			       capture->options->command[0], capture->seconds);
	return 0;
}

/* Until all of the group are stopped: a process can start another one before its own turn. */
static void stop_group(const struct capture *capture)
{
	char path[384];
	int last = -1;

	snprintf(path, sizeof path, "%s/cgroup.procs", capture->made.group);
	for (unsigned round = 0; round < STOP_ROUNDS; round++) {
		FILE *file = fopen(path, "re");
		int pid, n = 0;

		while (file && fscanf(file, "%d", &pid) == 1) {
			/* 0 is one of another PID namespace, and our own group to kill(2). */
			if (pid > 0)
				kill(pid, SIGSTOP);
			n++;
		}
		if (file)
			fclose(file);
		if (n == last)
			return;
		last = n;
	}
}

/* ------------------------------------------------------------------ the pages */

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && !memcmp(page, page + 1, BLOCK - 1);
}

/* A slot that is free again, or was never used, reads as zeroes, as one with a page of zeroes does. */
static void take_pages(struct capture *capture, const uint8_t *piece, uint64_t n)
{
	struct pages *pages = &capture->pages;

	for (uint64_t i = 0; i < n && pages->count < pages->room; i++) {
		if (is_zero(piece + i * BLOCK)) {
			capture->zero++;
			continue;
		}
		memcpy(pages->data + pages->count++ * BLOCK, piece + i * BLOCK, BLOCK);
	}
}

static int read_slots(struct capture *capture, int fd, uint8_t *piece, struct zsblk_why *why)
{
	/* The first page is the header. */
	for (uint64_t slot = 1; slot <= capture->slots; slot += PIECE) {
		uint64_t n = capture->slots + 1 - slot < PIECE ? capture->slots + 1 - slot : PIECE;
		ssize_t got = pread(fd, piece, n * BLOCK, (off_t)(slot * BLOCK));

		if (got < 0)
			return because(why, -errno, "%s: %s", capture->made.device, strerror(errno));
		take_pages(capture, piece, (uint64_t)got / BLOCK);
		progress("reading slot %" PRIu64 " of %" PRIu64, slot, capture->slots);
	}
	return 0;
}

static int read_device(struct capture *capture, struct zsblk_why *why)
{
	/* Past the page cache, which may have older pages. */
	int fd = open(capture->made.device, O_RDONLY | O_DIRECT | O_CLOEXEC), r;
	uint8_t *piece = aligned_alloc(BLOCK, PIECE * BLOCK);

	if (fd < 0)
		r = because(why, -errno, "%s: %s", capture->made.device, strerror(errno));
	else
		r = piece ? pages_alloc(&capture->pages, capture->slots, why) : because(why, -ENOMEM, "no memory");
	if (!r)
		r = read_slots(capture, fd, piece, why);
	free(piece);
	if (fd >= 0)
		close(fd);
	return r;
}

static int take(struct capture *capture, struct zsblk_why *why)
{
	uint64_t slack = SLACK_EACH_CPU * (uint64_t)sysconf(_SC_NPROCESSORS_CONF) * BLOCK;
	int r;

	stop_group(capture);
	capture->slots = capture->options->limit;
	r = read_device(capture, why);
	if (r)
		return r;
	capture->group_swap_bytes = group_swap(capture);
	capture->device_swap_bytes = device_swap(capture);
	/* What is there then, within the slack or beyond it, is somebody else's. */
	if (!capture->pages.count || !capture->group_swap_bytes)
		return because(
			why, -ENODATA,
			"%s used no swap in %.1f s: give it more to do, a longer --seconds or a smaller --memory",
			capture->options->command[0], capture->seconds);
	if (capture->device_swap_bytes > capture->group_swap_bytes + slack)
		return because(why, -EXDEV,
			       "%" PRIu64 " MiB are on the swap device, and only %" PRIu64
			       " MiB of them are the command's: pages of other programs came there, so nothing is kept",
			       capture->device_swap_bytes >> 20, capture->group_swap_bytes >> 20);
	return pages_save(&capture->pages, "--capture-swap", capture->options->capture, why);
}

/* ------------------------------------------------------------------ what people are told */

static void tell(const struct capture *capture, const char *system)
{
	printf("%s: %" PRIu64 " pages of 4096 bytes, in the order of their swap slots\n", capture->options->capture,
	       capture->pages.count);
	printf("%s ran for %.1f s with %" PRIu64 " MiB of memory, in a control group of version %u, on %s\n",
	       capture->options->command[0], capture->seconds, capture->memory_bytes >> 20, capture->made.version,
	       system);
	printf("%" PRIu64 " MiB were swapped out when it was stopped, to %s; slots of zeroes are left out\n",
	       capture->group_swap_bytes >> 20, capture->made.device);
}

static int tell_json(const struct capture *capture, const char *system)
{
	struct json_object *top = json_object_new_object();
	const char *text;

	json_object_object_add(top, "program", json_object_new_string("zsblk-bench"));
	json_object_object_add(top, "version", json_object_new_string(ZSBLK_BENCH_VERSION));
	json_object_object_add(top, "file", json_object_new_string(capture->options->capture));
	json_object_object_add(top, "pages", json_object_new_uint64(capture->pages.count));
	json_object_object_add(top, "command", json_object_new_string(capture->options->command[0]));
	json_object_object_add(top, "seconds", json_object_new_double(capture->seconds));
	json_object_object_add(top, "memory_bytes", json_object_new_uint64(capture->memory_bytes));
	json_object_object_add(top, "swapped_bytes", json_object_new_uint64(capture->group_swap_bytes));
	json_object_object_add(top, "cgroup_version", json_object_new_int((int)capture->made.version));
	json_object_object_add(top, "system", json_object_new_string(system));
	text = json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		puts(text);
	json_object_put(top);
	return text ? 0 : -ENOMEM;
}

static int report(const struct capture *capture, struct zsblk_why *why)
{
	struct utsname name;
	char system[160] = "an unknown system";

	if (uname(&name) == 0)
		snprintf(system, sizeof system, "%s %s", name.sysname, name.release);
	if (!capture->options->json)
		tell(capture, system);
	else if (tell_json(capture, system))
		return because(why, -ENOMEM, "no memory for the report");
	return 0;
}

int capture_swap(const struct options *options, struct zsblk_why *why)
{
	const struct keeper_wanted wanted = {
		.swap_bytes = (options->limit + 1) * BLOCK,
		.memory_bytes = options->capture_memory,
		.command = options->command,
	};
	struct capture capture = {.options = options};
	struct zsblk_why left = {.text = ""};
	struct keeper *keeper;
	int r = check_machine(options, why), end;

	if (r)
		return r;
	catch_signals();
	r = keeper_begin(&keeper, &wanted, &capture.made, why);
	if (r)
		return r;
	r = let_it_run(&capture, why);
	if (!r)
		r = take(&capture, why);
	progress_clear();
	end = keeper_end(keeper, &left);
	if (end && !r) {
		r = end;
		*why = left;
	} else if (end) {
		fprintf(stderr, "zsblk-bench: %s\n", left.text);
	}
	if (!r)
		r = report(&capture, why);
	pages_free(&capture.pages);
	return r;
}
