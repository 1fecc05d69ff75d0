/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs that zsblkd serves itself: upgrade, stop, and resize of an instance. */
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/verbs.h"
#include "text/size.h"

#include <stdio.h>

/* zsblkd says in a sentence what has come of it. */
static int ask_daemon(const struct call *call, const char *method, struct json_object *parameters)
{
	struct connection *connection = call->connections[0];
	struct json_object *reply = NULL;
	int r = connection_call(connection, CONNECTION_DAEMON, method, parameters, &reply);

	if (r)
		return connection_complain(connection, r);
	if (*member_text(reply, "text"))
		puts(member_text(reply, "text"));
	json_object_put(reply);
	return EXIT_DONE;
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

/* The daemon of an instance tells the kernel of the new size, and knows what else has to be told. */
int verb_resize(const struct call *call)
{
	struct connection *connection = call->connections[0];
	struct json_object *parameters;
	uint64_t bytes;
	int r;

	if (size_parse(call->words[0], &bytes) < 0)
		return complain(EXIT_WRONG_USE, "resize: '%.60s' is no size; give one such as 512M or 2G",
				call->words[0]);
	parameters = json_object_new_object();
	member_put_number(parameters, "size", bytes);
	if (connection_is_instance(connection))
		return ask_daemon(call, "Resize", parameters);
	r = connection_call(connection, CONNECTION_SERVER, "Resize", parameters, NULL);
	return r ? connection_complain(connection, r) : EXIT_DONE;
}
