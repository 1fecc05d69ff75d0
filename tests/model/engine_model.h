/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the engine's model share: engine_model.c has the requests, engine_beside.c what goes on beside them. */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "engine/sector.h"
#include "lib/base.h"
#include "lib/random.h"

#include <inttypes.h>
#include <stdatomic.h>

struct model_options {
	uint64_t seed, ops;
	unsigned threads, fault;
	bool switches;   /* algorithm, reserve and limit change */
	uint64_t region; /* bytes a thread owns */
	struct zsblk_params params;
	char folder[32]; /* with a backing store in it; "": there is none */
};

extern struct model_options opt;
extern struct zsblk *dev;
extern uint8_t *truth; /* what the device holds */

/* Who makes requests, and the one that is being made. */
struct worker {
	uint64_t random, start, len;
	uint8_t *data, *check;
	const char *op;
	uint64_t off, n, step;
};

/* Say what is wrong with the worker's request (NULL: with the device), and abort. */
__attribute__((format(printf, 2, 3), noreturn)) void die(const struct worker *w, const char *format, ...);
void compare(const struct worker *w, const uint8_t *got, const uint8_t *want, uint64_t off, uint64_t n);
/* Requests of w->n bytes at w->off, which are compared with the truth, or change it. */
void do_read(struct worker *w);
void do_write(struct worker *w);
void do_clear(struct worker *w, bool discard);

/* The thread beside the requests, until beside_stop is set. */
extern atomic_bool beside_stop;
void *beside_run(void *opaque);
/* Say what it did. */
void beside_print(void);
/* Put all blocks into groups that gain by that. */
void beside_group_all(void);
/* Put all blocks that can be there into the backing store, if there is one. */
void beside_spill_all(void);

#endif
