/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel knows of a process, and what a process on whose work others' memory depends asks of
 * it. Linux only. Functions may be called from any thread; flags are per thread and inherited.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * When a process started, in clock ticks since boot: number and start time together name a process for good. Three
 * answers: 0, with *start; -ESRCH: there is no such process, or only its remains (a zombie whose threads have all
 * ended does nothing any more, however long its parent leaves it there; then *start is set, too); any other error: this cannot be told now,
 * for want of a descriptor or of memory, or because /proc hides it. "Cannot be told" is never "dead".
 */
int process_start_time(pid_t pid, uint64_t *start);
/* False only if it is certain that the process of this number and start time has ended. */
bool process_may_be(pid_t pid, uint64_t start);

/*
 * Is it on its way to its end, from which nothing brings it back? Killed, or dumping core, and not gone yet: a process
 * with much memory takes a while. False if that cannot be told.
 */
bool process_is_dying(pid_t pid);
/*
 * The same from what /proc says of it: `fields` are those of its stat file after the command's name, `status` is its
 * status file.
 */
bool process_texts_say_dying(const char *fields, const char *status);

/* Number of its parent; 0: it has none that we see, or there is no such process. */
pid_t process_parent(pid_t pid);
/* Do both run a program of the same name, as ps shows it? False if one of them is not there. */
bool process_same_name(pid_t one, pid_t other);

/* Is this CAP_... among the calling thread's effective ones? */
bool process_has_capability(unsigned capability);

/*
 * Mark the calling thread, and all that it starts from now on, as I/O flusher (PR_SET_IO_FLUSHER, Linux
 * 5.6): their need for memory never turns into I/O on a device that they serve. Takes
 * CAP_SYS_RESOURCE. True if the flag is set now, by whomever.
 */
bool process_become_io_flusher(void);
/* Take it off again. */
void process_end_io_flusher(void);

int process_oom_score_adj(void);
/* Tell the OOM killer to look elsewhere (-1000). Takes CAP_SYS_RESOURCE. True if it is so now. */
bool process_avoid_oom_killer(void);

/*
 * Read one byte of every page that the loaded objects have, so that memory locked on fault holds them.
 * `wanted` chooses by file name (empty for the program itself); NULL: all.
 */
void process_touch_objects(bool (*wanted)(const char *name));

/*
 * Have malloc() give allocations of `bytes` and more mappings of their own, which go back to the system when they are freed. Left to
 * itself, malloc() takes the next ones of that size from the heap once one was freed (up to 32 MiB), and keeps them there.
 */
void process_map_large(size_t bytes);

/*
 * Have malloc() keep one heap, of which `bytes` are in memory, and give nothing of it back: what asks for no more
 * than that never waits for the system to find memory. What is as large as `own_mapping` or larger has a mapping
 * of its own, which goes back when it is freed; 0: nothing has.
 */
void process_keep_heap(size_t bytes, size_t own_mapping);

#endif
