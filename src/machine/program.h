/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that are run, such as mkswap or nbdkit. Each ends with the process that runs it, has no standard input, and gets none of the
 * variables that systemd sets for a service alone. One thread.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In a child: end, by SIGKILL, when `parent` has ended. Ends at once if it has already. */
void program_end_with(pid_t parent);

/*
 * In a child: become a program whose standard output and standard error are these. `parent` as above. The program has a process group of
 * its own, which program_kill() ends.
 */
__attribute__((noreturn)) void program_become(const char *const arguments[], pid_t parent, int output, int errors);

/* SIGKILL to the program and to what it has started, and wait for its end. Returns its status as waitpid() tells it. */
int program_kill(pid_t pid);

/* For a signal handler: SIGKILL to the program that is being run, if one is, and to what it has started. */
void program_end_running(void);

/* The time in microseconds: of CLOCK_MONOTONIC. */
uint64_t program_clock_us(void);

/* Where what a program says is put, as far as there is room; ends with a null byte. */
struct program_text {
	char *text;
	size_t size;
	size_t length;
};

/* The status of a program that could not be run, as of shells. */
#define PROGRAM_NOT_FOUND 127

/*
 * Run a program until it has ended and closed its outputs, or until `until` (program_clock_us(); 0: as long as it takes). What it says on
 * standard output and standard error goes to *output and *errors; NULL: to nowhere.
 * 0: it ended with status 0; -EIO: with another one (*ended_with, which may be NULL; negative: the signal that ended it);
 * -ETIMEDOUT: it was killed; others of pipe2() and fork().
 */
int program_run(const char *const arguments[], struct program_text *output, struct program_text *errors, uint64_t until,
		int *ended_with);

#endif
