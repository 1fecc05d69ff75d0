/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that are run in a job (job.h), such as mkswap. Each ends with the process that runs it, has no standard input, and gets
 * none of the variables that systemd sets for zsblkd alone. One thread.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "daemon/base/wrong.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In a child: end, by SIGKILL, when `parent` has ended. Ends at once if it has already. */
void command_end_with(pid_t parent);

/*
 * In a child: become a program whose standard output and standard error are these. `parent` as above. The program has a process group of
 * its own, which command_kill() ends.
 */
__attribute__((noreturn)) void command_become(const char *const arguments[], pid_t parent, int output, int errors);

/* SIGKILL to the program and to what it has started, and wait for its end. Returns its status as waitpid() tells it. */
int command_kill(pid_t pid);

/* For a signal handler: SIGKILL to the program that is being run, if one is, and to what it has started. */
void command_end_running(void);

/* Where what a program says is put, as far as there is room; ends with a null byte. */
struct command_text {
	char *text;
	size_t size;
	size_t length;
};

/* The status of a program that could not be run, as of shells. */
#define COMMAND_NOT_FOUND 127

/*
 * Run a program until it has ended and closed its outputs, or until `until` (clock_us(); 0: as long as it takes). What it says on
 * standard output and standard error goes to *output and *errors; NULL: to nowhere.
 * 0: it ended with status 0; -EIO: with another one (*ended_with, which may be NULL; negative: the signal that ended it);
 * -ETIMEDOUT: it was killed; others of pipe2() and fork().
 */
int command_do(const char *const arguments[], struct command_text *output, struct command_text *errors, uint64_t until,
	       int *ended_with);

/*
 * Run a program: 0, or as command_do() with the reason that it gave: the first line on its standard error but for name and
 * version.
 */
int command_run(const char *const arguments[], struct wrong *wrong);
/* Run a program and keep what it says on its standard output. */
int command_read(const char *const arguments[], char *text, size_t size, int *ended_with);

#endif
