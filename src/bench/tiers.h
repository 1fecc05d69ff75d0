/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A model of cold memory: which blocks of a device are stored one by one and which are in groups, under one setting of the policy, while a
 * trace is played. It holds no contents. Who has contents is told when they are compressed and decompressed (struct tiers_contents).
 *
 *            written                 not used for cold_after             up to group_blocks neighbours
 *   empty ------------->  hot  ------------------------------> waiting ----------------------------------> grouped
 *                          ^                                      |                                           |
 *                          '---- read or written again -----------+---- written; read, if the rule says so ---'
 *
 * A group of which no more than half is left is taken apart: what is left waits for neighbours again.
 *
 * One thread at a time for one model.
 */
#ifndef TIERS_H
#define TIERS_H

#include "bench/trace.h"

#include <stddef.h>
#include <stdint.h>

#define TIERS_GROUP_MAX 64u
#define TIERS_CACHE_MAX 4096u
/* Figures over time are kept for so many moments at most, at equal distances. */
#define TIERS_MOMENTS 256u

/* What becomes of a block of a group that is read. */
enum tiers_rule {
	TIERS_STAY,   /* it stays in its group until it is written or discarded */
	TIERS_SECOND, /* it comes out when it is read for the second time */
	TIERS_OUT,    /* it comes out at once */
	TIERS_RULES,
};

/* "stay" and so on. */
const char *tiers_rule_name(enum tiers_rule rule);
/* -1: there is none of that name. */
int tiers_rule_by_name(const char *name);

struct tiers_setting {
	uint64_t cold_after_s;
	unsigned group_blocks; /* 1 to TIERS_GROUP_MAX */
	unsigned cache_groups; /* decoded groups that are kept: 1 to TIERS_CACHE_MAX */
	enum tiers_rule rule;
};

/*
 * Who has contents. Pages are numbered in the order in which blocks are written, from 0 on. All of them return 0 or a negative errno, which
 * the caller of the model gets.
 */
struct tiers_contents {
	void *opaque;
	/* Bytes that a page takes by itself. */
	int (*single)(void *opaque, uint64_t page, uint32_t *bytes);
	/* Compress a group, and tell the bytes that it takes. *object is the model's until it drops it. */
	int (*encode)(void *opaque, const uint64_t *pages, unsigned n, uint32_t *bytes, void **object);
	/* Decompress one, up to its page number `upto`: for a read, or to take it apart. */
	int (*decode)(void *opaque, void *object, unsigned upto, bool for_read);
	void (*drop)(void *opaque, void *object);
};

/* At one moment. Bytes are 0 without contents. */
struct tiers_moment {
	uint64_t us;
	uint64_t single_blocks;  /* hot and waiting */
	uint64_t grouped_blocks; /* that are still there */
	uint64_t dead_blocks;    /* whose place in a group is not used any more */
	uint64_t single_bytes, grouped_bytes;
	uint64_t alone_bytes; /* what all blocks would take without groups */
};

struct tiers_figures {
	uint64_t reads, writes, discards; /* blocks */
	uint64_t unknown_reads;           /* of blocks that were never written */
	uint64_t cold_reads;              /* of blocks in groups */
	uint64_t decodes;                 /* of groups, for reads */
	uint64_t groups_made, blocks_grouped;
	uint64_t blocks_out;   /* of groups, by the rule */
	uint64_t groups_apart; /* taken apart: each is decoded once more */
	struct tiers_moment moments[TIERS_MOMENTS];
	unsigned moment_count;
};

struct tiers;

/* `contents` may be NULL, and must stay valid otherwise. -ENOMEM. */
int tiers_create(struct tiers **tiers, const struct tiers_setting *setting, const struct tiers_contents *contents);
void tiers_destroy(struct tiers *tiers);
/* Play one event. -ENOMEM, or an error of the contents. */
int tiers_play(struct tiers *tiers, const struct trace_event *event);
/* After the last event: the last moment is added. */
int tiers_end(struct tiers *tiers, uint64_t us);
const struct tiers_figures *tiers_figures(const struct tiers *tiers);

#endif
