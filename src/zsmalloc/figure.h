/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures: numbers that change under a lock, and that whoever only tells of them reads without it. A thread without the
 * class of the threads with requests would keep these waiting if it were preempted with their lock. Each figure is right by
 * itself; several of them may be of different moments.
 */
#ifndef ZS_FIGURE_H
#define ZS_FIGURE_H

#include <stdatomic.h>
#include <stdint.h>

static inline uint64_t figure_get(const _Atomic uint64_t *figure)
{
	return atomic_load_explicit(figure, memory_order_relaxed);
}

/* Under the lock: no other thread changes it, so no locked instruction is needed. */
static inline void figure_add(_Atomic uint64_t *figure, uint64_t n)
{
	atomic_store_explicit(figure, figure_get(figure) + n, memory_order_relaxed);
}

static inline void figure_sub(_Atomic uint64_t *figure, uint64_t n)
{
	atomic_store_explicit(figure, figure_get(figure) - n, memory_order_relaxed);
}

#endif
