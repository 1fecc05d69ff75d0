/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The upgrade: a new server in place of the one there is, of what is installed now, and with the present parameters. A server is tried on
 * memory of its own first, and the running one is replaced only if that comes up, in a moment in which nothing is in flight.
 */
#ifndef UPGRADE_H
#define UPGRADE_H

#include "daemon/instance.h"

struct stop;
struct use;
struct upgrade;

/* 0, -ENOMEM, or an error of sd_event_add_time(3). *stop and *use have to live as long. */
int upgrade_create(struct upgrade **upgrade, struct instance *instance, struct stop *stop, struct use *use);
/* NULL is allowed. */
void upgrade_free(struct upgrade *upgrade);

/* Upgrade. The client (CONTROL_NOBODY: a signal asks) is answered when it is done, or cannot be. */
void upgrade_request(struct upgrade *upgrade, unsigned client);

/*
 * Try the present parameters, while a server lives that was started with others; then put the device to use. 0 or an error of
 * job_start().
 */
int upgrade_try_parameters(struct upgrade *upgrade);

/* A server serves. `is_new`: this daemon started it. True if that was an upgrade. */
bool upgrade_serves(struct upgrade *upgrade, bool is_new);

/* Would no other server come up with the present parameters, as far as was tried? */
bool upgrade_cannot_restart(const struct upgrade *upgrade);

#endif
