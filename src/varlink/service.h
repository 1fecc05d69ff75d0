/* SPDX-License-Identifier: BSD-3-Clause */
/* org.varlink.service, the interface that tells of a service. Private to the server. */
#ifndef SERVICE_H
#define SERVICE_H

#include "varlink/server.h"

/* Its methods; their `opaque` is the struct varlink_service that they tell of. */
extern const struct varlink_method varlink_service_methods[];

#define VARLINK_SERVICE "org.varlink.service"

/* The errors of that interface: a name of the list in idl_service, and its one parameter; NULL: it has none. */
void varlink_service_refuse(struct varlink_call *call, const char *error, const char *parameter, const char *value);

#endif
