/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the engine share. Private: front ends include zsblk.h.
 *
 *   engine.c  life: open, start, close        io.c      requests
 *   params.c  parameters and algorithms       sector.c  what a table word means, and word.h its bits
 *   context.c codec contexts and counters     upkeep.c  compaction, the two background threads
 *   cap.c     limits of control groups        stats.c   figures and checks
 *   outside.c segments without a device       why.c     what was wrong, for people
 *   resize.c  the size, and its changes       stripe.c  locks that hold blocks still
 *   encoder.c what compresses new blocks      blocks.c  how blocks are stored, for people
 *   ages.c    ages of blocks                  aging.c   keeping and marking them
 *   latency.c how long requests take          footprint.c memory, all of it
 *   reserve.c the reserve, and its changes    live.c    what the next server goes on with
 *   rework.c  work on objects not held still  recompress.c objects that become smaller
 *   recorder.c traces of requests
 *   entries.c shared entries of the table     groups.c  reading blocks that are in groups
 *   grouping.c making groups, and new ones of old  sector_verify.c looks at the whole table
 *   backing.c the backing store, and reading  spilling.c blocks that go there
 *
 * Locks, in the order in which they are taken: change_lock, resize_lock, recompress_lock, compact_lock, the allocator's
 * compaction lock, one stripe, live_lock, limit_lock, the allocator's other locks. No thread holds two stripes. The lock of the ages
 * is taken by no request, and no lock after it; aging_lock only before that one.
 *
 * Functions that return int give 0 or a negative errno, and say why in `why` if they have that parameter.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "codec/codec.h"
#include "engine/ages.h"
#include "engine/entries.h"
#include "engine/latency.h"
#include "engine/recorder.h"
#include "engine/stripe.h"
#include "process/spare.h"
#include "segment/super_codecs.h"
#include "segment/segment.h"
#include "segment/super.h"
#include "zsblk.h"
#include "zsmalloc/core.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCK ZSBLK_BLOCK_SIZE
/* A block that is stored raw takes one page of the pool, and is one largest object of the allocator. */
_Static_assert(BLOCK == ZS_PAGE_SIZE && BLOCK == ZS_MAX_OBJECT && BLOCK == CODEC_BLOCK,
	       "blocks and pool pages are of one size");

/*
 * Each context has these counters. The thread that holds the context counts, so threads share no cache line for it. Any
 * thread may read. A figure is the sum over all contexts; those marked +- go up and down, so one context's can be
 * negative.
 */
struct counters {
	_Atomic uint64_t compr_bytes; /* +- */
	_Atomic uint64_t objects;     /* +- blocks with an object, same-filled ones left out */
	_Atomic uint64_t same;        /* +- */
	_Atomic uint64_t huge;        /* +- */
	_Atomic uint64_t cold;        /* +- blocks in groups */
	_Atomic uint64_t backed;      /* +- blocks in the backing store */
	_Atomic uint64_t huge_since;
	_Atomic uint64_t reads, writes, discards, zeroes;
	_Atomic uint64_t read_bytes, write_bytes, discard_bytes;
	_Atomic uint64_t failed_reads, failed_writes, failed_discards;
	_Atomic uint64_t recompressed, recompress_saved; /* blocks; bytes of objects */
	_Atomic uint64_t cold_reads,
		cold_decodes;       /* reads of blocks in groups, and groups that were decoded for them */
	_Atomic uint64_t grouped;   /* blocks that were put into groups */
	_Atomic uint64_t regrouped; /* blocks that work in the background took out of a group */
};

/*
 * What compresses the blocks that are written: one algorithm at one level, and a compression context of it for each
 * context. See encoder.c.
 */
struct encoder {
	const struct codec *codec;
	int level;
	size_t each; /* bytes from one compression context to the next */
	size_t bytes;
	uint8_t *mem; /* NULL: there are none */
};

/* What one request needs while it runs. */
struct context {
	_Alignas(64) _Atomic bool busy;
	struct counters count;
	uint64_t read_end; /* where the last read ended, in bytes: one that begins there comes in order */
	uint64_t waited;   /* nanoseconds for which the holder has waited for it */
	_Atomic(const struct encoder *) encoder; /* the holder stores it; any thread may look */
	_Atomic(struct recorder_ring *) ring;    /* the same; NULL: nothing is recorded */
	void *cctx;                              /* the encoder's for this context */
	void *dctx[CODEC_IDS];
	struct latencies latencies;
	_Alignas(64) uint8_t object[BLOCK]; /* compressed bytes on their way into the pool */
	_Alignas(64) uint8_t block[BLOCK];  /* a block that is read or written in part */
};

