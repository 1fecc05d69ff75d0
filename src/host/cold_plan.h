/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plan of the policy of cold blocks: what is to be done next, and why. It only thinks: what is found goes in, a step
 * comes out, and somebody else (cold.c) carries it out. So a day can be tried in a moment.
 *
 *   every second            cold_plan_next()   a look at the device and the system --> one step, or nothing
 *   when a step is over     cold_plan_note()   what has come of it
 *
 * What it goes by, the first one that applies:
 *
 *   storm      many blocks are read out of groups: nothing is packed for COLD_STORM_REST_S
 *   near       the pool is near its limit: make room before writes fail, by one means after the other (the ladder)
 *   pressed    memory is short in the system: ages count four times
 *   otherwise  cold blocks are packed when they have the age, within rate and budget, and what that frees is compacted
 *
 * Work that has failed, or gained nothing, is tried again after 10 seconds, and then after twice as long each time, up to an hour; near the
 * limit up to 2 minutes. The steps of the ladder wait each by itself, so that one that fails is in no other's way. When memory becomes
 * short, grouping and freezing begin anew.
 *
 * Functions allocate nothing. One thread at a time.
 */
#ifndef COLD_PLAN_H
#define COLD_PLAN_H

#include "host/cold_settings.h"

/* ------------------------------------------------------------------ the figures that it goes by */

/* So many blocks read out of groups in a second are a storm: somebody uses what was taken for idle. */
#define COLD_STORM_READS  500u
#define COLD_STORM_REST_S 60u
/* Shares of the last 10 seconds, in hundredths of a percent: pressure.h. Between the two it stays what it is. */
#define COLD_PRESSED_FROM  500u
#define COLD_PRESSED_UNTIL 100u
/* Parts of the limit that are used, in 16ths. The same. */
#define COLD_NEAR_FROM  15u
#define COLD_NEAR_UNTIL 14u
/* When the ladder has nothing left to gain, it begins anew after so long. */
#define COLD_NEAR_REST_S 20u
/* Groups of 16 blocks made by one step at most: some seconds of work, so that what is found counts soon. */
#define COLD_ROUND_GROUPS 512u
#define COLD_GROUP_BYTES  (UINT64_C(16) * ZSBLK_BLOCK_SIZE)

/* What has failed, or gained nothing, is tried again after so long, and then after twice as long each time, up to an hour. */
#define COLD_BACKOFF_FIRST_S 10u
#define COLD_BACKOFF_MOST_S  3600u
/* Near the limit, up to this: writes fail, while what was in vain for lack of memory may be possible again. */
#define COLD_NEAR_BACKOFF_MOST_S 120u
/* Recompression looks at all blocks: it has gained something if that is such a part of the pool. */
#define COLD_RECOMPRESS_PART 256u

/* ------------------------------------------------------------------ steps */

enum cold_do {
	COLD_DO_NOTHING,
	COLD_DO_STOP, /* the step that is under way */
	COLD_DO_GROUP,
	COLD_DO_FREEZE,
	COLD_DO_COMPACT,
	COLD_DO_RECOMPRESS,
};

struct cold_step {
	enum cold_do what;
	uint64_t older_than_s; /* of group and freeze */
	uint64_t max_groups;   /* of these */
};

/* Is there anything that groups could be made of? */
enum cold_found {
	COLD_FOUND_NOTHING,
	COLD_FOUND_LATER, /* somebody looks for it: the next look may tell */
	COLD_FOUND_SOME,
};

/* What is found. */
struct cold_look {
	uint64_t now_s;      /* seconds of a clock that only goes on */
	bool has_pressure;   /* the system tells of pressure */
	unsigned pressure;   /* as pressure_look() gives it */
	uint64_t used;       /* bytes of the pool */
	uint64_t limit;      /* the most that it may have; 0: none */
	uint64_t freeable;   /* bytes that compaction can free */
	uint64_t cold_reads; /* so far */
	/* For COLD_DO_GROUP or COLD_DO_FREEZE, of blocks that were not used for so long. Asked when the answer counts: it takes time. */
	enum cold_found (*find)(void *opaque, enum cold_do what, uint64_t older_than_s);
	void *opaque;
};

/* What has come of a step. */
struct cold_result {
	bool by_hand;    /* somebody cancelled it */
	bool gave_way;   /* somebody's job comes first: it did not begin, or did not end */
	bool more;       /* it ended at max_groups */
	const char *why; /* it has failed, or did not begin; otherwise NULL */
	uint64_t groups; /* that were made */
	uint64_t blocks; /* in these */
	uint64_t bytes_saved;
};

/* ------------------------------------------------------------------ the plan */

enum cold_state {
	COLD_STATE_OFF,
	COLD_STATE_WAITING, /* there is nothing to do now */
	COLD_STATE_WORKING,
	COLD_STATE_PAUSED, /* there may be something to do, and it waits */
};

#define COLD_HOURS 24u

/* What was done so far. */
struct cold_sums {
	uint64_t steps, stopped, failed;
	uint64_t groups, blocks; /* packed when cold */
	uint64_t frozen_groups, frozen_blocks;
	uint64_t bytes_saved; /* of objects, and of pages that were compacted */
	uint64_t storms;
};

/* Kinds of work that back off each by itself: ahead of need, compaction, and each step of the ladder. */
#define COLD_RUNGS 6u
enum cold_work {
	COLD_WORK_GROUP,
	COLD_WORK_FREEZE,
	COLD_WORK_COMPACT,
	COLD_WORK_LADDER,
	COLD_WORKS = COLD_WORK_LADDER + COLD_RUNGS,
};

struct cold_backoff {
	unsigned in_vain; /* how many times in a row */
	uint64_t until_s; /* not before */
};

struct cold_plan {
	enum cold_state state;
	struct cold_step step; /* the last one; under way while the state is COLD_STATE_WORKING */
	unsigned work;         /* what that one is, of enum cold_work */
	bool stopping;         /* it was told to stop */
	struct zsblk_why text; /* for people, behind a colon: what it does or waits for, and why */
	struct cold_sums sums;
	/* What was found last. */
	bool looked, pressed, near;
	uint64_t looked_s, cold_reads, used;
	/* When what may begin. */
	uint64_t storm_until_s, rest_until_s, pace_until_s;
	uint64_t due_s[2]; /* groups, frozen groups */
	struct cold_backoff backoff[COLD_WORKS];
	bool has_freed;     /* a step has freed objects since the last compaction */
	bool has_compacted; /* and compaction has nothing more to gain until one does */
	unsigned rung;      /* of the ladder */
	/* Bytes that were packed in each of the last hours. */
	uint64_t hour, packed[COLD_HOURS];
};

void cold_plan_init(struct cold_plan *plan);
/* New settings count from now on: what is due is looked for at once. */
void cold_plan_reset(struct cold_plan *plan);

/*
 * What to do now. While a step is under way: COLD_DO_STOP or COLD_DO_NOTHING; a step that was told to stop is over with
 * cold_plan_note(), as any other. To be called about once a second.
 */
void cold_plan_next(struct cold_plan *plan, const struct cold_settings *settings, const struct cold_look *look,
		    struct cold_step *step);
void cold_plan_note(struct cold_plan *plan, const struct cold_settings *settings, uint64_t now_s,
		    const struct cold_result *result);

/* Bytes that were packed within the last 24 hours, to the hour. */
uint64_t cold_plan_packed(const struct cold_plan *plan, uint64_t now_s);

/* "off", "waiting", "working", "paused". */
const char *cold_plan_state_name(enum cold_state state);

#endif
