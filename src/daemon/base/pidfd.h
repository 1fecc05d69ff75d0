/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors of processes (pidfd_open(2), Linux 5.4). A process keeps its descriptor, while its number can be used again. */
#ifndef PIDFD_H
#define PIDFD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * The descriptor of a process, which the caller closes; close-on-exec, and readable once the process has ended. Or a
 * negative errno.
 */
int pidfd_of(pid_t pid);

/* Send a signal. */
void pidfd_kill(int pidfd, int signal);

/* Wait for the end of the process, at most so many milliseconds. True: it has ended. */
bool pidfd_wait(int pidfd, int limit_ms);

/* Collect a child that has ended, and how it ended. False if it is no child of ours, and *info says nothing. */
bool pidfd_reap(int pidfd, siginfo_t *info);

#endif
