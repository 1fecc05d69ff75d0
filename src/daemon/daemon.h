/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon of one instance, from its start to its end. */
#ifndef DAEMON_H
#define DAEMON_H

#include "daemon/resources/ballast.h"
#include "daemon/settings/settings.h"

/*
 * Until it is told to stop. Returns the exit status; what went wrong has been said. In a child of the supervisor
 * (supervise.h).
 */
int daemon_run(struct settings *settings, struct ballast *ballast);

#endif
