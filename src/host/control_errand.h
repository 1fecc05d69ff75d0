/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Methods of the control socket whose work is an errand of the jobs' thread (jobs.h): single calls of the engine that can wait for memory, or that go over a
 * whole table. The method sends the errand when it runs for the first time, and asks for the result when it runs again.
 */
#ifndef CONTROL_ERRAND_H
#define CONTROL_ERRAND_H

#include "host/jobs.h"
#include "varlink/server.h"

struct host;

/*
 * Let an errand run with a copy of `memory`, which has its results in the end. The method returns what this returns. *done: the
 * errand is over, and was no error; otherwise the client was told, or nothing is to be said yet. Uses call->state[1].
 */
enum varlink_result control_errand(struct host *host, struct varlink_call *call, jobs_errand_fn *errand, void *memory,
				   size_t bytes, bool *done);
/* The same for one that changes nothing. */
enum varlink_result control_errand_look(struct host *host, struct varlink_call *call, jobs_errand_fn *errand,
					void *memory, size_t bytes, bool *done);
/* The client has gone before the errand was over: see struct varlink_service. */
void control_errand_drop(void *opaque, struct varlink_call *call);

#endif
