/* SPDX-License-Identifier: BSD-3-Clause */
/* The plugin's parameters: from key=value on nbdkit's command line to what host and engine take. */
#ifndef PARAMS_H
#define PARAMS_H

#include "host/host.h"

void params_init(struct host_params *params);
void params_free(struct host_params *params);

/*
 * Take one key=value. 0, or -1 after telling what is wrong. Both strings must stay valid as long
 * as *params is used.
 */
int params_set(struct host_params *params, const char *key, const char *value);

/* All were given: fill in the defaults that depend on others, and check the whole. 0 or -1 as
 * above. */
int params_complete(struct host_params *params);

/* What --help says: a line for each key, with the algorithms and levels there really are. */
const char *params_help(void);

#endif
