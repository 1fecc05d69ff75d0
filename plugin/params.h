/* SPDX-License-Identifier: BSD-3-Clause */
/* The plugin's parameters: from key=value on nbdkit's command line to what the engine takes. */
#ifndef PARAMS_H
#define PARAMS_H

#include "zsblk.h"

enum lock_mode { LOCK_MODE_AUTO, LOCK_MODE_YES, LOCK_MODE_NO };

struct plugin_params {
	struct zsblk_params engine;
	enum lock_mode lock;
	char *stats_path; /* absolute; NULL: no such file */
};

void params_init(struct plugin_params *params);
void params_free(struct plugin_params *params);

/*
 * Take one key=value. 0, or -1 after telling what is wrong. Both strings must stay valid as long
 * as *params is used.
 */
int params_set(struct plugin_params *params, const char *key, const char *value);

/* All were given: fill in the defaults that depend on others, and check the whole. 0 or -1 as
 * above. */
int params_complete(struct plugin_params *params);

/* What --help says: a line for each key, with the algorithms and levels there really are. */
const char *params_help(void);

#endif
