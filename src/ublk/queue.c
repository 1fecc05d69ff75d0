/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue and its thread. See queue.h.
 *
 *   driver: a request has the tag --completion--> thread: descriptor[tag], request_serve() --COMMIT_AND_FETCH--> driver
 *
 * Q1 Between queue_fetch() and the end of the device each tag is either with the driver, as one entry of the ring in flight, or
 *    with the thread. So the ring has room for an entry of every tag, and io_uring_get_sqe() never fails.
 * Q2 The thread allocates nothing once it serves: stack, ring and buffer are in memory.
 *
 * `lock` and `changed` are for the life of the thread: `phase` and `error`. No request is served under the lock.
 */
#include "ublk/queue.h"

#include "process/system_page.h"
#include "process/thread.h"
#include "ublk/driver.h"
#include "ublk/why.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The compressors take less than 80 KiB of it. */
#define STACK_BYTES (256u << 10)
#define TOUCH_BYTES (160u << 10)

/* Answers go to the driver when so much has been served, even if further requests are there already: somebody waits for each. */
#define BATCH_BYTES (16u << 10)

enum phase {
	STARTING, /* the thread gets its memory */
	READY,    /* it waits for a descriptor, or to be told to end */
	ARMING,
	ARMED,   /* it waits at the gate */
	REFUSED, /* the driver took none of its tags; as READY */
	SERVING,
	ENDED,
};

struct queue {
	struct queue_params params;
	struct io_uring ring;
	struct request_place place;
	_Atomic(const struct uapi_descriptor *) descriptors;
	/* The thread's own. */
	unsigned tags_out;     /* with the driver or with the thread: not given back to a device that ends */
	int refused;           /* what the driver said of a tag, other than UAPI_GONE; 0: nothing */
	bool is_refused_whole; /* the last fetch: no tag was taken */

	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum phase phase;
	int error;
	struct zsblk_why why;
};

/* ------------------------------------------------------------------ life of the thread */

static void enter(struct queue *queue, enum phase phase, int error)
{
	pthread_mutex_lock(&queue->lock);
	queue->phase = phase;
	queue->error = error;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* Until the phase is another one. Returns the error with which that was entered. */
static int wait_beyond(struct queue *queue, enum phase phase)
{
	int error;

	pthread_mutex_lock(&queue->lock);
	while (queue->phase <= phase)
		pthread_cond_wait(&queue->changed, &queue->lock);
	error = queue->error;
	pthread_mutex_unlock(&queue->lock);
	return error;
}

/* Until there is something to fetch from, or the thread is to end. */
static void wait_until_armed(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	while (queue->phase == READY || queue->phase == REFUSED)
		pthread_cond_wait(&queue->changed, &queue->lock);
	pthread_mutex_unlock(&queue->lock);
}

/* ------------------------------------------------------------------ serving */

static void prepare_io(struct queue *queue, unsigned op, uint16_t tag, int result)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);
	struct uapi_io io = {.queue = queue->params.number, .tag = tag, .result = result};

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, queue->place.fd, NULL, 0, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &io, sizeof io);
	sqe->user_data = tag;
}

/* Returns roughly how much work it was, in bytes. */
static unsigned serve(struct queue *queue, uint16_t tag)
{
	struct uapi_descriptor request = atomic_load_explicit(&queue->descriptors, memory_order_acquire)[tag];
	int result = request_serve(&queue->place, queue->params.number, tag, &request);

	if (request.op_flags & UAPI_REQUEST_IS_SWAP)
		atomic_fetch_add_explicit(queue->params.swap_requests, 1, memory_order_relaxed);
	prepare_io(queue, UAPI_COMMIT_AND_FETCH, tag, result);
	return result > 0 ? (unsigned)result : ZSBLK_BLOCK_SIZE;
}

/* All completions that are there. Returns 0, or a negative errno if the ring fails. */
static int serve_all(struct queue *queue)
{
	struct io_uring_cqe *cqe;
	unsigned work = 0;
	int r = 0;

	while (r >= 0 && io_uring_peek_cqe(&queue->ring, &cqe) == 0) {
		uint16_t tag = (uint16_t)cqe->user_data;
		int res = cqe->res;

		io_uring_cqe_seen(&queue->ring, cqe);
		if (res != UAPI_REQUEST) {
			/* UAPI_GONE, or a fetch that the driver does not take. */
			queue->tags_out--;
			if (res != UAPI_GONE && !queue->refused)
				queue->refused = res;
			continue;
		}
		work += serve(queue, tag);
		if (work >= BATCH_BYTES) {
			r = io_uring_submit(&queue->ring);
			work = 0;
		}
	}
	return r < 0 ? r : 0;
}

