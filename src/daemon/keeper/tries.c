/* SPDX-License-Identifier: BSD-3-Clause */
/* What follows from servers that failed. See tries.h. */
#include "daemon/keeper/tries.h"

#define PAUSE_FIRST_US   50000u
#define PAUSE_LONGEST_US 5000000u
#define LIMIT_DOUBLINGS  4u

void tries_count(struct tries *tries, const struct tries_end *end)
{
	/* What has ended under the eyes of nobody has shown nothing about what is installed: it may have been killed with its daemon. */
	bool says_nothing = end->adopted || (end->served && end->killed);

	if (end->served && end->served_us >= STEADY_US)
		tries->failures = 0;
	else if (end->hung || !says_nothing)
		tries->failures++;
}

uint64_t tries_pause_us(const struct tries *tries)
{
	uint64_t pause = PAUSE_FIRST_US;

	for (unsigned i = 1; i < tries->started && pause < PAUSE_LONGEST_US; i++)
		pause *= 2;
	return pause < PAUSE_LONGEST_US ? pause : PAUSE_LONGEST_US;
}

uint64_t tries_limit_us(const struct tries *tries, unsigned first_ms, unsigned dead_timeout_s)
{
	unsigned failed = tries->started ? tries->started - 1 : 0;
	unsigned doublings = failed < LIMIT_DOUBLINGS ? failed : LIMIT_DOUBLINGS;
	uint64_t limit = (first_ms * UINT64_C(1000)) << doublings, most = dead_timeout_s * UINT64_C(1000000) / 3;

	return limit < most ? limit : most;
}

bool tries_take_kept(const struct tries *tries)
{
	return tries->failures % 2;
}
