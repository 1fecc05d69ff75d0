/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of methods: what each of them needs. See control_methods.h. */
#include "host/control_methods.h"

#include <stddef.h>

const struct varlink_method control_methods[] = {
	{"GetDescription", VARLINK_LOOK, control_get_description},
	{"GetStatistics", VARLINK_LOOK, control_get_statistics},
	{"GetClasses", VARLINK_LOOK, control_get_classes},
	{"GetMemory", VARLINK_LOOK, control_get_memory},
	{"GetLatencies", VARLINK_LOOK, control_get_latencies},
	{"GetAges", VARLINK_LOOK, control_get_ages},
	{"GetCold", VARLINK_LOOK, control_get_cold},
	/* What block has what is nothing for those who may only look at the whole. */
	{"GetBlocks", VARLINK_CHANGE, control_get_blocks},
	{"GetJobs", VARLINK_LOOK, control_get_jobs},
	{"GetTrace", VARLINK_LOOK, control_get_trace},
	{"WaitJob", VARLINK_LOOK, control_wait_job},

	{"SetMemoryLimit", VARLINK_CHANGE, control_set_memory_limit},
	{"SetReserve", VARLINK_CHANGE, control_set_reserve},
	{"SetAlgorithm", VARLINK_CHANGE, control_set_algorithm},
	{"SetBackgroundCpu", VARLINK_CHANGE, control_set_background_cpu},
	{"SetCold", VARLINK_CHANGE, control_set_cold},
	{"ResetPeak", VARLINK_CHANGE, control_reset_peak},
	{"Resize", VARLINK_CHANGE, control_resize},
	{"MarkIdle", VARLINK_CHANGE, control_mark_idle},
	{"Reset", VARLINK_CHANGE, control_reset},
	{"StartTrace", VARLINK_CHANGE, control_start_trace},
	{"StopTrace", VARLINK_CHANGE, control_stop_trace},

	{"Compact", VARLINK_CHANGE, control_compact},
	{"Check", VARLINK_CHANGE, control_check},
	{"Recompress", VARLINK_CHANGE, control_recompress},
	{"Group", VARLINK_CHANGE, control_group},
	{"CancelJob", VARLINK_CHANGE, control_cancel_job},
	{NULL, VARLINK_NOTHING, NULL},
};
