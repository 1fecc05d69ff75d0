/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store behind an NBD server: one thread, one connection, over libnbd. See parts.h.
 *
 *          begin                 ready                    it is our store
 *   DOWN ----------> CONNECTING --------> CHECKING ---------------------> UP
 *    ^                   |                   |                            |
 *    +--- later ---------+-------------------+----------------------------+   refused, lost, too slow, another store
 *
 * The connection is made again for as long as it takes, with pauses from 100 ms to 5 s. Each time the first page is
 * read: behind the same address there may be another store now. When a connection is lost, reads are sent again on the
 * next one. Writes are not: the server may have carried them out, or may do so later (log.c).
 *
 * A server that does not answer in time is taken for lost: the connection is broken off. That is the only way to have
 * the buffers back.
 *
 * libnbd finds the host's address within nbd_aio_connect_uri(), which may wait for a name server. Reads end by their
 * deadlines meanwhile, since the clock has a thread of its own.
 */
#include "process/thread.h"
#include "spill/parts.h"

#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SENT_MOST  (SPILL_DEPTH_MOST + 2u) /* reads, and one transfer each of the log and of cleaning */
#define PAUSE_NS   UINT64_C(100000000)
#define PAUSE_MOST UINT64_C(5000000000)
/* TLS libraries want more of a stack than other work in the background does. */
#define STACK_BYTES (512u * 1024)

enum stage { DOWN, CONNECTING, CHECKING, UP };

struct nbd {
	struct spill_store *store;
	char *uri;
	struct nbd_handle *handle;
	enum stage stage;
	uint64_t next_ns; /* DOWN: when to begin; CONNECTING, CHECKING: when it has taken too long */
	uint64_t pause_ns;
	int64_t check; /* cookie of the read of the first page */
	uint8_t *page;
	struct {
		struct spill_io *io; /* NULL: not used */
		uint64_t cookie;
		bool is_flushing; /* it was written, and this is the flush after it */
	} sent[SENT_MOST];
	int wake; /* eventfd */
	bool has_thread;
	pthread_t thread;
	/* Under the store's lock. */
	bool is_resetting, has_begun, is_ending;
	int first_error; /* of the first connection, for spill_make() and spill_open() */
	char first_text[200];
};

/* ------------------------------------------------------------------ the end of a connection */

/* Reads go back to the queue. Of what changes the store the end is not known. */
static void give_back(struct nbd *nbd)
{
	struct spill_store *store = nbd->store;

	for (unsigned i = 0; i < SENT_MOST; i++) {
		struct spill_io *io = nbd->sent[i].io;

		nbd->sent[i].io = NULL;
		if (io && io->kind == SPILL_IO_READ) {
			pthread_mutex_lock(&store->lock);
			spill_queue_again(store, io);
			pthread_mutex_unlock(&store->lock);
		} else if (io) {
			spill_io_end(store, io, -EIO, 0, true);
		}
	}
}

/* Reads whose readers have given up, in the queue, would keep their slots while the server is away. */
static void end_abandoned(struct nbd *nbd)
{
	struct spill_store *store = nbd->store;

	for (unsigned i = 0; i < store->depth; i++) {
		struct spill_slot *slot = &store->slots[i];
		bool is_abandoned;

		pthread_mutex_lock(&store->lock);
		is_abandoned = !slot->read && spill_queue_withdraw(store, &slot->io);
		pthread_mutex_unlock(&store->lock);
		if (is_abandoned)
			spill_io_end(store, &slot->io, -ETIMEDOUT, 0, false);
	}
}

static void lose(struct nbd *nbd, int error, const char *text)
{
	struct spill_store *store = nbd->store;

	if (nbd->handle)
		nbd_close(nbd->handle);
	nbd->handle = NULL;
	give_back(nbd);
	end_abandoned(nbd);
	pthread_mutex_lock(&store->lock);
	if (!nbd->has_begun) {
		nbd->has_begun = true;
		nbd->first_error = error;
		strncpy(nbd->first_text, text, sizeof nbd->first_text - 1);
		pthread_cond_broadcast(&store->ended);
	} else if (nbd->stage == UP) {
		store->stats.reconnects++;
	}
	nbd->is_resetting = false;
	spill_reachable(store, false);
	spill_trouble(store, "no connection to the NBD server: %s", text);
	pthread_mutex_unlock(&store->lock);
	nbd->stage = DOWN;
	nbd->next_ns = spill_now_ns() + nbd->pause_ns;
	nbd->pause_ns = nbd->pause_ns * 2 < PAUSE_MOST ? nbd->pause_ns * 2 : PAUSE_MOST;
}

