/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy of cold blocks: what nobody has used for long is packed into groups, in the background.
 *
 *   once a second   a look at the device and at the system's pressure --> the plan (cold_plan.h) --> a job (jobs.h), or the end of one
 *
 * The work itself is a job of the kind JOBS_COLD, in the jobs' thread, within its share of a processor. A job that people
 * begin comes first: the policy's gives way. Settings that were changed in use go on under the next server of the segment,
 * as those of the engine do (zsblk_adopted()): a change counts as long as the parameter is the one that it was made
 * against.
 *
 * Functions may be called from any thread, and wait for nothing but other calls, if they do not say otherwise.
 */
#ifndef COLD_H
#define COLD_H

#include "host/cold_plan.h"
#include "host/jobs.h"

struct cold;

struct cold_report {
	struct cold_settings settings;
	enum cold_state state;
	struct zsblk_why text; /* for people: what it does or waits for, and why */
	struct zsblk_why last; /* for people: what its last job has done; empty: there was none */
	struct cold_sums sums;
	uint64_t packed;   /* bytes of data within the last 24 hours */
	bool has_pressure; /* the system tells of memory pressure */
	unsigned pressure; /* in hundredths of a percent: pressure.h */
};

/*
 * Begin, with what the parameters say. 0 or a negative errno. The thread is there when the policy was on once. *dev and
 * *jobs stay until cold_stop().
 */
int cold_start(struct cold **cold, struct zsblk *dev, struct jobs *jobs, const struct cold_settings *given);
/* Its job is cancelled, and not waited for. NULL is allowed. */
void cold_stop(struct cold *cold);

/*
 * Change the settings whose bits (1 << index of the key) are in `which`, all of them or none. May wait for memory. 0; -EINVAL with the
 * reason; or an error of thread_start_background().
 */
int cold_change(struct cold *cold, const struct cold_settings *settings, unsigned which, struct zsblk_why *why);

void cold_look(struct cold *cold, struct cold_report *report);

/* What was changed under a former server and goes on: "cold=yes cold-after=5m"; empty: nothing. Valid as long as *cold. */
const char *cold_adopted(const struct cold *cold);

#endif
