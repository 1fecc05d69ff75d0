/* SPDX-License-Identifier: BSD-3-Clause */
/* A device in sentences, for `zsblkctl status`: what it is, how full it is, how well it compresses, what it did lately and why. */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>

/* What is known of a device. Each member of what servers answer, or NULL where nobody has answered. */
struct describe_facts {
	const char *name;                /* of the instance, or the path of the socket */
	struct json_object *description; /* GetDescription */
	struct json_object *statistics;  /* GetStatistics */
	struct json_object *ages;        /* GetAges: the array */
	struct json_object *jobs;        /* GetJobs: the array */
	struct json_object *cold;        /* GetCold: the object */
	struct json_object *daemon;      /* GetStatus */
	const char *mountpoint;          /* "[SWAP]", a path, or NULL */
	const char *server_problem;      /* why the server has not answered; NULL: it has */
	const char *daemon_problem;      /* the same of zsblkd; NULL also if there need be none */
	int64_t now_s;                   /* since 1970 */
};

/* Print it. Nothing else: tested by a table. */
void describe(FILE *out, const struct describe_facts *facts);

/* Of that what is about cold data: the policy's settings, what it does and has done, and the groups. Each line begins with `indent`. */
void describe_cold(FILE *out, const char *indent, struct json_object *cold, struct json_object *statistics);

#endif