struct contexts {
	struct context *all;
	unsigned n;
	size_t bytes;
	/* Decoders of a codec from SUPER_CODECS_NAMED on, for all contexts. NULL: no object of the codec can be there. */
	struct {
		uint8_t *mem;
		size_t bytes;
	} late[CODEC_IDS];
	/* For requests that begin now: one of the two. The other one has memory only while a change is under way. */
	_Atomic(const struct encoder *) encoder;
	struct encoder encoders[2];
	/* The rings of all contexts for requests that begin now; NULL: nothing is recorded. */
	_Atomic(struct recorder_ring *) rings;
	/* Waiting for a context when all are busy; apart from what every request reads. */
	_Alignas(64) pthread_mutex_t lock;
	pthread_cond_t freed;
	_Atomic unsigned waiting;
};

/* How far a compaction has come: first each class is compacted, then the last pages of classes are settled. */
struct progress {
	unsigned cursor;
	bool settling;
};

/* What can be changed in use. See live.c. */
enum live_setting {
	LIVE_MEM_LIMIT = 1,
	LIVE_ALGORITHM = 2, /* with its level */
	LIVE_RESERVE = 4,
};

/* As in the segment. */
struct live_values {
	uint64_t mem_limit, reserve; /* bytes */
	char algorithm[16];
	int32_t level;
	uint32_t reserved;
};

struct live {
	bool in_service;          /* changes are recorded */
	uint32_t changed;         /* enum live_setting: where `now` counts */
	uint32_t recorded;        /* the same in the record that was found */
	struct live_values given; /* by the parameters */
	struct live_values now;
	char text[160]; /* what was adopted, for people; each setting with a blank in front */
	char memo[ZSBLK_MEMO_MAX];
};

struct zsblk {
	_Atomic uint64_t size;       /* bytes; requests compare with it */
	_Atomic uint64_t end;        /* blocks; nobody publishes a word from here on. See resize.c */
	struct super_layout layout;  /* what the segment is; blocks and version change under resize_lock */
	pthread_mutex_t change_lock; /* one change that somebody asks for at a time: size, algorithm, reserve */
	pthread_mutex_t resize_lock; /* the size stays what it is; before any stripe */
	/* What new blocks are compressed with, for people who ask. Requests have it in their context. */
	_Atomic(const struct codec *) codec;
	_Atomic int level;
	unsigned watermark; /* objects above it are stored raw */
	struct segment seg;
	struct table table;
	_Atomic uint64_t reserve;  /* bytes that are to be kept; see cap_apply() */
	bool (*interrupted)(void); /* or NULL: see struct zsblk_params */
	struct cgroup *cgroup;     /* the limits above us; NULL: none to look for */
	/* Pages that the pool may take: as was asked for, and for the limits' sake; 0: no limit. See cap.c. */
	_Atomic uint64_t mem_limit, cap;
	_Atomic uint64_t reserve_most; /* pages that the reserve may have, for the same limits' sake */
	struct zs_core *core;
	struct runs *runs; /* the core's */
	struct contexts contexts;
	_Atomic uint64_t contexts_seen; /* bytes of memory they took when somebody looked last */
	struct stripes stripes;
	struct counters found; /* what the segment held when it was opened */
	/* One recompression at a time, and a step of it. Its counters stay when it has ended. */
	pthread_mutex_t recompress_lock;
	struct zsblk_recompression *recompression;
	struct counters recompressed;
	struct zsblk_trace *trace; /* under change_lock; NULL: there is none */
	/* The same of groups: this or a recompression, one at a time. */
	struct zsblk_grouping *grouping;
	struct counters grouped;
	/* The same of blocks that go to the backing store. */
	struct zsblk_spilling *spilling;
	struct counters spilled;
	bool is_attaching;                 /* under change_lock: somebody looks for a store */
	_Atomic(struct backing *) backing; /* the store; NULL: there is none. Once there is one, it stays */
	struct entries entries;
	struct groups *groups;    /* NULL: there are no groups, and were none */
	struct spare group_spare; /* under recompress_lock */
	uint16_t *given_up;       /* grouping's: two bytes for each block; NULL: none was made */
	bool is_new;              /* nothing was ever written to it, and its reserve is what the parameters say */
	bool has_marks;           /* sector_verify() has seen a marked word */
	bool has_worker;
	pthread_t worker, refill;
	_Atomic bool has_refill; /* once there is one, it stays. Apart from what others read as one word */
	struct spare spare;      /* the refill's; before there is one, zsblk_start()'s */
	struct spare worker_spare;
	struct spare change_spare; /* under change_lock */
	struct progress compact_progress;
	pthread_mutex_t compact_lock; /* guards compact_progress */
	pthread_mutex_t limit_lock;   /* the pool's limits and reserve follow what is asked for, one change at a time */
	pthread_mutex_t live_lock; /* guards `live`, and the order of changes of mem_limit; only limit_lock after it */
	struct live live;
	struct ages ages;
	uint64_t aged_at;           /* the worker's: when it let them grow older last, in seconds */
	pthread_mutex_t aging_lock; /* guards aging_spare */
	struct spare aging_spare;
};

