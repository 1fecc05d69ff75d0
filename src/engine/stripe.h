/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stripes: locks that hold blocks still. Each is for the blocks whose numbers are hashed to it.
 *
 * There are 64 for each CPU, so that two requests for different blocks seldom meet: with all CPUs at work, a request
 * finds its stripe taken in at most 1 of 64 cases. Numbers are hashed, since requests that run in step through parts of
 * a device would otherwise meet at every block.
 */
#ifndef STRIPE_H
#define STRIPE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct stripe {
	_Alignas(64) pthread_mutex_t lock;
};

struct stripes {
	struct stripe *all;
	size_t n;       /* a power of two */
	unsigned shift; /* 64 less the logarithm of n */
};

/* For a machine with so many CPUs. -ENOMEM: there was no memory for them. */
int stripes_init(struct stripes *stripes, long cpus);
/* Harmless on a zeroed struct. */
void stripes_destroy(struct stripes *stripes);

/* Wait until all threads that hold a stripe now have released it. */
void stripes_pass(const struct stripes *stripes);

static inline pthread_mutex_t *stripe_of(const struct stripes *stripes, uint64_t block)
{
	/* Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4): 2^64 by the golden ratio. */
	return &stripes->all[block * UINT64_C(0x9e3779b97f4a7c15) >> stripes->shift].lock;
}

#endif
