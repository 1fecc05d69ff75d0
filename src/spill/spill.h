/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backing store: objects that need not be in memory, in a file, on a block device, or behind an NBD server. See
 * docs/spill.md for what lies where on a store, and why.
 *
 * An object is a row of bytes with up to 16 numbers. The numbers are its owner's: table words, for instance. The store
 * knows nothing of what an object means. A *place* names a stored object: its offset in the store, in units of 16
 * bytes. The owner keeps the places. They are the only truth about what is in the store: what is free follows from
 * them, and is not stored.
 *
 * The store is divided into *buckets* of 1 MiB. A bucket is filled from its start to its end, in large writes, and is
 * used again when none of its objects is live.
 *
 * Units: bytes, unless a name says otherwise.
 * Errors: functions that return int give 0 or a negative errno. Nothing is printed.
 * Memory: all memory for reading is taken, and touched, when a store is opened. What libnbd and its TLS library
 * allocate for themselves is in docs/spill.md.
 * Threads: spill_get(), spill_drop(), spill_stats() and spill_status() may be called from any number of threads at
 * once. spill_put(), spill_flush() and spill_clean_step() are for one thread at a time: the owner's thread for
 * background work. A store has threads of its own, so it is opened after the process has forked for the last time.
 */
#ifndef SPILL_H
#define SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SPILL_UNIT           16u /* bytes that a place counts */
#define SPILL_PLACE_BITS     42u
#define SPILL_BUCKET         (1u << 20)
#define SPILL_OBJECT_MOST    65536u
#define SPILL_NUMBERS_MOST   16u
#define SPILL_KEY_BYTES      32u
#define SPILL_IDENTITY_BYTES 16u
/* The smallest store: the first bucket, which has the identity, one that is filled, one for cleaning, and one more. */
#define SPILL_LEAST         (4u * SPILL_BUCKET)
#define SPILL_DEPTH_MOST    64u
#define SPILL_DEPTH_DEFAULT 16u
#define SPILL_DEADLINE_MS   60000u
#define SPILL_LATENCIES     32u

enum spill_kind {
	SPILL_FILE = 1,
	SPILL_BLOCK_DEVICE = 2,
	SPILL_NBD = 3,
};

/* Buckets that I/O may be changing, in a row. */
struct spill_busy {
	uint32_t first, count; /* count is 0: none */
};

enum spill_busy_kind {
	SPILL_BUSY_WRITES,   /* the bucket that is being filled */
	SPILL_BUSY_DISCARDS, /* those that are being discarded */
	SPILL_BUSY_KINDS,
};

struct spill_store;

/* Why a call failed, for people: what was wrong, and what would be right. One line without a newline, and no key. */
struct spill_why {
	char text[320];
};

/* What the owner of the objects does for its store. The functions are called by the thread that called the store. */
struct spill_owner {
	void *opaque;
	/*
	 * spill_make(): the store that is about to be made has this identity and key. Called before the first byte is
	 * written, so a process that is killed meanwhile leaves no store that nobody knows. 0 or a negative errno, which
	 * spill_make() returns. NULL: nothing is noted down.
	 */
	int (*made)(void *opaque, const uint8_t *identity, const uint8_t *key);
	/*
	 * Note down, where a process that comes later finds it, that numbers below `sequence` may have been used. The
	 * numbers go into nonces, and a nonce must never be used twice with one key. Called before the first use.
	 * 0 or a negative errno, which the put then returns.
	 */
	int (*raise_sequence)(void *opaque, uint64_t sequence);
	/*
	 * Note down, where a process that comes later finds it, which buckets are being changed from now on; those of this
	 * kind that were noted before are not any more. If this process is killed, the server or the kernel may carry out
	 * what was asked for at any time later: so they must not be used again too early. NULL: nothing is noted down.
	 */
	void (*busy)(void *opaque, enum spill_busy_kind kind, struct spill_busy busy);
	/*
	 * Does the owner still have the object with these numbers, of so many bytes, at this place? Asked before an
	 * object is moved. One of another size is not what the owner has put there.
	 */
	bool (*is_live)(void *opaque, const uint32_t *numbers, unsigned count, size_t size, uint64_t place);
	/*
	 * The object is at `to` as well now. True: the owner has the new place instead of the old one, and the store
	 * drops the old one. False: the owner did not have the old place any more, and the store drops the new one.
	 */
	bool (*move)(void *opaque, const uint32_t *numbers, unsigned count, uint64_t from, uint64_t to);
};

