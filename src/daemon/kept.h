/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program files of a server that works, held open: a package may replace them under their names with others that do
 * not work, and the names are all that the next server would be started by.
 */
#ifndef KEPT_H
#define KEPT_H

#include <stdbool.h>
#include <sys/types.h>

struct kept {
	pid_t of; /* the process whose files these are; 0: nobody's */
	int program;
	int plugin;
};

void kept_init(struct kept *kept);
void kept_close(struct kept *kept);

/*
 * Hold nbdkit and the plugin of this server in place of what was held. `plugin` is its name or its path, as nbdkit takes them.
 * What cannot be found leaves what there was. One thread; reads /proc.
 */
void kept_take(struct kept *kept, pid_t pid, const char *plugin);

#endif
