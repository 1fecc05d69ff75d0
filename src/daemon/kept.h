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
	int program; /* -1: the server's is not the one that we run, which starts it in a way of its own */
	int plugin;
};

void kept_init(struct kept *kept);
void kept_close(struct kept *kept);

/*
 * Hold nbdkit and the plugin of this server in place of what was held. `program` is what we run for it; `plugin` is its name or its
 * path, as nbdkit takes them. If the plugin cannot be found, what there was is kept. One thread; reads /proc.
 */
void kept_take(struct kept *kept, pid_t pid, const char *program, const char *plugin);

#endif
