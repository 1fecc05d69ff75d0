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

#include "process/memory.h"
#include "process/self.h"

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

/* A finite limit is not enough: the whole address space that is locked on fault counts towards it, used or not. */
static bool may_lock_memory(void)
{
	struct rlimit limit;

	if (self_has_capability(CAP_IPC_LOCK))
		return true;
	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

unsigned protect_prepare(void)
{
	unsigned can = 0;

	/*
	 * malloc's arenas serve threads that allocate much. Requests do not, and every arena is memory that is locked.
	 */
	mallopt(M_ARENA_MAX, 1);
	raise_memlock_limit();
	if (may_lock_memory())
		can |= PROTECT_MEMORY;
	if (self_become_io_flusher())
		can |= PROTECT_FLUSHER;
	if (self_has_capability(CAP_SYS_RESOURCE) || self_oom_score_adj() == -1000)
		can |= PROTECT_OOM;
	return can;
}

unsigned protect_apply(size_t more_heap)
{
	unsigned had = 0;

	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
		had |= PROTECT_MEMORY;
		memory_touch_objects(NULL);
		/*
		 * A thread of the server grows its buffer with realloc() when a request is larger than any before. By
		 * default malloc then maps memory, which takes the address space's lock for writing. A thread that
		 * populates memory holds that lock for reading, as long as the system has no memory. So requests would
		 * wait for that thread, and that thread for the memory that requests free. With a populated heap,
		 * buffers grow without the lock.
		 *
		 * Buffers larger than any request of a kernel that swaps have mappings of their own. These go back to
		 * the system when their connection ends. The heap would keep them, locked.
		 */
		memory_keep_heap(PROTECT_HEAP_BYTES + more_heap, PROTECT_HEAP_LARGEST);
	}
	if (self_become_io_flusher())
		had |= PROTECT_FLUSHER;
	if (self_avoid_oom_killer())
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
