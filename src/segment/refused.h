/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why the system refused memory: the setting behind an errno value, what it is, and what it has to be. Reads /proc; for
 * failures at start-up, not for requests. Any thread.
 */
#ifndef REFUSED_H
#define REFUSED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * `step` ("shmget", "shmat", "mmap" or others) asked for `bytes` more and got `error` (negative): a text for people. "" if
 * no setting explains it.
 */
void refused_explain(int error, const char *step, uint64_t bytes, char *text, size_t size);

/* Does address space count as memory (vm.overcommit_memory = 2), whether it is used or not? */
bool refused_address_space_counts(void);

/* For tests: another folder in place of /proc. */
void refused_use_folder(const char *folder);

#endif