struct spill_params {
	/* A path, or an NBD URI: nbd, nbds, nbd+unix, nbds+unix, nbd+vsock or nbds+vsock, and "://". Copied. */
	const char *location;
	/* spill_open(): what lies there, enum spill_kind; 0: that is found out, as by spill_kind_of(). */
	int kind;
	/* The most bytes that may be in use in the store; at least SPILL_LEAST. 0: all that the store has. */
	uint64_t limit;
	/* Without encryption; then a checksum protects against damage, and nothing against an attacker. */
	bool plain;
	/* spill_make(): out. spill_open(): in. */
	uint8_t identity[SPILL_IDENTITY_BYTES];
	uint8_t key[SPILL_KEY_BYTES];
	/* Numbers below may have been used for nonces with this key. spill_make(): ignored, and 0. */
	uint64_t sequence;
	/*
	 * spill_open(): objects with lower numbers are old ones, which are not believed. Whoever notes down a sequence
	 * notes this with it: the floor of spill_stats(), or the sequence that was noted before, whichever is lower.
	 */
	uint64_t floor;
	/* spill_open(): what was noted last. These buckets are not used for what is new. */
	struct spill_busy busy[SPILL_BUSY_KINDS];
	/* The device whose objects these are. A store that lies on it is refused. 0: there is none. */
	dev_t device;
	/* Reads that are in flight at once, 1 to SPILL_DEPTH_MOST. Each takes a buffer of 80 KiB. */
	unsigned depth;
	/* How long a read, a write or a connection may take, in milliseconds; 1 at least. */
	unsigned deadline_ms;
	/* spill_make(): a file or device that is there already may become a store, if it is blank. */
	bool existing;
	/* spill_make(): a store that nobody uses may be made anew. What is in it is lost. */
	bool take_over;
	/*
	 * spill_open(): the store need not be there. It is looked for in the background then, with pauses of 5 s at most,
	 * until it is found or closed. Until then reads wait for their deadline, and nothing can be put (-ENOTCONN).
	 * With `kind` and `capacity`.
	 */
	bool may_be_away;
	/* Bytes that the store had when it was open last: no place lies behind. spill_stats() has it as `buckets`. */
	uint64_t capacity;
	struct spill_owner owner;
};

/* Defaults for all but `location` and `owner`. */
void spill_params_init(struct spill_params *params);

/*
 * Which kind of store a location is for: by its form, and for a path by what is there. A path where nothing is is for a
 * file. -EINVAL: for neither.
 */
int spill_kind_of(const char *location);

/*
 * Make a store: of a file, which is created unless `existing`, of a device or of an export. Its identity and key are
 * random, and are returned in *params. Nothing that others have put there is overwritten.
 *
 * -EMEDIUMTYPE: something else is there, or it is blank and `existing` is false. -EEXIST: it is a store, and
 * `take_over` is false. -EBUSY: it is in use by another process, or that cannot be told. -ELOOP: it lies on `device`,
 * or that cannot be told. -ENOSPC: it is too small. -EPERM: another user owns the file, or others may change it.
 * -EROFS: it cannot be written. -ETIMEDOUT: no answer. -EOPNOTSUPP: this build has no NBD. Others: what the system
 * says.
 */
int spill_make(struct spill_params *params, struct spill_store **store, struct spill_why *why);

