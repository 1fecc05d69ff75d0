/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices that a command line names. */
#ifndef NAMED_H
#define NAMED_H

#include "ctl/connection.h"
#include "ctl/options.h"

#include <stddef.h>

struct named {
	struct connection **connections;
	size_t n;
};

/*
 * A connection for each of the `n` words: the name of an instance, or the path of a device that an instance serves. Without words: for each instance that has a
 * folder, which may be none. With --control: to that socket, and there are no words.
 *
 * Only devices are looked for, which asks all instances; otherwise nothing is opened. EXIT_DONE, or another EXIT_* once the reason is on
 * standard error. Either way named_free() is due.
 */
int named_find(struct named *named, const struct options *options, char **words, size_t n);
void named_free(struct named *named);

#endif
