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

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57 /* Linux 5.6 */
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4 /* Linux 4.4 */
#endif

/* Both of what PR_SET_IO_FLUSHER sets, as /proc shows it. Asking with prctl takes the right to set
 * it. */
#define PF_IO_FLUSHER 0x00180000ul

static bool have_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

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

	if (have_capability(CAP_IPC_LOCK))
		return true;
	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

/* Did whoever started us set the flag already, as it must when we may not? */
static bool is_io_flusher(void)
{
	unsigned long flags = 0;
	char line[1024];
	const char *p;
	FILE *f = fopen("/proc/thread-self/stat", "re");

	if (!f)
		return false;
	/* The name in parentheses may hold anything; the flags are the seventh field after it. */
	if (fgets(line, sizeof line, f) && (p = strrchr(line, ')')))
		sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	fclose(f);
	return (flags & PF_IO_FLUSHER) == PF_IO_FLUSHER;
}

static bool become_io_flusher(void)
{
	return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 || is_io_flusher();
}

static int oom_score_adj(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "re");
	int score = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &score) != 1)
		score = 0;
	fclose(f);
	return score;
}

static bool leave_oom_killer_alone(void)
{
	static const char score[] = "-1000\n";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, score, sizeof score - 1);

	if (fd >= 0)
		close(fd);
	return written > 0 || oom_score_adj() == -1000;
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
	if (become_io_flusher())
		can |= LOCK_FLUSHER;
	if (have_capability(CAP_SYS_RESOURCE) || oom_score_adj() == -1000)
		can |= LOCK_OOM;
	return can;
}

/*
 * Read one byte of every page the loaded objects have: on-fault locks hold only what was touched.
 * The sanitizer would take the gaps between variables for what they are, and be wrong to complain.
 */
__attribute__((no_sanitize("address"))) static int touch_object(struct dl_phdr_info *info,
								size_t size, void *opaque)
{
	long page = sysconf(_SC_PAGESIZE);

	(void)size;
	(void)opaque;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_R))
			continue;
		for (uintptr_t at = start; at < start + segment->p_filesz; at += (uintptr_t)page)
			(void)*(const volatile char *)at;
	}
	return 0;
}

/*
 * The server's threads grow their buffers with realloc() when a request is larger than any before.
 * Left to itself, malloc then maps memory, which takes the address space's lock for writing; a
 * thread that populates memory holds it for reading, for as long as the system has none: all
 * requests would wait for it, and it for them. So: one heap with what requests need populated
 * ahead, no mappings beside it, and not given back.
 */
static void keep_heap(void)
{
	volatile char *heap;

	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TOP_PAD, LOCK_HEAP_BYTES);
	mallopt(M_TRIM_THRESHOLD, 16 * LOCK_HEAP_BYTES);
	heap = malloc(LOCK_HEAP_BYTES);
	if (!heap)
		return;
	for (size_t at = 0; at < LOCK_HEAP_BYTES; at += 4096)
		heap[at] = 0;
	free((void *)heap);
}

unsigned lock_apply(void)
{
	unsigned had = 0;

	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
		had |= LOCK_MEMORY;
		dl_iterate_phdr(touch_object, NULL);
		keep_heap();
	}
	if (become_io_flusher())
		had |= LOCK_FLUSHER;
	if (leave_oom_killer_alone())
		had |= LOCK_OOM;
	return had;
}

void lock_describe_missing(unsigned wanted, unsigned had, char *text, size_t size)
{
	static const struct {
		unsigned bit;
		const char *words;
	} rights[] = {
		{LOCK_MEMORY,
		 "memory cannot be locked (takes CAP_IPC_LOCK, or RLIMIT_MEMLOCK set to "
		 "unlimited: ulimit -l)"},
		{LOCK_FLUSHER,
		 "the I/O flusher flag cannot be set (takes CAP_SYS_RESOURCE, and Linux 5.6)"},
		{LOCK_OOM, "the OOM killer cannot be kept away (takes CAP_SYS_RESOURCE, or "
			   "oom_score_adj at -1000 from the start)"},
	};
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < sizeof rights / sizeof rights[0]; i++)
		if ((wanted & ~had & rights[i].bit) && at < size)
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? "; " : "",
					       rights[i].words);
}

void lock_end_flusher(void)
{
	(void)prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
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