/*
 * Hold a block still: no other thread replaces its word, or moves or frees its object. Blocks are read under this lock
 * and words replaced. What takes longer is done before or after, except for blocks that are written in part.
 */
static inline void stripe_lock(struct zsblk *dev, uint64_t block)
{
	pthread_mutex_lock(stripe_of(&dev->stripes, block));
}

static inline void stripe_unlock(struct zsblk *dev, uint64_t block)
{
	pthread_mutex_unlock(stripe_of(&dev->stripes, block));
}

/*
 * codecs.c: codecs from 4 on, which a device has nothing of until it is to store objects of theirs: neither decoders
 * nor the record in the segment.
 */
/* For opening a device: have the decoders of those that the segment may have, and of the device's own. -ENOMEM. */
int codecs_open(struct zsblk *dev);
/* Note in the segment that there may be objects of the codec, whose decoders are there. */
void codecs_record(struct zsblk *dev, const struct codec *codec);
/*
 * Before requests come: note the device's own codec, and what the segment says of codecs of which it has no object any
 * more is taken back.
 */
void codecs_start(struct zsblk *dev);
/* Have what it takes before the first object of the codec is stored. -ENOMEM, -EINTR. With change_lock. */
int codecs_begin(struct zsblk *dev, const struct codec *codec);
/* Bytes of memory that their decoders take. */
uint64_t codecs_bytes(const struct zsblk *dev);
void codecs_close(struct zsblk *dev);

/* context.c */
int contexts_init(struct contexts *contexts, unsigned n, const struct codec *codec, int level);
void contexts_destroy(struct contexts *contexts);
/* The decoders of a context, for all codecs, in lent memory of so many bytes that is aligned to 64. */
size_t context_decoder_bytes(void);
int context_make_decoders(struct context *ctx, uint8_t *mem);
/* Touch all that a request will touch in a context, so that no request waits for that memory. */
void contexts_warm_up(struct contexts *contexts);
/* From now on requests begin with this encoder. Returns when none goes on with another one. One call at a time. */
void contexts_switch(struct contexts *contexts, const struct encoder *encoder);
/* From now on requests note their events in these rings, one for each context; NULL: nowhere. The same holds. */
void contexts_record(struct contexts *contexts, struct recorder_ring *rings);
struct context *context_get(struct contexts *contexts);
void context_put(struct contexts *contexts, struct context *ctx);
/* A request that succeeded. */
static inline void context_record(const struct context *ctx, enum zsblk_event_op op, uint64_t offset, uint64_t len)
{
	struct recorder_ring *ring = atomic_load_explicit(&ctx->ring, memory_order_relaxed);

	if (__builtin_expect(ring != NULL, 0))
		recorder_add(ring, op, offset, len);
}
static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	/* A counter has one writer at a time, so no locked instruction is needed. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
void contexts_sum(struct zsblk *dev, struct counters *sum);

/* encoder.c */
/* Get the addresses for `n` compression contexts, which take no memory yet. -ENOMEM: there are none. */
int encoder_map(struct encoder *encoder, unsigned n, const struct codec *codec, int level);
/* Make the contexts. -EINVAL: the library of the codec refuses the level. */
int encoder_init(const struct encoder *encoder, unsigned n);
/* Give all back. Harmless on a zeroed struct. */
void encoder_free(struct encoder *encoder);
static inline void *encoder_cctx(const struct encoder *encoder, unsigned i)
{
	return encoder->mem + i * encoder->each;
}
/*
 * Touch all that compressing a block takes: compression context i, and the code. And what it takes to decompress that
 * block. For the holder of `ctx`, whose buffers are used.
 */
void encoder_warm_up(const struct encoder *encoder, unsigned i, struct context *ctx);
/* Write why there is no encoder. Returns `error`. */
int encoder_explain(int error, const char *algorithm, int level, struct zsblk_why *why);

/* footprint.c */
/*
 * Bytes of memory that contexts take, with the encoder that they use. A change of the algorithm or the size can take
 * seconds; meanwhile the result is what the last call has found.
 */
