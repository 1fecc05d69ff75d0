/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The methods of org.zsblk.Device; src/varlink/org.zsblk.Device.varlink says what each of them does. They run in the control socket's
 * thread, and their `opaque` is the struct host.
 */
#ifndef CONTROL_METHODS_H
#define CONTROL_METHODS_H

#include "varlink/server.h"

extern const struct varlink_method control_methods[];

typedef enum varlink_result control_method_fn(void *opaque, struct varlink_call *call);

/* control_look.c */
control_method_fn control_get_description, control_get_statistics, control_get_classes, control_get_blocks,
	control_get_ages, control_get_latencies;

/* Have the memory of these in memory, before the first call. */
void control_look_prepare(void);

/* control_memory.c */
control_method_fn control_get_memory;

/* control_change.c */
control_method_fn control_set_memory_limit, control_set_algorithm, control_set_background_cpu, control_reset_peak,
	control_resize, control_set_reserve, control_mark_idle, control_reset;

/* For messages: the algorithms that there are. */
const char *control_algorithms(void);

/* control_trace.c */
control_method_fn control_start_trace, control_stop_trace, control_get_trace;

/* control_cold.c */
control_method_fn control_get_cold, control_set_cold;

/* control_jobs.c */
control_method_fn control_compact, control_check, control_recompress, control_group, control_get_jobs, control_wait_job,
	control_cancel_job;

#endif
