/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel knows of a process, this one or another. Linux only. Functions may be called from any thread. */
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

/*
 * Read a stat file (/proc/PID/stat, or a thread's) into `text`: its fields after the command's name, which may hold anything. NULL, with
 * errno, if they cannot be read. Allocates nothing.
 */
const char *process_read_stat(const char *path, char *text, size_t size);

/* Number of its parent; 0: it has none that we see, or there is no such process. */
pid_t process_parent(pid_t pid);
/* Do both run a program of the same name, as ps shows it? False if one of them is not there. */
bool process_same_name(pid_t one, pid_t other);

#endif