/*
 * Open a store that spill_make() made. -ESTALE: it is another store. -EMEDIUMTYPE: it is none. Otherwise as
 * spill_make(). Then the owner notes every place that it has, and calls spill_start(). With `may_be_away` none of what
 * can be wrong with the store is an error: spill_status() says it, and 0 is returned after 2 s at the latest.
 */
int spill_open(const struct spill_params *params, struct spill_store **store, struct spill_why *why);

/*
 * The owner has an object of `bytes` at this place: exact, or rounded up to a multiple of SPILL_UNIT. Before
 * spill_start(), by one thread. -ERANGE: no such place in this store. -EUCLEAN: more than its bucket can hold.
 */
int spill_note_live(struct spill_store *store, uint64_t place, size_t bytes);
/* All places were noted. From here on objects can be put. */
void spill_start(struct spill_store *store);

/*
 * Take the claim off the store, end its threads and free it. No read may be in flight: spill_cancel() first. Waits for
 * I/O that the kernel has begun, which cannot be taken back. NULL is harmless.
 */
void spill_close(struct spill_store *store);

/* ------------------------------------------------------------------ writing */

struct spill_object {
	const uint32_t *numbers; /* of its owner */
	unsigned count;          /* of numbers, 1 to SPILL_NUMBERS_MOST */
	const void *bytes;
	size_t size; /* 1 to SPILL_OBJECT_MOST */
};

/*
 * Take a copy of an object for the next write. *place is where it will be once spill_flush() has returned 0, and means
 * nothing before. -ENOBUFS: the buffer is full, spill_flush() first. -ENOSPC: the store is full. -EBUSY: a write before
 * this one has not ended. -ENOTCONN: the store was not found yet. What raise_sequence() returns. No I/O. After an error, what was put before still waits for
 * its flush.
 */
int spill_put(struct spill_store *store, const struct spill_object *object, uint64_t *place);

/*
 * Write what was put since the last flush. 0: all of it is in the store. Otherwise none of it is, and its places mean
 * nothing. -ETIMEDOUT: no answer in time. -ENOSPC, -EDQUOT: no room below the store. -EIO and others: what the system
 * or the server says. A small flush wastes up to 4095 bytes of the store: put many objects, or 256 KiB.
 */
int spill_flush(struct spill_store *store);

/*
 * The owner has replaced its last note of this place. `bytes` as with spill_note_live(). A place may be dropped while
 * it is read: then the read gives the old object or an error. No I/O.
 */
void spill_drop(struct spill_store *store, uint64_t place, size_t bytes);

/*
 * One step of background work: move the live objects of the bucket that has most dead bytes, or discard what is free.
 * *more: there is more to do. 0, or the error of a read or write; the owner waits a while then. At most 1 MiB is read,
 * and 1 MiB written. -EINVAL: something was put and not flushed.
 */
int spill_clean_step(struct spill_store *store, bool *more);

/* Change `limit`; 0: all that the store had when it was opened. What is beyond is not taken away. -EINVAL: less than SPILL_LEAST. */
int spill_set_limit(struct spill_store *store, uint64_t limit);

/* ------------------------------------------------------------------ reading */

struct spill_read;
/*
 * The end of a read, called once, by a thread of the store that holds no lock. The struct is the caller's again.
 * error: 0, with `bytes` of the object in the buffer; -ETIMEDOUT: no answer in time; -EBADMSG: what came is not what
 * was written there; -ENODATA: the store ends before it; -ECANCELED; -EIO and others: what the system or server says.
 */
typedef void spill_done(struct spill_read *read, int error, size_t bytes);

/* A read. Memory of the caller, who sets the first members and keeps all of it until `done` is called. */
struct spill_read {
	uint64_t place;
	size_t bytes;    /* of the object, or a multiple of SPILL_UNIT above: as many fit into the buffer */
	uint32_t number; /* one of the object's numbers; others are not believed */
	uint64_t
		until_ns; /* when the caller gives up, of CLOCK_MONOTONIC; 0, or later than that: the store's deadline */
	void *buffer;
	spill_done *done;
	void *opaque;
	/* The store's. */
	struct spill_read *next;
	struct spill_store *store;
	uint64_t begun_ns;
	size_t got;
	int error;
	bool is_over;
};