/* What libnbd says of the last call of this thread, without the name of its function. */
static const char *libnbd_says(void)
{
	const char *text = nbd_get_error(), *rest = text ? strstr(text, ": ") : NULL;

	return rest ? rest + 2 : text ? text : "unknown error";
}

static void lose_by_error(struct nbd *nbd)
{
	int error = nbd_get_errno();

	lose(nbd, error ? -error : -ECONNRESET, libnbd_says());
}

/* ------------------------------------------------------------------ a new connection */

static void begin(struct nbd *nbd)
{
	nbd->handle = nbd_create();
	nbd->stage = CONNECTING;
	nbd->next_ns = spill_now_ns() + nbd->store->deadline_ns;
	if (!nbd->handle || nbd_set_uri_allow_local_file(nbd->handle, true) < 0 ||
	    nbd_set_pread_initialize(nbd->handle, false) < 0 || nbd_aio_connect_uri(nbd->handle, nbd->uri) < 0)
		lose_by_error(nbd);
}

/* What the export has to be. NULL: it is. */
static const char *unfit(struct nbd *nbd, int64_t size)
{
	struct spill_store *store = nbd->store;
	int64_t least = nbd_get_block_size(nbd->handle, LIBNBD_SIZE_MINIMUM);
	int64_t most = nbd_get_block_size(nbd->handle, LIBNBD_SIZE_MAXIMUM);

	if (nbd_is_read_only(nbd->handle) == 1)
		return "the export is read-only";
	if (least > SPILL_PAGE)
		return "the export has blocks of more than 4096 bytes";
	if (most > 0 && most < (int64_t)SPILL_BUCKET)
		return "the server takes requests of less than 1 MiB only";
	if (nbd->has_begun && (uint64_t)size < store->size)
		return "the export is smaller than it was";
	return NULL;
}

static void note_up(struct nbd *nbd)
{
	struct spill_store *store = nbd->store;

	nbd->stage = UP;
	nbd->pause_ns = PAUSE_NS;
	pthread_mutex_lock(&store->lock);
	nbd->has_begun = true;
	spill_reachable(store, true);
	pthread_cond_broadcast(&store->ended);
	pthread_mutex_unlock(&store->lock);
}

static void check_export(struct nbd *nbd)
{
	struct spill_store *store = nbd->store;
	int64_t size = nbd_get_size(nbd->handle);
	const char *why = size < 0 ? libnbd_says() : unfit(nbd, size);

	if (why) {
		lose(nbd, -EROFS, why);
		return;
	}
	if (!nbd->has_begun) {
		store->size = store->dirty_end = (uint64_t)size;
		store->can_discard = nbd_can_trim(nbd->handle) == 1;
	}
	if (!store->is_identified) {
		note_up(nbd);
		return;
	}
	nbd->stage = CHECKING;
	nbd->check = nbd_aio_pread(nbd->handle, nbd->page, SPILL_PAGE, 0, NBD_NULL_COMPLETION, 0);
	if (nbd->check < 0)
		lose_by_error(nbd);
}

static void check_page(struct nbd *nbd)
{
	int r = nbd_aio_command_completed(nbd->handle, (uint64_t)nbd->check);
	const char *differs;

	if (r == 0)
		return;
	if (r < 0) {
		lose_by_error(nbd);
		return;
	}
	differs = spill_store_differs(nbd->store, nbd->page);
	if (differs)
		lose(nbd, -ESTALE, differs);
	else
		note_up(nbd);
}

/* ------------------------------------------------------------------ transfers */

/*
 * What was written has to be on the medium before its objects count: the owner frees its own copies then, and the
 * server's machine can lose its power while ours goes on. A server that has neither FUA nor flush says that nothing of
 * that can happen.
 */
static bool needs_flush(const struct nbd *nbd, const struct spill_io *io)
{
	return io->kind == SPILL_IO_WRITE && nbd_can_fua(nbd->handle) != 1 && nbd_can_flush(nbd->handle) == 1;
}

static int64_t send_one(struct nbd *nbd, const struct spill_io *io)
{
	uint32_t fua = nbd_can_fua(nbd->handle) == 1 ? LIBNBD_CMD_FLAG_FUA : 0;

	switch (io->kind) {
	case SPILL_IO_READ:
		return nbd_aio_pread(nbd->handle, io->buffer, io->length, io->offset, NBD_NULL_COMPLETION, 0);
	case SPILL_IO_WRITE:
		return nbd_aio_pwrite(nbd->handle, io->buffer, io->length, io->offset, NBD_NULL_COMPLETION, fua);
	default:
		return nbd_aio_trim(nbd->handle, io->length, io->offset, NBD_NULL_COMPLETION, 0);
	}
}

