/* SPDX-License-Identifier: BSD-3-Clause */
/* A day that nobody recorded: its order, what follows what, and how long pages rest. */
#include "lib/test.h"

#include "bench/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 20000u
#define END_US     (SHAPE_END_S * UINT64_C(1000000))

enum state { EMPTY, WRITTEN, READ };

/* What a day did. */
struct seen {
	uint8_t state[BLOCKS_MAX];
	uint64_t rested_since[BLOCKS_MAX / SHAPE_RUN + 1]; /* of a run, when it was filled; then UINT64_MAX */
	uint64_t first_rest[BLOCKS_MAX / SHAPE_RUN + 1];
	uint64_t reads, events;
};

/* Play a day, and verify each event on the way. */
static void play(struct seen *seen, uint32_t blocks, uint64_t seed)
{
	struct trace_event event;
	struct shape *shape;
	uint64_t us = 0;

	memset(seen, 0, sizeof *seen);
	assert_int_equal(shape_create(&shape, blocks, seed), 0);
	while (shape_next(shape, &event)) {
		uint64_t run = event.first / SHAPE_RUN;
		uint8_t *state = &seen->state[event.first];

		assert_true(event.us >= us && event.us < END_US);
		assert_true(event.first < blocks && event.blocks == 1 && !event.ragged);
		us = event.us;
		seen->events++;
		if (event.op == TRACE_READ) {
			assert_int_equal(*state, WRITTEN);
			*state = READ;
			seen->reads++;
			if (!seen->first_rest[run])
				seen->first_rest[run] = us - seen->rested_since[run];
		} else {
			assert_int_equal(event.op, TRACE_WRITE);
			assert_true(*state == EMPTY || *state == READ);
			if (*state == EMPTY) {
				assert_true(us < SHAPE_FILL_S * UINT64_C(1000000));
				seen->rested_since[run] = us;
			}
			*state = WRITTEN;
		}
	}
	/* Whatever was read is written again, and all blocks were written. */
	for (uint32_t i = 0; i < blocks; i++)
		assert_int_equal(seen->state[i], WRITTEN);
	/* There is nothing behind the end. */
	assert_false(shape_next(shape, &event));
	shape_destroy(shape);
}

static void test_order(void **state)
{
	static const uint32_t sizes[] = {1, 2, SHAPE_RUN - 1, SHAPE_RUN, SHAPE_RUN + 1, 1000};
	struct seen *seen = malloc(sizeof *seen);

	assert_non_null(seen);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		play(seen, sizes[i], i);
	free(seen);
}

static void test_same_seed(void **state)
{
	struct seen *a = malloc(sizeof *a), *b = malloc(sizeof *b);

	assert_true(a && b);
	play(a, 500, 7);
	play(b, 500, 7);
	assert_memory_equal(a, b, sizeof *a);
	play(b, 500, 8);
	assert_memory_not_equal(a, b, sizeof *a);
	free(a);
	free(b);
}

/*
 * Of runs, the first rest has the law: it ends with the first read of the run, but in the one case of 65536 in which none of its pages is
 * read. The share that rests longer than some time is that of a power law, give or take four standard deviations.
 */
static void test_rest(void **state)
{
	static const double seconds[] = {1, 5, 20, 60, 900, 14400};
	struct seen *seen = malloc(sizeof *seen);
	unsigned runs = BLOCKS_MAX / SHAPE_RUN;

	assert_non_null(seen);
	play(seen, BLOCKS_MAX, 1);
	for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
		double wanted = pow(SHAPE_LEAST_S / seconds[i], SHAPE_EXPONENT);
		double most = 4 * sqrt(wanted * (1 - wanted) / runs);
		unsigned longer = 0;

		/* 0: not read all day. */
		for (unsigned run = 0; run < runs; run++)
			longer += !seen->first_rest[run] || (double)seen->first_rest[run] > seconds[i] * 1e6;
		assert_true(fabs((double)longer / runs - wanted) <= most);
	}
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_same_seed),
		cmocka_unit_test(test_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
