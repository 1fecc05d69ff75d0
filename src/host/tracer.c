/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trace file. See tracer.h.
 *
 *   requests -> rings of the engine (zsblk_trace.h) -> this thread, every TICK_MS -> text -> file
 *
 * 1. All memory is made before the first request is recorded. The thread allocates nothing, and is an ordinary one (thread.h).
 * 2. A file needs pages of the system. While there are none to spare, nothing is taken and nothing is written: a thread that waits for a page
 *    keeps a killed process from ending, and then no other server could take over. The rings fill up, and what comes then is counted as lost.
 * 3. The file is new and ours: O_EXCL, in a folder that was looked at by the descriptor that the file is made in.
 *
 * Lock: `lock` protects `report` and `stop`. Nothing waits under it.
 */
#include "host/tracer.h"

#include "process/spare.h"
#include "process/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* 160,000 requests a second of one context fit between two looks. */
#define TICK_MS 50
#define ROOM    8192u
#define EVENTS  512u
#define TEXT    (64u * 1024)
/* A line: a time of 20 digits with a point, an operation, two numbers of up to 20. */
#define LINE_MAX 80u

struct tracer {
	struct zsblk *dev;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct tracer_report report;
	bool stop;
	/* Of tracer_start() and tracer_stop(), which do not run at the same time. */
	bool has_thread;
	pthread_t thread;
	uint64_t began_ns;
	/* The thread's, as long as there is one. */
	struct zsblk_trace *trace;
	int fd;
	struct spare spare;
	struct zsblk_event events[EVENTS];
	char text[TEXT];
	size_t length;
	uint64_t written, requests, lost, last_us;
};