static bool is_connected(const struct nbd *nbd)
{
	return nbd_aio_is_ready(nbd->handle) || nbd_aio_is_processing(nbd->handle);
}

/* It was not sent. A read can wait for the next connection. */
static void take_back(struct nbd *nbd, struct spill_io *io)
{
	int error = nbd_get_errno();

	if (io->kind != SPILL_IO_READ || is_connected(nbd)) {
		spill_io_end(nbd->store, io, error ? -error : -EIO, 0, false);
		return;
	}
	pthread_mutex_lock(&nbd->store->lock);
	spill_queue_again(nbd->store, io);
	pthread_mutex_unlock(&nbd->store->lock);
}

static void send_queued(struct nbd *nbd)
{
	struct spill_store *store = nbd->store;

	for (unsigned i = 0; i < SENT_MOST && is_connected(nbd); i++) {
		struct spill_io *io;
		int64_t cookie;

		if (nbd->sent[i].io)
			continue;
		pthread_mutex_lock(&store->lock);
		io = spill_queue_take(store);
		pthread_mutex_unlock(&store->lock);
		if (!io)
			return;
		cookie = send_one(nbd, io);
		if (cookie < 0) {
			take_back(nbd, io);
			continue;
		}
		nbd->sent[i].io = io;
		nbd->sent[i].cookie = (uint64_t)cookie;
		nbd->sent[i].is_flushing = false;
	}
}

/* What was written is flushed. Its end is not known before. False: the connection is of no use any more. */
static bool begin_flush(struct nbd *nbd, unsigned i)
{
	int64_t cookie = nbd_aio_flush(nbd->handle, NBD_NULL_COMPLETION, 0);

	if (cookie < 0)
		return false;
	nbd->sent[i].cookie = (uint64_t)cookie;
	nbd->sent[i].is_flushing = true;
	return true;
}

/*
 * Those that have an answer. A server that goes down says so (ESHUTDOWN), and the connection's end is ENOTCONN: both are
 * no answers. False: the connection is of no use any more.
 */
static bool collect_answers(struct nbd *nbd)
{
	for (unsigned i = 0; i < SENT_MOST; i++) {
		struct spill_io *io = nbd->sent[i].io;
		int r = io ? nbd_aio_command_completed(nbd->handle, nbd->sent[i].cookie) : 0, error;

		if (r == 0)
			continue;
		error = r < 0 ? nbd_get_errno() : 0;
		if (error == ENOTCONN || error == ESHUTDOWN)
			return false;
		if (!error && !nbd->sent[i].is_flushing && needs_flush(nbd, io)) {
			if (!begin_flush(nbd, i))
				return false;
			continue;
		}
		nbd->sent[i].io = NULL;
		spill_io_end(nbd->store, io, -error, error ? 0 : io->length, false);
	}
	return true;
}

/* ------------------------------------------------------------------ the thread */

static bool has_ended(const struct nbd *nbd)
{
	return nbd->handle && (nbd_aio_is_dead(nbd->handle) || nbd_aio_is_closed(nbd->handle));
}

static void follow(struct nbd *nbd)
{
	bool is_over = has_ended(nbd);

	if (nbd->stage == UP) {
		bool is_useful = collect_answers(nbd);

		if (is_useful && !is_over)
			send_queued(nbd);
		else
			lose(nbd, -ECONNRESET, is_over ? "the connection has ended" : "the server goes down");
		return;
	}
	if (nbd->stage == DOWN) {
		if (spill_now_ns() >= nbd->next_ns)
			begin(nbd);
		return;
	}
	if (is_over)
		lose_by_error(nbd);
	else if (spill_now_ns() >= nbd->next_ns)
		lose(nbd, -ETIMEDOUT, "no answer in time");
	else if (nbd->stage == CONNECTING && nbd_aio_is_ready(nbd->handle))
		check_export(nbd);
	else if (nbd->stage == CHECKING)
		check_page(nbd);
}

static int timeout_ms(const struct nbd *nbd)
{
	uint64_t now = spill_now_ns();

	if (has_ended(nbd))
		return 0;
	if (nbd->stage == UP)
		return -1;
	return nbd->next_ns <= now ? 0 : (int)((nbd->next_ns - now) / 1000000u) + 1;
}

