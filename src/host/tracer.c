/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trace file. See tracer.h.
 *
 *   requests -> rings of the engine (zsblk_trace.h) -> this thread, every TICK_MS -> text -> file
 *
 * 1. All memory is made before the first request is recorded. The thread allocates nothing, and is an ordinary one (thread.h).
 * 2. A file needs pages of the system. While there are none to spare, nothing is taken and nothing is written: a thread that waits for a page
 *    keeps a killed process from ending, and then no other server could take over. The rings fill up, and what comes then is counted as lost.
 * 3. Only the thread calls the file system, between to_file() and from_file(). A call that does not return within PATIENCE_MS is given up:
 *    then the thread has its file for itself. When the call returns after all, the thread lets go of the file and ends, and touches
 *    nothing of the device.
 *
 * Lock: `lock` protects the members behind it. Nothing waits under it.
 */
#include "host/tracer.h"

#include "host/refuse.h"
#include "host/tracer_file.h"
#include "process/spare.h"
#include "process/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* 160,000 requests a second of one context fit between two looks. */
#define TICK_MS 50
#define ROOM    8192u
#define EVENTS  512u
#define TEXT    (64u * 1024)
/* A line: a time of 20 digits with a point, an operation, two numbers of up to 20. */
#define LINE_MAX 80u
/* Of events that are taken before the next look at `stop`. */
#define TAKE_MAX (16 * EVENTS)
/* A file system that works takes what is in the rings in less. */
#define PATIENCE_MS 3000

