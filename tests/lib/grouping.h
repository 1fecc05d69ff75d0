/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups of the one device of a test: blocks for them, and whole jobs. */
#ifndef TEST_GROUPING_H
#define TEST_GROUPING_H

/* Before `dev` is declared, as in fixture.h. */
#include "engine/grouping.h"

#include "lib/fixture.h"
#include "lib/test.h"

#define AT(block) ((uint64_t)(block)*BLOCK_BYTES)

static const struct zsblk_group_what any = {0};

static inline struct zsblk_grouping *begin(const struct zsblk_group_what *what)
{
	struct zsblk_grouping *job;

	why.text[0] = '\0';
	if (zsblk_group_begin(dev, what, &job, &why))
		fail_msg("%s", why.text);
	return job;
}

static inline struct zsblk_group_figures finish(struct zsblk_grouping *job)
{
	struct zsblk_group_figures figures;
	bool more = true;

	while (more)
		assert_int_equal(zsblk_group_step(job, &figures, &more), 0);
	zsblk_group_end(job);
	return figures;
}

static inline uint64_t count_groups(const struct zsblk_group_what *what, uint64_t most)
{
	uint64_t groups = ~UINT64_C(0);

	why.text[0] = '\0';
	if (zsblk_group_count(dev, what, most, &groups, &why))
		fail_msg("%s", why.text);
	return groups;
}

/* Who counts before, knows whether there is anything to do; afterwards there is nothing, unless the job ended early. */
static inline struct zsblk_group_figures make_groups(struct zsblk_group_what what)
{
	uint64_t found = count_groups(&what, UINT64_MAX), regrouped = device_stats(dev).regrouped;
	struct zsblk_group_figures figures = finish(begin(&what));

	regrouped = device_stats(dev).regrouped - regrouped;
	assert_int_equal(found != 0, figures.groups + figures.given_up + figures.failed + regrouped != 0);
	assert_true(figures.groups <= found);
	if (!what.max_groups && !figures.failed)
		assert_int_equal(count_groups(&what, UINT64_MAX), 0);
	return figures;
}

static inline void fill(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		device_put(dev, i, BLOCK_TEXT, i);
}

static inline void compare(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	device_ok(dev);
}

#endif
