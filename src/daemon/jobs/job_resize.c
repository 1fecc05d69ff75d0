/* SPDX-License-Identifier: BSD-3-Clause */
/* Another size for a device, a job. See job_resize.h. */
#include "daemon/jobs/job_resize.h"

#include "varlink/client.h"
#include "varlink/server.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

/* A server that has to fill a larger table may wait for memory meanwhile. */
#define LIMIT_MS (120 * 1000)

int job_resize(const void *what, struct wrong *wrong)
{
	const struct job_resize *resize = what;
	struct json_object *in, *out = NULL;
	struct varlink_failure failure = {.text = ""};
	struct varlink_client *client;
	int r = varlink_client_open(&client, resize->control, LIMIT_MS);

	if (r) {
		wrong_say(
			wrong,
			r == -ENOENT || r == -ECONNREFUSED
				? "the server has no control socket: it is of an older version; upgrade it first (zsblkd --upgrade)"
				: "the server cannot be asked: %s",
			strerror(-r));
		return -EREMOTEIO;
	}
	in = json_object_new_object();
	varlink_add_int(in, "size", resize->size);
	if (resize->is_smaller)
		varlink_add_bool(in, "clients_know", true);
	r = varlink_client_call(client, "org.zsblk.Device.Resize", in, &out, &failure);
	if (r)
		wrong_say(wrong, "%s", failure.text);
	json_object_put(out);
	varlink_client_close(client);
	return r;
}
