/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs that zsblkd serves itself: upgrade and stop. */
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/verbs.h"

static int ask_daemon(const struct call *call, const char *method, struct json_object *parameters)
{
	struct connection *connection = call->connections[0];
	int r = connection_call(connection, CONNECTION_DAEMON, method, parameters, NULL);

	return r ? connection_complain(connection, r) : EXIT_DONE;
}

int verb_upgrade(const struct call *call)
{
	return ask_daemon(call, "Upgrade", NULL);
}

int verb_stop(const struct call *call)
{
	struct json_object *parameters = json_object_new_object();

	if (options_has(call->options, OPTION_UNLESS_USED))
		member_put_bool(parameters, "unless_used", true);
	return ask_daemon(call, "Stop", parameters);
}