uint64_t footprint_contexts(struct zsblk *dev);

/* engine.c */
/* The allocator under the device, for tests. */
struct zs_core *zsblk_pool(struct zsblk *dev);

/* What a device with these parameters has in its superblock. */
void engine_describe(struct super_layout *layout, const struct zsblk_params *params);

/*
 * May work on blocks begin: recompression, groups, the backing store? -EBUSY: some goes on, and *why says so. With change_lock, which is held until
 * the work is the device's: the answer holds as long. To be asked before the segment says what it will need for ever.
 */
int engine_may_begin(struct zsblk *dev, struct zsblk_why *why);

/* resize.c */
/* Does a request lie in the device? */
bool resize_has_range(const struct zsblk *dev, uint64_t offset, uint64_t len);
/*
 * Take the stripe of a block whose word is to be replaced. False, with the stripe not taken: the device now ends before
 * the block. Waits while that is being decided.
 */
bool resize_hold_block(struct zsblk *dev, uint64_t block);
/* Make the hint for the next process follow the pool, if the segment's format has a place for it. */
void engine_keep_frontier(struct zsblk *dev);

/* upkeep.c */
/*
 * With a reserve of so many bytes, requests are not to wait for memory: have the table of `blocks` blocks and the
 * descriptors of the pool in memory, as far as the reserve is large. What a larger device has beyond is touched when it is written for the
 * first time. The system is asked for memory to spare before any is taken: spare.h. -ENOMEM: it has none, and had none
 * for a while either, unless this is the start of a device with data. -EINTR: dev->interrupted() said so. In service:
 * with change_lock.
 */
int upkeep_populate_table(struct zsblk *dev, uint64_t blocks, uint64_t reserve);
/* The same for private memory of the process, all of it. */
int upkeep_populate_private(struct zsblk *dev, void *mem, size_t bytes);
/*
 * Fill the reserve before requests come. -ENOMEM: there is not that much memory; `wait`: not for a while.
 * -EINTR: dev->interrupted() said so.
 */
int upkeep_fill_reserve(struct zsblk *dev, bool wait);
static inline bool is_interrupted(const struct zsblk *dev)
{
	return dev->interrupted && dev->interrupted();
}
/*
 * A bounded piece of a compaction that begins with *progress all 0; *more is false after the last one. Returns pages
 * freed.
 */
uint64_t upkeep_compact_step(struct zsblk *dev, struct progress *progress, bool *more);
int upkeep_start(struct zsblk *dev);
void upkeep_stop(struct zsblk *dev);

/* live.c */
/* Put what was changed under a former server into *params, as far as they are the ones that it was changed against. */
void live_adopt(struct zsblk *dev, struct zsblk_params *params);
/* The algorithm that was adopted cannot be had: go back to the one that was given. */
void live_drop_algorithm(struct zsblk *dev, struct zsblk_params *params, const struct zsblk_params *given);
/* From now on changes are recorded. What was not adopted is dropped from the record. */
void live_start(struct zsblk *dev);
/* Record a change: the member of *values that the setting names. */
void live_note(struct zsblk *dev, enum live_setting setting, const struct live_values *values);
/* The same with live_lock. */
void live_note_held(struct zsblk *dev, enum live_setting setting, const struct live_values *values);

/* cap.c */
/*
 * Look at the limits, and let the pool grow no further than they allow from now on. `spare` is the calling thread's.
 * One thread at a time: the refill's, or the worker's where there is no reserve.
 */
void cap_keep(struct zsblk *dev, struct spare *spare);
/* Set the pool's limit to the smaller one of mem_limit and the cap; and its reserve, as far as both permit. */
void cap_apply(struct zsblk *dev);
/* -ENOMEM if there is no room for a new device below the limits of control groups. */
int cap_check(struct zsblk *dev, const struct zsblk_params *params, struct zsblk_why *why);
/* Bytes of the table that are to be in memory before requests come. */
uint64_t cap_table_bytes(struct zsblk *dev, uint64_t reserve);

/* why.c */
/* Write a formatted reason to `why`, if that is not NULL. Returns `error`. */
__attribute__((format(printf, 3, 4))) int why_fail(struct zsblk_why *why, int error, const char *format, ...);

/* params.c */
const char *params_algorithm_name(const struct zsblk_params *params);
/* 0 if there is this algorithm, and has the level; otherwise -EINVAL. */
int params_check_algorithm(const char *name, bool has_level, int level, struct zsblk_why *why);
void params_describe_codecs(char codecs[SUPER_CODECS][16], unsigned end);

#endif
