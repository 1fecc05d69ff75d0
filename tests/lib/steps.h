/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that is killed at any instruction: what others find then. */
#ifndef TEST_STEPS_H
#define TEST_STEPS_H

#include "lib/base.h"

#include <sys/ptrace.h>

#define STEPS_MOST 200000u

/*
 * Run `work` in a child, one instruction at a time, and look after each. False: an emulator or a sandbox lets nobody do that, or this is
 * valgrind, which takes a thousand instructions of its own for one of ours (contrib/lib/under-valgrind).
 */
static inline bool steps_through(void (*work)(void), void (*look)(void))
{
	unsigned steps = 0;
	int status;
	pid_t pid;

	if (test_env("ZSBLK_UNDER_VALGRIND"))
		return false;
	pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		work();
		_exit(42);
	}
	must(waitpid(pid, &status, 0) == pid);
	while (WIFSTOPPED(status)) {
		look();
		if (++steps > STEPS_MOST || ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return false;
		}
		must(waitpid(pid, &status, 0) == pid);
	}
	must(WIFEXITED(status));
	return WEXITSTATUS(status) == 42;
}

#endif