const char *tracer_state_name(enum tracer_state state)
{
	static const char *const names[] = {
		[TRACER_NONE] = "none", [TRACER_RUNNING] = "running", [TRACER_ENDED] = "ended",
		[TRACER_FULL] = "full", [TRACER_FAILED] = "failed",
	};

	return names[state];
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ------------------------------------------------------------------ the file */

__attribute__((format(printf, 3, 4))) static int refuse(struct zsblk_why *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
	return error;
}

/* The folder's descriptor. */
static int open_folder(const char *path, const char *name, struct zsblk_why *why)
{
	char folder[TRACER_PATH_MAX];
	struct stat st;
	int fd;

	snprintf(folder, sizeof folder, "%.*s", name > path + 1 ? (int)(name - path - 1) : 1, path);
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return refuse(why, -errno, "%.300s: %s", folder, strerror(errno));
	if (fstat(fd, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & 022))
		return fd;
	close(fd);
	return refuse(why, -EPERM,
		      "%.300s: others can write in this folder, or own it; name a file in one where only root and the "
		      "server's user can, such as /root",
		      folder);
}

/* On success *result is the descriptor of the folder. */
static int open_file(const char *path, int *result, struct zsblk_why *why)
{
	const char *name = strrchr(path, '/');
	int folder, fd, r;

	if (path[0] != '/' || !name[1] || strlen(path) >= TRACER_PATH_MAX)
		return refuse(why, -EINVAL,
			      "'%.100s' is no path of a file that begins with / and has less than %u bytes", path,
			      TRACER_PATH_MAX);
	name++;
	folder = open_folder(path, name, why);
	if (folder < 0)
		return folder;
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : 0;
	/* The umask may have taken even the owner's rights. */
	if (!r && fchmod(fd, 0600) < 0) {
		r = -errno;
		unlinkat(folder, name, 0);
		close(fd);
	}
	if (!r) {
		*result = folder;
		return fd;
	}
	close(folder);
	if (r == -EEXIST)
		return refuse(why, r, "%.300s exists; remove it or name another file", path);
	return refuse(why, r, "%.300s: %s", path, strerror(-r));
}

static int write_text(struct tracer *tracer)
{
	const char *text = tracer->text;

	while (tracer->length) {
		ssize_t n = write(tracer->fd, text, tracer->length);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			tracer->length -= (size_t)n;
			tracer->written += (uint64_t)n;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------ lines */

static char *put_number(char *to, uint64_t number)
{
	char digits[20];
	unsigned n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while (number /= 10);
	while (n)
		*to++ = digits[--n];
	return to;
}

/* TIME OP FIRST BLOCKS. snprintf() would take several times as long. */
static void put_line(struct tracer *tracer, uint64_t us, char op, uint64_t first, uint64_t blocks)
{
	char *begin = tracer->text + tracer->length, *to = put_number(begin, us / 1000);

	*to++ = '.';
	*to++ = (char)('0' + us / 100 % 10);
	*to++ = (char)('0' + us / 10 % 10);
	*to++ = (char)('0' + us % 10);
	*to++ = ' ';
	*to++ = op;
	*to++ = ' ';
	to = put_number(to, first);
	*to++ = ' ';
	to = put_number(to, blocks);
	*to++ = '\n';
	tracer->length += (size_t)(to - begin);
}

static void put_event(struct tracer *tracer, const struct zsblk_event *event)
{
	static const char ops[] = {
		[ZSBLK_EVENT_READ] = 'R',
		[ZSBLK_EVENT_WRITE] = 'W',
		[ZSBLK_EVENT_DISCARD] = 'D',
		[ZSBLK_EVENT_ZEROES] = 'Z',
	};
	uint64_t first = event->offset / ZSBLK_BLOCK_SIZE, end = event->offset + event->len;
	uint64_t last = (end + ZSBLK_BLOCK_SIZE - 1) / ZSBLK_BLOCK_SIZE;
	bool ragged = event->offset % ZSBLK_BLOCK_SIZE || end % ZSBLK_BLOCK_SIZE;

	/* Of a request for nothing, nothing is to be told. */
	if (!event->len)
		return;
	tracer->last_us = event->time_ns > tracer->began_ns ? (event->time_ns - tracer->began_ns) / 1000 : 0;
	put_line(tracer, tracer->last_us, (char)(ops[event->op] + (ragged ? 'a' - 'A' : 0)), first, last - first);
	tracer->requests++;
}

static void put_head(struct tracer *tracer)
{
	time_t now = time(NULL);
	struct tm utc;
	char began[32] = "";

	if (gmtime_r(&now, &utc))
		strftime(began, sizeof began, "%Y-%m-%dT%H:%M:%SZ", &utc);
	tracer->length = (size_t)snprintf(
		tracer->text, TEXT,
		"# zsblk trace 1\n# device of %" PRIu64 " bytes, %s level %d, began %s\n"
		"# milliseconds, R(ead) W(rite) D(iscard) Z(eroes) or L(ost requests), first block,"
		" blocks of 4096 bytes; r w d z: parts of blocks\n",
		zsblk_size(tracer->dev), zsblk_algorithm_name(tracer->dev), zsblk_level(tracer->dev), began);
}

/* ------------------------------------------------------------------ the thread */

static void tell(struct tracer *tracer, enum tracer_state state, int error)
{
	pthread_mutex_lock(&tracer->lock);
	tracer->report.state = state;
	tracer->report.error = error;
	tracer->report.requests = tracer->requests;
	tracer->report.lost = tracer->lost;
	tracer->report.bytes = tracer->written;
	if (state != TRACER_RUNNING)
		tracer->report.seconds = (now_ns() - tracer->began_ns) / 1000000000;
	pthread_mutex_unlock(&tracer->lock);
}

/* Take what there is. 0, or a negative errno of the file; -EFBIG: it has its most bytes. */
static int drain(struct tracer *tracer)
{
	uint64_t lost = 0;
	unsigned n;
	int r = 0;

	do {
		n = zsblk_trace_take(tracer->trace, tracer->events, EVENTS, &lost);
		for (unsigned i = 0; i < n && !r; i++) {
			put_event(tracer, &tracer->events[i]);
			if (tracer->length > TEXT - 2 * LINE_MAX)
				r = write_text(tracer);
			if (tracer->written + tracer->length + 2 * LINE_MAX > tracer->report.max_bytes)
				r = -EFBIG;
		}
	} while (n == EVENTS && !r);
	if (lost != tracer->lost)
		put_line(tracer, tracer->last_us, 'L', 0, lost - tracer->lost);
	tracer->lost = lost;
	if (!r || r == -EFBIG) {
		int error = write_text(tracer);

		r = error ? error : r;
	}
	return r;
}

/* What could not be written is lost. */
static void forget(struct tracer *tracer)
{
	uint64_t lost = 0, forgotten = 0;
	unsigned n;

	while ((n = zsblk_trace_take(tracer->trace, tracer->events, EVENTS, &lost)) > 0)
		forgotten += n;
	tracer->lost = lost + forgotten;
}

/* True if the trace is to end. */
static bool wait_for_next(struct tracer *tracer)
{
	struct timespec next;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &next);
	next.tv_nsec += TICK_MS * 1000000;
	next.tv_sec += next.tv_nsec / 1000000000;
	next.tv_nsec %= 1000000000;
	pthread_mutex_lock(&tracer->lock);
	while (!tracer->stop && pthread_cond_timedwait(&tracer->wake, &tracer->lock, &next) != ETIMEDOUT)
		;
	stop = tracer->stop;
	pthread_mutex_unlock(&tracer->lock);
	return stop;
}

static enum tracer_state state_after(int error)
{
	return error == 0 ? TRACER_ENDED : error == -EFBIG ? TRACER_FULL : TRACER_FAILED;
}

static void *run(void *opaque)
{
	struct tracer *tracer = opaque;
	bool stop;
	int r = 0;

	thread_become_ordinary();
	do {
		stop = wait_for_next(tracer);
		if (stop)
			zsblk_trace_stop(tracer->trace);
		if (spare_memory_for(&tracer->spare, false))
			r = drain(tracer);
		else if (stop)
			forget(tracer);
		if (!r)
			tell(tracer, TRACER_RUNNING, 0);
	} while (!stop && !r);
	zsblk_trace_stop(tracer->trace);
	tell(tracer, state_after(r), -r);
	return NULL;
}

/* ------------------------------------------------------------------ life */

int tracer_create(struct tracer **result, struct zsblk *dev)
{
	struct tracer *tracer = calloc(1, sizeof *tracer);
	pthread_condattr_t attr;

	if (!tracer)
		return -ENOMEM;
	tracer->dev = dev;
	tracer->fd = -1;
	pthread_mutex_init(&tracer->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&tracer->wake, &attr);
	pthread_condattr_destroy(&attr);
	*result = tracer;
	return 0;
}

void tracer_destroy(struct tracer *tracer)
{
	if (!tracer)
		return;
	tracer_stop(tracer);
	pthread_cond_destroy(&tracer->wake);
	pthread_mutex_destroy(&tracer->lock);
	free(tracer);
}

/* What a trace has beside its thread. */
static void let_go(struct tracer *tracer)
{
	zsblk_trace_end(tracer->trace);
	tracer->trace = NULL;
	spare_close(&tracer->spare);
	close(tracer->fd);
	tracer->fd = -1;
}

static bool is_running(struct tracer *tracer)
{
	struct tracer_report report;

	tracer_look(tracer, &report);
	return report.state == TRACER_RUNNING;
}

static void begin_report(struct tracer *tracer, const char *path, uint64_t max_bytes)
{
	pthread_mutex_lock(&tracer->lock);
	tracer->report = (struct tracer_report){.state = TRACER_RUNNING, .max_bytes = max_bytes};
	snprintf(tracer->report.path, sizeof tracer->report.path, "%s", path);
	tracer->stop = false;
	pthread_mutex_unlock(&tracer->lock);
	tracer->written = tracer->requests = tracer->lost = tracer->last_us = 0;
	/* Brings the buffers into memory as well. */
	memset(tracer->text, 0, sizeof tracer->text);
	memset(tracer->events, 0, sizeof tracer->events);
	put_head(tracer);
}

int tracer_start(struct tracer *tracer, const char *path, uint64_t max_bytes, struct zsblk_why *why)
{
	int r, fd, folder = -1;

	if (is_running(tracer))
		return refuse(why, -EBUSY, "a trace is being recorded to %.300s; stop it first", tracer->report.path);
	if (max_bytes < TRACER_MAX_LEAST)
		return refuse(why, -EINVAL, "%" PRIu64 " bytes are too few for a trace; give %u at least", max_bytes,
			      TRACER_MAX_LEAST);
	/* One that has ended by itself still has its memory. */
	tracer_stop(tracer);
	fd = open_file(path, &folder, why);
	if (fd < 0)
		return fd;
	tracer->fd = fd;
	spare_open(&tracer->spare, NULL);
	tracer->began_ns = now_ns();
	begin_report(tracer, path, max_bytes);
	r = zsblk_trace_begin(tracer->dev, ROOM, &tracer->trace, why);
	if (!r) {
		r = thread_start_background(&tracer->thread, "zsblk-trace", run, tracer);
		if (r)
			refuse(why, r, "the thread of the trace cannot be started: %s", strerror(-r));
	}
	tracer->has_thread = !r;
	if (r) {
		/* In the folder that was looked at: the path may lead elsewhere by now. */
		unlinkat(folder, strrchr(path, '/') + 1, 0);
		let_go(tracer);
		tell(tracer, TRACER_NONE, 0);
	}
	close(folder);
	return r;
}

void tracer_stop(struct tracer *tracer)
{
	if (!tracer->has_thread)
		return;
	pthread_mutex_lock(&tracer->lock);
	tracer->stop = true;
	pthread_cond_signal(&tracer->wake);
	pthread_mutex_unlock(&tracer->lock);
	pthread_join(tracer->thread, NULL);
	tracer->has_thread = false;
	let_go(tracer);
}

void tracer_look(struct tracer *tracer, struct tracer_report *report)
{
	pthread_mutex_lock(&tracer->lock);
	*report = tracer->report;
	pthread_mutex_unlock(&tracer->lock);
	if (report->state == TRACER_RUNNING)
		report->seconds = (now_ns() - tracer->began_ns) / 1000000000;
}
