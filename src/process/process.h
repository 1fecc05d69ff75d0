/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel knows of a process, this one or another. Linux only. Functions may be called from any thread. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * When a process started, in clock ticks since boot. The system uses numbers of processes again; number and start time
 * together name one process for good.
 *
 * 0, with *start. -ESRCH: there is no such process, or only a zombie whose threads have all ended, which does nothing
 * any more; then *start is set as well. Any other error: this cannot be told now, because there is no descriptor or no
 * memory, or because /proc hides the process. "Cannot be told" must never be taken for "dead".
 */
int process_start_time(pid_t pid, uint64_t *start);
/* False only if it is certain that the process of this number and start time has ended. */
bool process_may_be(pid_t pid, uint64_t start);

/*
 * True if the process is certain to end, and has not ended yet: it was killed, exits or dumps core. A process with much
 * memory takes a while for that. False if this cannot be told.
 */
bool process_is_dying(pid_t pid);
/*
 * The same, from the texts that /proc has of the process: the fields of its stat file after the command's name, and its
 * status file.
 */
bool process_texts_say_dying(const char *fields, const char *status);

/*
 * Read a stat file (/proc/PID/stat, or a thread's) into `text`. Returns the fields after the command's name, which can
 * hold any characters; or NULL with errno. Allocates nothing.
 */
const char *process_read_stat(const char *path, char *text, size_t size);

/* Number of the parent; 0: the process has none that we can see, or does not exist. */
pid_t process_parent(pid_t pid);
/* True if both processes run programs of the same name, as ps shows it. False if one of them does not exist. */
bool process_same_name(pid_t one, pid_t other);

#endif
