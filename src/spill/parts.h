/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this folder share: the store, its I/O, and what a backend is.
 *
 *    spill_get()           spill_put(), spill_flush(), spill_clean_step()
 *        |                             |
 *     read.c: slots                log.c, clean.c: one thread of the owner's
 *        |                             |
 *        +-------> queue.c <-----------+        I/O that was asked for; deadlines: clock.c
 *                     |
 *           file.c, or nbd.c: threads that carry it out
 *
 * Lock: there is one, `lock`. Nobody holds it while doing I/O, encoding, decoding, or calling the owner.
 */
#ifndef SPILL_PARTS_H
#define SPILL_PARTS_H

#include "spill/bucket.h"
#include "spill/identity.h"
#include "spill/object.h"
#include "spill/spill.h"

#include <pthread.h>

/* A read of an object, whatever its place: 65,628 bytes that begin anywhere in a page. */
#define SPILL_SLOT_BYTES (80u * 1024)

enum spill_io_kind {
	SPILL_IO_READ,
	SPILL_IO_WRITE,
	SPILL_IO_DISCARD,
};

enum spill_io_state {
	SPILL_IO_IDLE,   /* its buffer is free */
	SPILL_IO_QUEUED, /* nothing has happened yet */
	SPILL_IO_SENT,   /* its buffer is being used */
};

/* One transfer. Offsets, lengths and buffers are multiples of SPILL_PAGE. */
struct spill_io {
	struct spill_io *next;
	enum spill_io_kind kind;
	enum spill_io_state state;
	uint64_t offset;
	size_t length;
	uint8_t *buffer;
	/* How it ended. */
	int error;
	size_t got;           /* bytes that were read: fewer at the end of a file */
	bool is_end_unknown;  /* a write or discard that may still happen, or not */
	uint64_t deadline_ns; /* when whoever asked stops waiting */
	/* For the end of a read of an object; NULL: somebody waits in spill_io_run(). Called without the lock. */
	void (*ended)(struct spill_store *store, struct spill_io *io);
};

/* A buffer for a read of an object, and who waits for it: NULL once that one has given up. */
struct spill_slot {
	struct spill_io io;
	struct spill_read *read;
	struct spill_slot *next_free;
};

struct spill_backend {
	/* Open what lies at the location, and start threads. Sets kind, size, and what can be done there. */
	int (*open)(struct spill_store *store, const struct spill_params *params, bool make, struct spill_why *why);
	/* There is something to do: in the queue, or is_resetting. With the lock held. */
	void (*wake)(struct spill_store *store);
	/* A transfer took too long, with the lock held: break off what can be broken off. */
	void (*unstick)(struct spill_store *store);
	/* End threads. Harmless after open() failed, and then open() may be called again. `remove`: what open() created. */
	void (*close)(struct spill_store *store, bool remove);
};

extern const struct spill_backend spill_file_backend, spill_nbd_backend;

struct spill_store {
	const struct spill_backend *backend;
	void *backend_data;
	enum spill_kind kind;
	uint64_t size;      /* bytes of the store */
	uint64_t dirty_end; /* what lies before may have been written by a process before this one */
	bool was_created, can_discard, is_direct;
	uint64_t deadline_ns; /* how long things may take */
	dev_t device;
	struct spill_owner owner;
	struct spill_busy busy[SPILL_BUSY_KINDS]; /* of the process before this one */
	struct spill_seal seal;
	uint8_t *key; /* in memory of libsodium's: locked, and not in core dumps */
	struct spill_identity identity;

	pthread_mutex_t lock;
	pthread_cond_t work;  /* something was queued, or the store closes */
	pthread_cond_t ended; /* a transfer has ended that somebody waits for */
	pthread_cond_t clock; /* a deadline that is nearer, or the store closes */
	struct spill_io *queue, **queue_end;
	struct spill_buckets buckets;
	struct spill_slot *slots, *free_slots;
	unsigned depth;
	struct spill_read *waiting, **waiting_end; /* reads without a slot */
	bool is_started, is_cancelled, is_closing, has_clock;
	/* It was recognised. Before, only opening.c uses the backend: reads wait, and nothing is written. */
	bool is_open;
	pthread_t clock_thread;
	struct spill_opener *opener; /* NULL: it was opened at once */
	uint64_t clock_until_ns;     /* the deadline that the clock waits for */
	uint8_t *memory;             /* all buffers: of slots, of the writer, and of cleaning */
	size_t memory_bytes;