static void wait_for_something(struct nbd *nbd)
{
	unsigned direction = nbd->handle ? nbd_aio_get_direction(nbd->handle) : 0;
	struct pollfd fds[2] = {
		{.fd = nbd->wake, .events = POLLIN},
		{.fd = nbd->handle ? nbd_aio_get_fd(nbd->handle) : -1},
	};
	uint64_t number;

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		fds[1].events |= POLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		fds[1].events |= POLLOUT;
	if (poll(fds, 2, timeout_ms(nbd)) <= 0)
		return;
	if (fds[0].revents && read(nbd->wake, &number, sizeof number) < 0)
		return;
	/* A failure makes the connection dead, which follow() sees. */
	if (fds[1].revents & (POLLIN | POLLHUP | POLLERR) && direction & LIBNBD_AIO_DIRECTION_READ)
		(void)nbd_aio_notify_read(nbd->handle);
	else if (fds[1].revents)
		(void)nbd_aio_notify_write(nbd->handle);
}

static void *run(void *opaque)
{
	struct nbd *nbd = opaque;
	struct spill_store *store = nbd->store;

	for (;;) {
		bool is_resetting, is_ending;
		enum stage before;

		pthread_mutex_lock(&store->lock);
		is_resetting = nbd->is_resetting;
		is_ending = nbd->is_ending;
		pthread_mutex_unlock(&store->lock);
		if (is_ending)
			return NULL;
		if (is_resetting && nbd->stage == UP)
			lose(nbd, -ETIMEDOUT, "the server did not answer in time");
		else if (is_resetting)
			end_abandoned(nbd);
		pthread_mutex_lock(&store->lock);
		nbd->is_resetting = false;
		pthread_mutex_unlock(&store->lock);
		do {
			before = nbd->stage;
			follow(nbd);
		} while (nbd->stage != before && nbd->stage != DOWN);
		wait_for_something(nbd);
	}
}

static void wake(struct spill_store *store)
{
	struct nbd *nbd = store->backend_data;
	uint64_t one = 1;

	/* It fails only if it is to be read already. */
	if (write(nbd->wake, &one, sizeof one) < 0)
		return;
}

static void unstick(struct spill_store *store)
{
	struct nbd *nbd = store->backend_data;

	nbd->is_resetting = true;
	wake(store);
}

/* ------------------------------------------------------------------ life */

static int start_thread(struct nbd *nbd)
{
	int r = thread_start_with_stack(&nbd->thread, "spill-nbd", STACK_BYTES, run, nbd);

	nbd->has_thread = r == 0;
	return r;
}

/* The first connection: here a failure is told, and not tried again. */
static int wait_for_first(struct nbd *nbd, struct spill_why *why)
{
	struct spill_store *store = nbd->store;
	uint64_t until = spill_now_ns() + store->deadline_ns + PAUSE_NS;
	int r;

	pthread_mutex_lock(&store->lock);
	while (!nbd->has_begun && !store->is_cancelled && spill_cond_wait_until(&store->ended, &store->lock, until))
		;
	r = nbd->has_begun ? nbd->first_error : -ETIMEDOUT;
	if (r)
		spill_why_set(why, "%s: %s", nbd->uri, nbd->has_begun ? nbd->first_text : "no answer in time");
	pthread_mutex_unlock(&store->lock);
	return r;
}

static int open_nbd(struct spill_store *store, const struct spill_params *params, bool make, struct spill_why *why)
{
	struct nbd *nbd = calloc(1, sizeof *nbd);
	int r;

	(void)make;
	if (!nbd)
		return -ENOMEM;
	store->backend_data = nbd;
	nbd->store = store;
	nbd->pause_ns = PAUSE_NS;
	nbd->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (nbd->wake < 0)
		return -errno;
	nbd->uri = strdup(params->location);
	nbd->page = malloc(SPILL_PAGE);
	if (!nbd->uri || !nbd->page)
		return -ENOMEM;
	r = start_thread(nbd);
	return r ? r : wait_for_first(nbd, why);
}

static void close_nbd(struct spill_store *store, bool remove)
{
	struct nbd *nbd = store->backend_data;

	(void)remove;
	if (!nbd)
		return;
	if (nbd->has_thread) {
		pthread_mutex_lock(&store->lock);
		nbd->is_ending = true;
		wake(store);
		pthread_mutex_unlock(&store->lock);
		pthread_join(nbd->thread, NULL);
	}
	if (nbd->handle) {
		(void)nbd_aio_disconnect(nbd->handle, 0);
		nbd_close(nbd->handle);
	}
	if (nbd->wake >= 0)
		close(nbd->wake);
	free(nbd->uri);
	free(nbd->page);
	free(nbd);
	store->backend_data = NULL;
}

const struct spill_backend spill_nbd_backend = {
	.open = open_nbd,
	.wake = wake,
	.unstick = unstick,
	.close = close_nbd,
};
