/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why the system refused memory: the setting behind an errno value, the value that it has, and the one that would do.
 * Functions read /proc and may be called from any thread. They are for failures at start-up, not for requests.
 */
#ifndef REFUSED_H
#define REFUSED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Explain to people why the call `step` ("shmget", "shmat", "mmap" or another) failed with `error`, a negative errno,
 * when it asked for `bytes` more. The text is "" if no setting explains the failure.
 */
void refused_explain(int error, const char *step, uint64_t bytes, char *text, size_t size);

/* True if the system counts address space as memory, used or not (vm.overcommit_memory = 2). */
bool refused_address_space_counts(void);

/* For tests: read another folder instead of /proc. The string stays the caller's, and must stay. */
void refused_use_folder(const char *folder);

#endif