	/* The owner's thread only, but for log_io.state. */
	struct spill_io log_io, clean_io;
	uint8_t *log_buffer, *clean_buffer; /* SPILL_BUCKET each */
	struct spill_bucket *open;
	uint32_t flushed, position; /* bytes of the open bucket: in the store; and with what is in the buffer */
	unsigned pending;           /* objects between these two, and the sum of their accounts */
	size_t pending_account;
	uint64_t sequence, raised;
	struct spill_moved *moved;

	/* Under the lock. */
	struct spill_stats stats;
	bool is_identified; /* the identity is known: a backend that connects again compares it */
	bool is_full, is_away;
	uint64_t away_since_ns, begun_ns; /* begun_ns: when somebody began to open it */
	char trouble[sizeof((struct spill_status *)NULL)->text];
};

/* ------------------------------------------------------------------ clock.c */

uint64_t spill_now_ns(void);
void spill_cond_init(pthread_cond_t *cond);
/* With the lock held: wait until then at most. False: it is then. */
bool spill_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns);
int spill_clock_start(struct spill_store *store);
void spill_clock_stop(struct spill_store *store);

/* ------------------------------------------------------------------ opening.c */

/* Open what lies at the location, once, and recognise it. A store that is made has its identity and key in *params then. */
int spill_open_now(struct spill_store *store, struct spill_params *params, bool make, struct spill_why *why);
/* Open it in the background, as soon as the store was started. */
int spill_open_behind(struct spill_store *store, const struct spill_params *params);
/* It was started: wait for the first try, and 2 s at most. */
void spill_open_wait(struct spill_store *store);
/* After spill_cancel(): nothing opens it any more. */
void spill_open_stop(struct spill_store *store);

/* ------------------------------------------------------------------ store.c */

/* Whose the store is, and that it is ours from now on. */
int spill_store_identify(struct spill_store *store, struct spill_params *params, bool make, struct spill_why *why);

/* This page, which a backend has read, is the store's: NULL. Otherwise why not. */
const char *spill_store_differs(struct spill_store *store, const uint8_t *page);

/* ------------------------------------------------------------------ queue.c */

void spill_queue_init(struct spill_store *store);
/* With the lock held. */
void spill_queue_add(struct spill_store *store, struct spill_io *io);
/* With the lock held: take the first; NULL: there is none. It is sent from now on. */
struct spill_io *spill_queue_take(struct spill_store *store);
/* With the lock held: put a read back that was sent on a connection which has ended. */
void spill_queue_again(struct spill_store *store, struct spill_io *io);
/* With the lock held: take it out, if it was not sent. */
bool spill_queue_withdraw(struct spill_store *store, struct spill_io *io);
/* Without the lock, by a backend: a transfer has ended. */
void spill_io_end(struct spill_store *store, struct spill_io *io, int error, size_t got, bool is_end_unknown);
/*
 * Without the lock: have it carried out, and wait, until the deadline at most. Returns its error. -ETIMEDOUT: if it is
 * not idle then, its buffer is still being used.
 */
int spill_io_run(struct spill_store *store, struct spill_io *io, enum spill_io_kind kind, uint64_t offset,
		 size_t length, uint8_t *buffer);

/* ------------------------------------------------------------------ read.c */

void spill_read_init(struct spill_store *store);
/* With the lock held: the store is open now. */
void spill_read_send(struct spill_store *store);
/* With the lock held: take out the reads whose time is over, as a list. *next_ns: when the next one's is. */
struct spill_read *spill_read_expired(struct spill_store *store, uint64_t now_ns, uint64_t *next_ns);
/* Without the lock: call `done` of each. */
void spill_read_fail(struct spill_store *store, struct spill_read *list, int error);

/* ------------------------------------------------------------------ log.c */

int spill_log_put(struct spill_store *store, const struct spill_object *object, bool for_cleaning, uint64_t *place);
/* When the store is closed: nothing is being changed any more, if that is known; neither by the process before this one. */
void spill_log_close(struct spill_store *store);
/* With the lock held. False: no such object was there. */
bool spill_log_drop(struct spill_store *store, uint64_t place, size_t bytes);

/* ------------------------------------------------------------------ status.c */

void spill_why_set(struct spill_why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With the lock held: what is wrong, or NULL. */
void spill_trouble(struct spill_store *store, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With the lock held: the store can be reached, or cannot. */
void spill_reachable(struct spill_store *store, bool is_reachable);

#endif
