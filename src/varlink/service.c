/* SPDX-License-Identifier: BSD-3-Clause */
/* org.varlink.service. See service.h. */
#include "varlink/service.h"

#include "varlink/idl.h"

#include <json-c/json.h>
#include <string.h>

static enum varlink_result get_info(void *opaque, struct varlink_call *call)
{
	const struct varlink_service *service = opaque;
	struct json_object *out = json_object_new_object(), *interfaces = json_object_new_array();
	const char *name;
	size_t length;

	idl_name(service->idl, &name, &length);
	varlink_append(interfaces, json_object_new_string(VARLINK_SERVICE));
	varlink_append(interfaces, json_object_new_string_len(name, (int)length));
	varlink_add_string(out, "vendor", "zsblk");
	varlink_add_string(out, "product", service->product);
	varlink_add_string(out, "version", service->version);
	varlink_add_string(out, "url", "");
	varlink_add(out, "interfaces", interfaces);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

static enum varlink_result get_interface_description(void *opaque, struct varlink_call *call)
{
	const struct varlink_service *service = opaque;
	const char *idls[] = {service->idl, idl_service}, *wanted = varlink_string(call, "interface"), *name;
	size_t length;

	for (size_t i = 0; i < sizeof idls / sizeof idls[0]; i++) {
		struct json_object *out;

		idl_name(idls[i], &name, &length);
		if (strlen(wanted) != length || strncmp(wanted, name, length) != 0)
			continue;
		out = json_object_new_object();
		varlink_add_string(out, "description", idls[i]);
		varlink_reply(call, out);
		return VARLINK_DONE;
	}
	varlink_service_refuse(call, "InterfaceNotFound", "interface", wanted);
	return VARLINK_DONE;
}

const struct varlink_method varlink_service_methods[] = {
	{"GetInfo", VARLINK_LOOK, get_info},
	{"GetInterfaceDescription", VARLINK_LOOK, get_interface_description},
	{NULL, VARLINK_NOTHING, NULL},
};
