/* SPDX-License-Identifier: BSD-3-Clause */
/* Metrics of devices in the text format of Prometheus (prometheus.io/docs/instrumenting/exposition_formats), version 0.0.4. */
#ifndef METRICS_H
#define METRICS_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>

/* What was learnt of one device: replies of its server and its daemon. What is NULL is left out. */
struct metrics_device {
	const char *name;
	struct json_object *description, *statistics, *memory, *latencies, *cold;
	struct json_object *status; /* the daemon's */
};

/* Print the metrics of all devices. Each metric comes once, with a line for each device. */
void metrics_print(FILE *out, const struct metrics_device *devices, size_t n);

#endif
