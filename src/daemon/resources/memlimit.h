/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory limits of control groups above the daemon (MemoryMax=, MemoryHigh=, those of a slice or of a container): what has to
 * fit below them, and what is said of them. That the device keeps to them is the server's work (src/engine/cap.c).
 */
#ifndef MEMLIMIT_H
#define MEMLIMIT_H

#include "daemon/settings/settings.h"
#include "process/cgroup.h"

#include <stdbool.h>
#include <stdint.h>

struct memlimit {
	struct cgroup *cgroup;
	uint64_t known; /* the limit that was said last */
};

/* Bytes of the smallest limit above this process; 0: there is none. */
uint64_t memlimit_smallest(void);

/* Bytes that an instance with these settings takes at least below a limit of `limit` bytes: needs_below_limit(). */
uint64_t memlimit_needed(const struct settings *settings, uint64_t limit);
/* The smallest limit that is large enough, in MiB. */
unsigned memlimit_least_mib(const struct settings *settings);
/* Is the limit above this process large enough? 0, or -ENOMEM with the reason. */
int memlimit_check(const struct settings *settings, struct wrong *wrong);

void memlimit_open(struct memlimit *memlimit);
void memlimit_close(struct memlimit *memlimit);
/* Say which limit there is, if that has changed since the last call, and whether it is large enough. */
void memlimit_say(struct memlimit *memlimit, const struct settings *settings);

#endif
