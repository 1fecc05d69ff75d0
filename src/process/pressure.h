/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much memory is short, as the kernel's pressure stall information tells: the share of time in which tasks waited for
 * memory. Of the whole machine (/proc/pressure/memory), and of the control group that this process is in
 * (memory.pressure, version 2 only).
 *
 * Source: the kernel's Documentation/accounting/psi.rst. Any thread may look; looking allocates nothing.
 */
#ifndef PRESSURE_H
#define PRESSURE_H

#include <stdbool.h>

struct pressure {
	int system, group; /* files, kept open; -1: there is none */
};

/* Never fails: what there is not, is not looked at. */
void pressure_open(struct pressure *pressure);
/* For tests: these two files instead; NULL: none. */
void pressure_open_from(struct pressure *pressure, const char *system, const char *group);
void pressure_close(struct pressure *pressure);

/*
 * Look: the share of the last 10 seconds in which at least one task waited, in hundredths of a percent; the higher one of
 * both. False: the system does not tell (a kernel without PSI, psi=0, or no /proc), and *some is 0.
 */
bool pressure_look(const struct pressure *pressure, unsigned *some);

#endif