struct tracer {
	struct zsblk *dev;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* the trace is to end */
	pthread_cond_t told; /* `opened` or `ended` */
	struct tracer_report report;
	uint64_t began_ns;
	bool stop;      /* the trace is to end */
	bool opened;    /* the thread has tried to make the file, and has `error` and `why` */
	bool ended;     /* the thread touches nothing any more */
	bool at_file;   /* the thread is in a call of the file system, which may never return */
	bool given_up;  /* nobody waits for the thread any more */
	bool is_orphan; /* tracer_destroy() has left all to a thread that was given up */
	int error;
	struct zsblk_why why;
	/* Of tracer_start() and tracer_stop(), which do not run at the same time. */
	bool has_thread;
	pthread_t thread;
	/* The thread's, as long as there is one. */
	struct zsblk_trace *trace;
	char path[TRACER_PATH_MAX];
	uint64_t max_bytes;
	int fd;
	bool is_alone; /* what it has seen of `given_up` */
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

static struct timespec after_ms(uint64_t ms)
{
	uint64_t ns = now_ns() + ms * 1000000;

	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

/* ------------------------------------------------------------------ the file */

/* Before a call of the file system, and after it. */
static void to_file(struct tracer *tracer)
{
	pthread_mutex_lock(&tracer->lock);
	tracer->at_file = true;
	pthread_mutex_unlock(&tracer->lock);
}

static void from_file(struct tracer *tracer)
{
	pthread_mutex_lock(&tracer->lock);
	tracer->at_file = false;
	tracer->is_alone = tracer->given_up;
	pthread_mutex_unlock(&tracer->lock);
}

static int write_text(struct tracer *tracer)
{
	const char *text = tracer->text;

	while (tracer->length) {
		ssize_t n;
		int error;

		to_file(tracer);
		n = write(tracer->fd, text, tracer->length);
		error = n < 0 ? errno : 0;
		from_file(tracer);
		if (tracer->is_alone)
			return -ETIMEDOUT;
		if (error && error != EINTR)
			return -error;
		if (n > 0) {
			text += n;
			tracer->length -= (size_t)n;
			tracer->written += (uint64_t)n;
		}
	}
	return 0;
}

/* 0 or a negative errno: some file systems tell only now what became of earlier writes. */
static int close_file(struct tracer *tracer)
{
	int r;

	to_file(tracer);
	r = close(tracer->fd) < 0 && errno != EINTR ? -errno : 0;
	from_file(tracer);
	tracer->fd = -1;
	return r;
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

/*
 * Take what there is, but no more than TAKE_MAX: requests may come as fast as they are written. *more: there may be more. 0, or a negative
 * errno of the file; -EFBIG: it has its most bytes.
 */
static int drain(struct tracer *tracer, bool *more)
{
	uint64_t lost = 0;
	unsigned n, taken = 0;
	int r = 0;

	do {
		n = zsblk_trace_take(tracer->trace, tracer->events, EVENTS, &lost);
		taken += n;
		for (unsigned i = 0; i < n && !r; i++) {
			put_event(tracer, &tracer->events[i]);
			if (tracer->length > TEXT - 2 * LINE_MAX)
				r = write_text(tracer);
			if (!r && tracer->written + tracer->length + 2 * LINE_MAX > tracer->max_bytes)
				r = -EFBIG;
		}
	} while (n == EVENTS && taken < TAKE_MAX && !r);
	*more = n == EVENTS && !r;
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
static bool wait_for_next(struct tracer *tracer, bool at_once)
{
	struct timespec next = after_ms(TICK_MS);
	bool stop;

	pthread_mutex_lock(&tracer->lock);
	while (!at_once && !tracer->stop && pthread_cond_timedwait(&tracer->wake, &tracer->lock, &next) != ETIMEDOUT)
		;
	stop = tracer->stop;
	pthread_mutex_unlock(&tracer->lock);
	return stop;
}

static enum tracer_state state_after(int error)
{
	return error == 0 ? TRACER_ENDED : error == -EFBIG ? TRACER_FULL : TRACER_FAILED;
}

/* False: there is no file, and no trace begins. */
static bool make_file(struct tracer *tracer)
{
	struct zsblk_why why = {.text = ""};
	int folder = -1, fd;

	to_file(tracer);
	fd = tracer_file_open(tracer->path, &folder, &why);
	from_file(tracer);
	/* In the folder that was looked at: the path may lead elsewhere by now. */
	if (fd >= 0 && tracer->is_alone)
		unlinkat(folder, strrchr(tracer->path, '/') + 1, 0);
	if (folder >= 0)
		close(folder);
	tracer->fd = fd;
	if (tracer->is_alone)
		return false;
	pthread_mutex_lock(&tracer->lock);
	tracer->opened = true;
	tracer->error = fd < 0 ? fd : 0;
	tracer->why = why;
	if (fd >= 0) {
		tracer->report = (struct tracer_report){.state = TRACER_RUNNING, .max_bytes = tracer->max_bytes};
		memcpy(tracer->report.path, tracer->path, sizeof tracer->report.path);
	}
	pthread_cond_signal(&tracer->told);
	pthread_mutex_unlock(&tracer->lock);
	return fd >= 0;
}

static void record(struct tracer *tracer)
{
	bool stop, more = false;
	int r = 0, error;

	do {
		stop = wait_for_next(tracer, more);
		if (stop)
			zsblk_trace_stop(tracer->trace);
		more = false;
		if (spare_memory_for(&tracer->spare, false))
			r = drain(tracer, &more);
		else if (stop)
			forget(tracer);
		if (!r)
			tell(tracer, TRACER_RUNNING, 0);
	} while (!r && (!stop || more));
	if (tracer->is_alone)
		return;
	zsblk_trace_stop(tracer->trace);
	error = close_file(tracer);
	if (tracer->is_alone)
		return;
	r = r ? r : error;
	tell(tracer, state_after(r), -r);
}

static void destroy(struct tracer *tracer)
{
	pthread_cond_destroy(&tracer->told);
	pthread_cond_destroy(&tracer->wake);
	pthread_mutex_destroy(&tracer->lock);
	free(tracer);
}

static void *run(void *opaque)
{
	struct tracer *tracer = opaque;
	bool is_orphan;

	thread_become_ordinary();
	if (make_file(tracer))
		record(tracer);
	if (tracer->fd >= 0)
		close_file(tracer);
	pthread_mutex_lock(&tracer->lock);
	tracer->ended = true;
	is_orphan = tracer->is_orphan;
	pthread_cond_signal(&tracer->told);
	pthread_mutex_unlock(&tracer->lock);
	if (is_orphan)
		destroy(tracer);
	return NULL;
}

/* ------------------------------------------------------------------ who waits for the thread */

/* With `lock`: wait for `opened` or `ended`. False: the file system does not answer, and the thread was given up. */
static bool wait_for(struct tracer *tracer, const bool *what)
{
	struct timespec until = after_ms(PATIENCE_MS);

	while (!*what) {
		if (pthread_cond_timedwait(&tracer->told, &tracer->lock, &until) != ETIMEDOUT || *what)
			continue;
		if (tracer->at_file) {
			tracer->given_up = true;
			return false;
		}
		until = after_ms(TICK_MS);
	}
	return true;
}

/* A thread that was given up is still at its file. */
static bool is_left(struct tracer *tracer)
{
	bool left;

	pthread_mutex_lock(&tracer->lock);
	left = tracer->given_up && !tracer->ended;
	pthread_mutex_unlock(&tracer->lock);
	return left;
}

static int wait_for_file(struct tracer *tracer, struct zsblk_why *why)
{
	bool answered;

	pthread_mutex_lock(&tracer->lock);
	answered = wait_for(tracer, &tracer->opened);
	if (answered)
		*why = tracer->why;
	pthread_mutex_unlock(&tracer->lock);
	return answered ? tracer->error
			: host_refuse(why, -ETIMEDOUT,
				      "%.300s: the file system does not answer; name a file on one that does",
				      tracer->path);
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
	pthread_cond_init(&tracer->told, &attr);
	pthread_condattr_destroy(&attr);
	*result = tracer;
	return 0;
}

void tracer_destroy(struct tracer *tracer)
{
	bool left;

	if (!tracer)
		return;
	tracer_stop(tracer);
	pthread_mutex_lock(&tracer->lock);
	left = tracer->is_orphan = tracer->given_up && !tracer->ended;
	pthread_mutex_unlock(&tracer->lock);
	if (!left)
		destroy(tracer);
}

/* What a trace has beside its thread and its file. */
static void let_go(struct tracer *tracer)
{
	zsblk_trace_end(tracer->trace);
	tracer->trace = NULL;
	spare_close(&tracer->spare);
}

/* For a thread that is to begin. */
static void prepare(struct tracer *tracer, const char *path, uint64_t max_bytes)
{
	pthread_mutex_lock(&tracer->lock);
	tracer->stop = tracer->opened = tracer->ended = tracer->at_file = tracer->given_up = false;
	tracer->began_ns = now_ns();
	pthread_mutex_unlock(&tracer->lock);
	tracer->is_alone = false;
	tracer->fd = -1;
	snprintf(tracer->path, sizeof tracer->path, "%s", path);
	tracer->max_bytes = max_bytes;
	tracer->written = tracer->requests = tracer->lost = tracer->last_us = 0;
	/* Brings the buffers into memory as well. */
	memset(tracer->text, 0, sizeof tracer->text);
	memset(tracer->events, 0, sizeof tracer->events);
	put_head(tracer);
}

/* A trace that can be begun? */
static int check(struct tracer *tracer, const char *path, uint64_t max_bytes, struct zsblk_why *why)
{
	struct tracer_report report;

	tracer_look(tracer, &report);
	if (report.state == TRACER_RUNNING)
		return host_refuse(why, -EBUSY, "a trace is being recorded to %.300s; stop it first", report.path);
	if (max_bytes < TRACER_MAX_LEAST)
		return host_refuse(why, -EINVAL, "%" PRIu64 " bytes are too few for a trace; give %u at least",
				   max_bytes, TRACER_MAX_LEAST);
	if (!tracer_file_is_path(path))
		return host_refuse(why, -EINVAL,
				   "'%.100s' is no path of a file that begins with / and has less than %u bytes", path,
				   TRACER_PATH_MAX);
	if (is_left(tracer))
		return host_refuse(why, -EBUSY, "the file system of an earlier trace, %.300s, has not answered yet",
				   tracer->path);
	return 0;
}

int tracer_start(struct tracer *tracer, const char *path, uint64_t max_bytes, struct zsblk_why *why)
{
	int r = check(tracer, path, max_bytes, why);

	if (r)
		return r;
	/* One that has ended by itself still has its memory. */
	tracer_stop(tracer);
	prepare(tracer, path, max_bytes);
	spare_open(&tracer->spare, NULL);
	r = zsblk_trace_begin(tracer->dev, ROOM, &tracer->trace, why);
	if (!r) {
		r = thread_start_background(&tracer->thread, "zsblk-trace", run, tracer);
		if (r)
			host_refuse(why, r, "the thread of the trace cannot be started: %s", strerror(-r));
	}
	if (r) {
		let_go(tracer);
		return r;
	}
	tracer->has_thread = true;
	r = wait_for_file(tracer, why);
	if (r)
		tracer_stop(tracer);
	return r;
}

void tracer_stop(struct tracer *tracer)
{
	bool left;

	if (!tracer->has_thread)
		return;
	pthread_mutex_lock(&tracer->lock);
	tracer->stop = true;
	pthread_cond_signal(&tracer->wake);
	left = tracer->given_up || !wait_for(tracer, &tracer->ended);
	if (left && tracer->report.state == TRACER_RUNNING) {
		tracer->report.state = TRACER_FAILED;
		tracer->report.error = ETIMEDOUT;
		tracer->report.seconds = (now_ns() - tracer->began_ns) / 1000000000;
	}
	pthread_mutex_unlock(&tracer->lock);
	if (left)
		pthread_detach(tracer->thread);
	else
		pthread_join(tracer->thread, NULL);
	tracer->has_thread = false;
	let_go(tracer);
}

void tracer_look(struct tracer *tracer, struct tracer_report *report)
{
	pthread_mutex_lock(&tracer->lock);
	*report = tracer->report;
	if (report->state == TRACER_RUNNING)
		report->seconds = (now_ns() - tracer->began_ns) / 1000000000;
	pthread_mutex_unlock(&tracer->lock);
}
