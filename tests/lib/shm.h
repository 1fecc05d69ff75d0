/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared memory segments for tests. Keys follow from the process number, so that tests that run at
 * the same time do not meet, and what is left of them is removed however the process ends.
 */
#ifndef TEST_SHM_H
#define TEST_SHM_H

#include "lib/base.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#define TEST_SHM_MAX 256u

struct test_shm {
	int key;
	char memory[24]; /* "shm:0x..." */
};

static struct {
	pid_t owner;
	unsigned used;
	struct test_shm all[TEST_SHM_MAX];
	void (*before[3])(int); /* what the signals below did before */
} test_shms;

static const int test_shm_signals[3] = {SIGABRT, SIGTERM, SIGINT};

static inline int test_shm_id(const struct test_shm *shm)
{
	return shmget(shm->key, 0, 0);
}

static inline void test_shm_remove(const struct test_shm *shm)
{
	int id = test_shm_id(shm);

	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
}

static inline void test_shm_sweep(void)
{
	if (getpid() != test_shms.owner)
		return;
	for (unsigned i = 0; i < test_shms.used; i++)
		test_shm_remove(&test_shms.all[i]);
}

static inline void test_shm_on_signal(int sig)
{
	test_shm_sweep();
	for (unsigned i = 0; i < 3; i++)
		if (test_shm_signals[i] == sig)
			signal(sig, test_shms.before[i]);
	raise(sig);
}

/* A key that no segment has. */
static inline const struct test_shm *test_shm_new(void)
{
	struct test_shm *shm;

	if (!test_shms.owner) {
		test_shms.owner = getpid();
		atexit(test_shm_sweep);
		for (unsigned i = 0; i < 3; i++)
			test_shms.before[i] = signal(test_shm_signals[i], test_shm_on_signal);
	}
	must(test_shms.used < TEST_SHM_MAX);
	shm = &test_shms.all[test_shms.used];
	shm->key = (int)(0x40000000u | ((unsigned)getpid() & 0x3fffff) << 8 | test_shms.used++);
	snprintf(shm->memory, sizeof shm->memory, "shm:0x%x", (unsigned)shm->key);
	test_shm_remove(shm);
	return shm;
}

/* Its bytes, as any other program sees them. */
static inline uint8_t *test_shm_map(const struct test_shm *shm, size_t *bytes)
{
	struct shmid_ds ds;
	int id = test_shm_id(shm);
	void *mem;

	must(id >= 0 && shmctl(id, IPC_STAT, &ds) == 0);
	mem = shmat(id, NULL, 0);
	must(mem != (void *)-1);
	if (bytes)
		*bytes = ds.shm_segsz;
	return mem;
}

static inline bool test_shm_is_locked(const struct test_shm *shm)
{
	struct shmid_ds ds;

	must(shmctl(test_shm_id(shm), IPC_STAT, &ds) == 0);
	return ds.shm_perm.mode & 02000; /* SHM_LOCKED */
}

#endif
