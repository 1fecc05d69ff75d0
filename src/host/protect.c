/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks, flags and scores of the server process. See protect.h.
 *
 *   command line    rights still there      fork, -u USER       this process serves
 *   ------------->  protect_prepare()  ------------------------->  protect_apply()
 *                   RLIMIT_MEMLOCK (inherited)                  mlockall (not inherited)
 *                   I/O flusher    (inherited)                  touch code, keep heap, oom_score_adj
 */
#include "host/protect.h"

#include "process/process.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <linux/capability.h>

static void raise_memlock_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* A finite limit is not enough: reserved address space counts towards it in full. */
static bool may_lock_memory(void)
{
	struct rlimit limit;

	if (process_has_capability(CAP_IPC_LOCK))
		return true;
	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

unsigned protect_prepare(void)
{
	unsigned can = 0;

	/* Arenas are for many threads that allocate; requests here do not, and each arena is one
	 * more to lock. */
	mallopt(M_ARENA_MAX, 1);
	raise_memlock_limit();
	if (may_lock_memory())
		can |= PROTECT_MEMORY;
	if (process_become_io_flusher())
		can |= PROTECT_FLUSHER;
	if (process_has_capability(CAP_SYS_RESOURCE) || process_oom_score_adj() == -1000)
		can |= PROTECT_OOM;
	return can;
}

unsigned protect_apply(void)
{
	unsigned had = 0;

	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
		had |= PROTECT_MEMORY;
		process_touch_objects(NULL);
		/*
		 * The server's threads grow their buffers with realloc() when a request is larger than
		 * any before. Left to itself, malloc then maps memory, which takes the address space's
		 * lock for writing; a thread that populates memory holds it for reading, for as long as
		 * the system has none: all requests would wait for it, and it for them. Buffers that are larger
		 * than a kernel that swaps asks for have mappings of their own: those go back to the system when
		 * their connection ends, and the heap would keep them, locked.
		 */
		process_keep_heap(PROTECT_HEAP_BYTES, PROTECT_HEAP_LARGEST);
	}
	if (process_become_io_flusher())
		had |= PROTECT_FLUSHER;
	if (process_avoid_oom_killer())
		had |= PROTECT_OOM;
	return had;
}

void protect_describe_missing(unsigned wanted, unsigned had, char *text, size_t size)
{
	static const struct {
		unsigned bit;
		const char *words;
	} rights[] = {
		{PROTECT_MEMORY, "memory cannot be locked (takes CAP_IPC_LOCK, or RLIMIT_MEMLOCK set to "
				 "unlimited: ulimit -l)"},
		{PROTECT_FLUSHER, "the I/O flusher flag cannot be set (takes CAP_SYS_RESOURCE, and Linux 5.6)"},
		{PROTECT_OOM, "the OOM killer cannot be kept away (takes CAP_SYS_RESOURCE, or "
			      "oom_score_adj at -1000 from the start)"},
	};
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < sizeof rights / sizeof rights[0]; i++)
		if ((wanted & ~had & rights[i].bit) && at < size)
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? "; " : "", rights[i].words);
}
