/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks, flags and scores of the server process. See lock.h.
 *
 *   command line    rights still there      fork, -u USER       this process serves
 *   ------------->  lock_prepare()  ------------------------->  lock_apply()
 *                   RLIMIT_MEMLOCK (inherited)                  mlockall (not inherited)
 *                   I/O flusher    (inherited)                  touch code, keep heap, oom_score_adj
 */
#include "lock.h"

#include "process/process.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

unsigned lock_prepare(void)
{
	unsigned can = 0;

	/* Arenas are for many threads that allocate; requests here do not, and each arena is one
	 * more to lock. */
	mallopt(M_ARENA_MAX, 1);
	raise_memlock_limit();
	if (may_lock_memory())
		can |= LOCK_MEMORY;
	if (process_become_io_flusher())
		can |= LOCK_FLUSHER;
	if (process_has_capability(CAP_SYS_RESOURCE) || process_oom_score_adj() == -1000)
		can |= LOCK_OOM;
	return can;
}

unsigned lock_apply(void)
{
	unsigned had = 0;

	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
		had |= LOCK_MEMORY;
		process_touch_objects(NULL);
		/*
		 * The server's threads grow their buffers with realloc() when a request is larger than
		 * any before. Left to itself, malloc then maps memory, which takes the address space's
		 * lock for writing; a thread that populates memory holds it for reading, for as long as
		 * the system has none: all requests would wait for it, and it for them. Buffers that are larger
		 * than a kernel that swaps asks for have mappings of their own: those go back to the system when
		 * their connection ends, and the heap would keep them, locked.
		 */
		process_keep_heap(LOCK_HEAP_BYTES, LOCK_HEAP_LARGEST);
	}
	if (process_become_io_flusher())
		had |= LOCK_FLUSHER;
	if (process_avoid_oom_killer())
		had |= LOCK_OOM;
	return had;
}

void lock_describe_missing(unsigned wanted, unsigned had, char *text, size_t size)
{
	static const struct {
		unsigned bit;
		const char *words;
	} rights[] = {
		{LOCK_MEMORY, "memory cannot be locked (takes CAP_IPC_LOCK, or RLIMIT_MEMLOCK set to "
			      "unlimited: ulimit -l)"},
		{LOCK_FLUSHER, "the I/O flusher flag cannot be set (takes CAP_SYS_RESOURCE, and Linux 5.6)"},
		{LOCK_OOM, "the OOM killer cannot be kept away (takes CAP_SYS_RESOURCE, or "
			   "oom_score_adj at -1000 from the start)"},
	};
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < sizeof rights / sizeof rights[0]; i++)
		if ((wanted & ~had & rights[i].bit) && at < size)
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? "; " : "", rights[i].words);
}

/*
 * nbdkit keeps its options to itself, so look at its command line as the system shows it. An
 * argument that only looks like the option costs one more opening of the device, nothing else.
 */
bool lock_server_will(void)
{
	bool found = false;
	size_t capacity = 0;
	char *arg = NULL;
	FILE *f = fopen("/proc/self/cmdline", "re");

	while (f && !found && getdelim(&arg, &capacity, '\0', f) > 0)
		found = strlen(arg) >= 4 && strncmp(arg, "--swap", strlen(arg)) == 0;
	free(arg);
	if (f)
		fclose(f);
	return found;
}
