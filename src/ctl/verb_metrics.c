/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl metrics: all figures of all devices in the text format of Prometheus. */
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/metrics.h"
#include "ctl/verbs.h"

#include "ctl/complain.h"

#include <stdlib.h>

/*
 * The member `name` of the reply to a method. NULL: the server does not answer, or does not know the method. `parameters` becomes the
 * connection's.
 */
static struct json_object *ask(struct connection *connection, const char *method, struct json_object *parameters,
			       const char *name)
{
	struct json_object *reply = NULL, *found = NULL;

	if (connection_call(connection, CONNECTION_SERVER, method, parameters, &reply) == EXIT_DONE)
		json_object_object_get_ex(reply, name, &found);
	found = json_object_get(found);
	json_object_put(reply);
	return found;
}

/* One kind after the other: with all buckets of all kinds a reply could have more bytes than it may. */
static struct json_object *ask_latencies(struct connection *connection)
{
	static const char *const kinds[] = {"read", "write", "discard", "compress", "decompress"};
	struct json_object *all = json_object_new_array();

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct json_object *parameters = json_object_new_object(), *latencies;

		member_put_text(parameters, "what", kinds[i]);
		latencies = ask(connection, "GetLatencies", parameters, "latencies");
		if (latencies && json_object_array_length(latencies) > 0)
			json_object_array_add(all, json_object_get(json_object_array_get_idx(latencies, 0)));
		json_object_put(latencies);
	}
	return all;
}

/* A device that does not answer has zsblk_up 0, which is an answer for whoever watches it. */
static int learn(struct metrics_device *device, struct connection *connection)
{
	int r = connection_call(connection, CONNECTION_SERVER, "GetDescription", NULL, &device->description);

	device->name = connection_name(connection);
	if (connection_is_instance(connection))
		(void)connection_call(connection, CONNECTION_DAEMON, "GetStatus", NULL, &device->status);
	if (r == EXIT_NOT_RUNNING || r == EXIT_NO_ANSWER)
		return EXIT_DONE;
	if (r)
		return connection_complain(connection, r);
	device->statistics = ask(connection, "GetStatistics", NULL, "statistics");
	device->memory = ask(connection, "GetMemory", NULL, "memory");
	device->cold = ask(connection, "GetCold", NULL, "cold");
	device->latencies = ask_latencies(connection);
	return EXIT_DONE;
}

static void forget(struct metrics_device *device)
{
	json_object_put(device->description);
	json_object_put(device->statistics);
	json_object_put(device->memory);
	json_object_put(device->latencies);
	json_object_put(device->cold);
	json_object_put(device->status);
}

int verb_metrics(const struct call *call)
{
	struct metrics_device *devices = calloc(call->n_connections + 1, sizeof *devices);
	int worst = EXIT_DONE;

	if (!devices)
		return complain(EXIT_FAILED, "no memory for the figures of %zu devices", call->n_connections);
	for (size_t i = 0; i < call->n_connections; i++)
		worst = exit_worse(worst, learn(&devices[i], call->connections[i]));
	metrics_print(stdout, devices, call->n_connections);
	for (size_t i = 0; i < call->n_connections; i++)
		forget(&devices[i]);
	free(devices);
	return worst;
}
