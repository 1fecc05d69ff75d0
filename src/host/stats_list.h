/* SPDX-License-Identifier: BSD-3-Clause */
/* The members of struct zsblk_stats by their names, for all who tell them to others: stats_file.h and the control socket. */
#ifndef STATS_LIST_H
#define STATS_LIST_H

#include "zsblk.h"

#include <stddef.h>

struct stats_list {
	const char *name;
	size_t offset; /* of a uint64_t in struct zsblk_stats */
};

/* The last one has no name. */
extern const struct stats_list stats_list[];

uint64_t stats_list_value(const struct stats_list *one, const struct zsblk_stats *stats);

#endif
