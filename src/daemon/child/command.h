/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that are run in a job (job.h), with a reason for people: machine/program.h without a limit of time. One thread. */
#ifndef COMMAND_H
#define COMMAND_H

#include "daemon/base/wrong.h"

#include <stddef.h>

/*
 * Run a program: 0, or as program_run() with the reason that it gave: the first line on its standard error but for name and
 * version.
 */
int command_run(const char *const arguments[], struct wrong *wrong);
/* Run a program and keep what it says on its standard output. */
int command_read(const char *const arguments[], char *text, size_t size, int *ended_with);

#endif
