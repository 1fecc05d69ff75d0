/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work that a server does in the background: compact, recompress, group and check. A job goes on without whoever asked for it; --wait stays until the job
 * ends, and --cancel ends the one that runs.
 */
#ifndef JOB_H
#define JOB_H

#include "ctl/verbs.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/* Options of all verbs that begin a job. */
#define JOB_OPTIONS (OPTION_WAIT | OPTION_CANCEL | OPTION_JSON)

/*
 * Begin a job of this kind by `method`, with `parameters`, which become the job's; then do what --wait and --json ask for. With --cancel instead end
 * the one of its kind that runs. EXIT_DONE, or EXIT_* once the reason is on standard error; EXIT_FAILED also if the job that was waited for has failed or was
 * cancelled.
 */
int job_run(const struct call *call, const char *kind, const char *method, struct json_object *parameters);

/* Wait for the end of the job / end it. The same. */
int job_wait(const struct call *call, struct connection *connection, uint64_t id);
int job_cancel(struct connection *connection, uint64_t id);

/* The jobs that a server knows: the ones that run, and the last of each kind. *reply is to be freed, and the array is in it. */
int job_get_all(struct connection *connection, struct json_object **reply, struct json_object **jobs);

bool job_is_running(struct json_object *job);

/* How far it is, in percent; 100 if there is nothing to do. */
unsigned job_percent(struct json_object *job);

#endif
