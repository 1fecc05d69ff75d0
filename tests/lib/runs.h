/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs of pages over an anonymous segment of their own. */
#ifndef TEST_RUNS_H
#define TEST_RUNS_H

#include "lib/base.h"

#include "zsmalloc/runs.h"

#define RUNS_PAGES (20 * RUNS_CHUNK + 13) /* the last chunk is short */

/* Not at the segment's start, and on a page of any system. */
#define RUNS_OFFSET ((uint64_t)SEGMENT_MAX_SYSTEM_PAGE)

static struct segment seg;
static struct runs runs;

static inline int runs_set_up(void **state)
{
	const struct segment_spec anon = {.kind = SEGMENT_ANON};
	const char *step;

	(void)state;
	must(segment_open(&seg, &anon, RUNS_OFFSET + (uint64_t)RUNS_PAGES * SEGMENT_PAGE, &step) == 0);
	must(runs_init(&runs, &seg, RUNS_OFFSET, RUNS_PAGES) == 0);
	return 0;
}

static inline int runs_tear_down(void **state)
{
	(void)state;
	runs_destroy(&runs);
	segment_close(&seg);
	return 0;
}

#endif
