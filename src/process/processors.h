/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of processors. The C library's cpu_set_t has room for 1024, and a kernel that can have more refuses to fill a smaller set than its
 * own. The largest that Linux can be built for is 8192 (CONFIG_NR_CPUS), on x86 and powerpc.
 */
#ifndef PROCESSORS_H
#define PROCESSORS_H

#include <sched.h>

#define PROCESSORS_MOST 8192

/* One bit for each; zeroed: none. For sched_setaffinity(2) and its like, which take the size: the CPU_*_S() macros of CPU_SET(3). */
struct processors {
	cpu_set_t sets[PROCESSORS_MOST / CPU_SETSIZE];
};
_Static_assert(sizeof(struct processors) * 8 == PROCESSORS_MOST, "the pieces of the set are one set");

#endif
