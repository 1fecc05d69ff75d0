/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Has the system memory to spare? Asked before memory is populated ahead of demand.
 *
 * Populating while there is none means to wait in the kernel for as long as there is none, holding
 * the lock on the process's address space: whoever then needs that lock (a thread that maps memory,
 * or grows the heap) waits as well, and if it is a thread that serves swap, everybody does.
 */
#ifndef SPARE_H
#define SPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spare {
	char *text; /* NULL: the system does not say */
	int fd;     /* /proc/zoneinfo, kept open: reading it again allocates nothing */
	size_t size;
};

/* Never fails: where the system does not say, there is memory to spare. Allocates. */
void spare_open(struct spare *spare);
/* Also right for what was zeroed and never opened. */
void spare_close(struct spare *spare);

/*
 * Could the calling thread have a few hundred KiB at once, without reclaim? Allocates nothing; for
 * one thread at a time.
 */
bool spare_memory(struct spare *spare);

/* The same, for a task of a real-time class or an ordinary one, whatever the caller is. */
bool spare_memory_for(struct spare *spare, bool realtime);

/*
 * The same, of a text as /proc/zoneinfo has it. For spare_memory() and tests. `realtime`: for a task
 * of a real-time class.
 */
bool spare_in_zones(const char *text, bool realtime);

/*
 * Bytes that this process can get at most, with others paged out for it: free memory, memory that the system
 * can free, and free swap, but never more than the machine has. UINT64_MAX where the system does not say. A
 * rough upper bound for requests that make no sense, not a promise. Allocates for a moment; any thread.
 */
uint64_t spare_available(void);

/* The same, of a text as /proc/meminfo has it. For spare_available() and tests. */
uint64_t spare_in_meminfo(const char *text);

#endif