/*
 * Begin a read of an object whose place is live during this call. Never waits, allocates nothing. 0: `done` will be
 * called. -ERANGE: no object can be there.
 */
int spill_get(struct spill_store *store, struct spill_read *read);
/* The same, and wait for its end. Returns its error; *bytes is the size of the object. */
int spill_get_now(struct spill_store *store, struct spill_read *read, size_t *bytes);
/* End all reads that have not ended with -ECANCELED, and all that begin later. */
void spill_cancel(struct spill_store *store);

/* ------------------------------------------------------------------ figures */

struct spill_stats {
	uint64_t capacity;     /* bytes of the store that may be in use */
	uint64_t buckets;      /* 1 MiB each; with the one of the identity */
	uint64_t buckets_free; /* of these */
	uint64_t buckets_lost; /* not used again by this process: the end of a write or discard is not known */
	uint64_t objects;      /* live */
	uint64_t live_bytes;   /* of the store, that live objects take */
	uint64_t used_bytes;   /* of the store, that were written and not freed: live, dead and padding */
	uint64_t object_bytes; /* of live objects by themselves, rounded up to SPILL_UNIT */
	uint64_t floor;        /* no live object has a lower number; UINT64_MAX: there is none */
	uint64_t memory;       /* of this process, that the store has taken */
	uint64_t puts, gets, drops;
	uint64_t bytes_written, bytes_read; /* from and to the store */
	uint64_t discarded;                 /* bytes given back to the store */
	uint64_t cleaned, moved_bytes;      /* buckets emptied by cleaning; bytes of objects moved for that */
	uint64_t read_errors, write_errors, damaged, timed_out, reconnects;
	uint64_t latency[SPILL_LATENCIES]; /* reads that took less than 2^n us, and not less than 2^(n-1) */
};

void spill_stats(struct spill_store *store, struct spill_stats *stats);

/* How the store is, for people and for those who decide. */
struct spill_status {
	enum spill_kind kind;
	bool encrypted;
	bool direct;      /* file or device: past the page cache */
	bool reachable;   /* false: it was not found yet, or was lost; reads wait until their deadline */
	bool full;        /* the last write failed for lack of room */
	bool stuck;       /* a write has not ended, so nothing can be written */
	uint64_t away_ms; /* for how long it has not been reachable */
	char text[200];   /* what is wrong; "": nothing */
};

void spill_status(struct spill_store *store, struct spill_status *status);

/* ------------------------------------------------------------------ as a module
 *
 * zsblk-spill.so has all of this and exports one table, `spill_functions`. Who needs a store loads the module then. So nobody else has
 * libsodium and libnbd in his process, nor has to have them installed.
 */

/* Another number whenever anything above changes that a caller can see. */
#define SPILL_VERSION 4u

struct spill_functions {
	uint32_t version; /* SPILL_VERSION */
	void (*params_init)(struct spill_params *params);
	int (*kind_of)(const char *location);
	int (*make)(struct spill_params *params, struct spill_store **store, struct spill_why *why);
	int (*open)(const struct spill_params *params, struct spill_store **store, struct spill_why *why);
	int (*note_live)(struct spill_store *store, uint64_t place, size_t bytes);
	void (*start)(struct spill_store *store);
	void (*close)(struct spill_store *store);
	int (*put)(struct spill_store *store, const struct spill_object *object, uint64_t *place);
	int (*flush)(struct spill_store *store);
	void (*drop)(struct spill_store *store, uint64_t place, size_t bytes);
	int (*clean_step)(struct spill_store *store, bool *more);
	int (*get)(struct spill_store *store, struct spill_read *read);
	void (*stats)(struct spill_store *store, struct spill_stats *stats);
	void (*status)(struct spill_store *store, struct spill_status *status);
};

extern const struct spill_functions spill_functions;

#endif