static int serve_until_gone(struct queue *queue)
{
	while (queue->tags_out) {
		int r = io_uring_submit_and_wait(&queue->ring, 1);

		if (r < 0 && r != -EINTR)
			return r;
		r = serve_all(queue);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ------------------------------------------------------------------ the thread */

__attribute__((noinline)) static void touch_stack(void)
{
	volatile char stack[TOUCH_BYTES];

	for (size_t at = 0; at < sizeof stack; at += (size_t)system_page())
		stack[at] = 0;
}

/*
 * The task that makes the ring has to be the one that uses it. Requests come when it waits for them, without an interrupt of
 * what it does (DEFER_TASKRUN).
 */
static int make_ring(struct queue *queue)
{
	int r = io_uring_queue_init(queue->params.depth, &queue->ring,
				    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	if (r < 0)
		return driver_ring_refused(r, &queue->why);
	fcntl(queue->ring.ring_fd, F_SETFD, FD_CLOEXEC);
	/* Spares a look into the table of files for each call; also right without. */
	io_uring_register_ring_fd(&queue->ring);
	return 0;
}

/* There are no requests before the device is started: what is there is refusals. */
static int take_refusals(struct queue *queue)
{
	struct io_uring_cqe *cqe;
	unsigned refused = 0;
	int first = 0;

	while (io_uring_peek_cqe(&queue->ring, &cqe) == 0) {
		if (!refused++)
			first = cqe->res < 0 ? cqe->res : -EIO;
		io_uring_cqe_seen(&queue->ring, cqe);
	}
	queue->is_refused_whole = refused == queue->params.depth;
	return refused ? why_say(&queue->why, first, "queue %u: the driver refuses its tags: %s", queue->params.number,
				 strerror(-first))
		       : 0;
}

/* One system call, in which a thread that is killed goes on to its end. All threads come to it at the same moment: gate.h. */
static int fetch_all(struct queue *queue)
{
	int r;

	queue->is_refused_whole = false;
	for (unsigned tag = 0; tag < queue->params.depth; tag++)
		prepare_io(queue, UAPI_FETCH, (uint16_t)tag, -1);
	enter(queue, ARMED, 0);
	if (gate_wait(queue->params.gate) == GATE_GIVEN_UP)
		return -ECANCELED;
	r = io_uring_submit(&queue->ring);
	if (r != queue->params.depth)
		return why_say(&queue->why, r < 0 ? r : -EIO, "queue %u: the driver took %d requests of %u",
			       queue->params.number, r, queue->params.depth);
	queue->tags_out = queue->params.depth;
	return take_refusals(queue);
}

/* Until the driver has all tags. If it takes none of them, the thread waits for the next queue_fetch(). */
static int fetch_until_taken(struct queue *queue)
{
	for (;;) {
		int r;

		wait_until_armed(queue);
		if (gate_look(queue->params.gate) == GATE_GIVEN_UP)
			return -ECANCELED;
		r = fetch_all(queue);
		if (!r || !queue->is_refused_whole)
			return r;
		enter(queue, REFUSED, r);
	}
}

static void *run(void *opaque)
{
	struct queue *queue = opaque;
	int r;

	/* A set that is not allowed here (cpuset) leaves the thread where it may be. */
	(void)pthread_setaffinity_np(pthread_self(), sizeof queue->params.processors, queue->params.processors.sets);
	touch_stack();
	r = make_ring(queue);
	enter(queue, r < 0 ? ENDED : READY, r);
	if (r < 0)
		return NULL;
	r = fetch_until_taken(queue);
	if (!r) {
		enter(queue, SERVING, 0);
		r = serve_until_gone(queue);
	}
	io_uring_queue_exit(&queue->ring);
	enter(queue, ENDED, r ? r : queue->refused);
	(void)!write(queue->params.ended_fd, &(uint64_t){1}, sizeof(uint64_t));
	return NULL;
}

/* ------------------------------------------------------------------ from outside */

static int start_thread(struct queue *queue)
{
	sigset_t all, before;
	pthread_attr_t attr;
	char name[16];
	int r;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, thread_stack_bytes(STACK_BYTES));
	r = pthread_create(&queue->thread, &attr, run, queue);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	queue->has_thread = true;
	snprintf(name, sizeof name, "zsblk-q%u", queue->params.number);
	(void)pthread_setname_np(queue->thread, name);
	return 0;
}

int queue_create(struct queue **result, const struct queue_params *params, struct zsblk_why *why)
{
	struct queue *queue = calloc(1, sizeof *queue);
	void *buffer = mmap(NULL, REQUEST_BUFFER_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int r;

	if (!queue || buffer == MAP_FAILED) {
		if (buffer != MAP_FAILED)
			munmap(buffer, REQUEST_BUFFER_BYTES);
		free(queue);
		return why_say(why, -ENOMEM, "queue %u: no memory for its buffer of %u KiB", params->number,
			       REQUEST_BUFFER_BYTES >> 10);
	}
	queue->params = *params;
	queue->place = (struct request_place){.device = params->device, .fd = -1, .buffer = buffer};
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	r = start_thread(queue);
	if (r)
		why_say(why, r, "queue %u: its thread cannot be started: %s", params->number, strerror(-r));
	if (!r) {
		r = wait_beyond(queue, STARTING);
		if (r)
			*why = queue->why;
	}
	if (r) {
		queue_join(queue);
		return r;
	}
	*result = queue;
	return 0;
}

static size_t descriptors_bytes(const struct queue *queue)
{
	return system_page_ceil(queue->params.depth * sizeof(struct uapi_descriptor));
}

int queue_fetch(struct queue *const *queues, unsigned n, int fd, struct zsblk_why *why)
{
	int first = 0;

	if (n)
		gate_set(queues[0]->params.gate, GATE_SHUT);
	for (unsigned i = 0; i < n; i++) {
		queues[i]->place.fd = fd;
		enter(queues[i], ARMING, 0);
	}
	for (unsigned i = 0; i < n; i++)
		wait_beyond(queues[i], ARMING);
	if (n)
		gate_set(queues[0]->params.gate, GATE_OPEN);
	for (unsigned i = 0; i < n; i++) {
		int r = wait_beyond(queues[i], ARMED);

		if (r && !first) {
			first = r;
			*why = queues[i]->why;
		}
	}
	return first;
}

int queue_map(struct queue *queue, struct zsblk_why *why)
{
	uint64_t at = queue->params.number * (uint64_t)system_page_ceil(UAPI_QUEUE_STRIDE);
	void *descriptors =
		mmap(NULL, descriptors_bytes(queue), PROT_READ, MAP_SHARED | MAP_POPULATE, queue->place.fd, (off_t)at);

	if (descriptors == MAP_FAILED)
		return why_say(why, -errno, "queue %u: its descriptors cannot be mapped: %s", queue->params.number,
			       strerror(errno));
	atomic_store_explicit(&queue->descriptors, descriptors, memory_order_release);
	return 0;
}

bool queue_is_refused(struct queue *queue)
{
	bool is_refused;

	pthread_mutex_lock(&queue->lock);
	is_refused = queue->phase == REFUSED;
	pthread_mutex_unlock(&queue->lock);
	return is_refused;
}

int queue_error(struct queue *queue)
{
	int error;

	pthread_mutex_lock(&queue->lock);
	error = queue->phase == ENDED ? queue->error : 0;
	pthread_mutex_unlock(&queue->lock);
	return error;
}

/* A thread that has fetched nothing yet is told that it will not. */
static void send_home(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	if (queue->phase <= REFUSED)
		gate_set(queue->params.gate, GATE_GIVEN_UP);
	if (queue->phase == READY || queue->phase == REFUSED) {
		queue->phase = ARMING;
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
}

void queue_join(struct queue *queue)
{
	if (!queue)
		return;
	if (queue->has_thread) {
		send_home(queue);
		pthread_join(queue->thread, NULL);
	}
	if (queue->descriptors)
		munmap((void *)queue->descriptors, descriptors_bytes(queue));
	munmap(queue->place.buffer, REQUEST_BUFFER_BYTES);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}
