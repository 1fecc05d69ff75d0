/* SPDX-License-Identifier: BSD-3-Clause */
/* What qemu's emulation of a process does not do as a kernel does. Found out by trying, so that a better one is believed. */
#ifndef TEST_EMULATOR_H
#define TEST_EMULATOR_H

#include "lib/base.h"

#include "process/process.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

/* madvise() says yes, and nothing is populated or given back. */
static inline bool advice_is_ignored(void)
{
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool ignored;

	must(mem != MAP_FAILED);
	mem[0] = 1;
	ignored = madvise((void *)(uintptr_t)mem, bytes, MADV_REMOVE) == 0 && mem[0];
	munmap((void *)(uintptr_t)mem, bytes);
	if (ignored)
		printf("# madvise() does nothing here\n");
	return ignored;
}

/* shmctl() says that nobody has any right to a segment. */
static inline bool shm_mode_is_lost(void)
{
	int id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	struct shmid_ds ds;
	bool lost;

	must(id >= 0 && shmctl(id, IPC_STAT, &ds) == 0);
	lost = !(ds.shm_perm.mode & 0600);
	must(shmctl(id, IPC_RMID, NULL) == 0);
	if (lost)
		printf("# shmctl() does not say the mode of a segment here\n");
	return lost;
}

static inline void compare_start(void *opaque)
{
	uint64_t start;

	_exit(process_start_time(getppid(), &start) != 0 || start != *(uint64_t *)opaque);
}

/* A process is told another start time of itself than others are told. */
static inline bool start_times_differ(void)
{
	uint64_t start;
	bool differ;

	must(process_start_time(getpid(), &start) == 0);
	differ = test_in_child(compare_start, &start) != 0;
	if (differ)
		printf("# a process is told another start time of itself than others are told, here\n");
	return differ;
}

#endif
