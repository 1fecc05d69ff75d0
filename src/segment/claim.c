/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The claim: who uses a segment. See claim.h.
 *
 * A claim is one word: the number of a process, and the low half of its start time. The system uses numbers again; the
 * start time tells whether a process of that number is the holder. The claim lies at the same place in every format, so
 * that builds which know different formats keep out of each other's way.
 */
#include "segment/claim.h"

#include "process/process.h"
#include "segment/format.h"

#include <errno.h>
#include <pthread.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

/* How long to wait for a holder that is dying: enough to unmap what a large server has in memory. */
#define DYING_WAIT_S 5

static uint64_t claim_of(int pid)
{
	uint64_t start;

	process_start_time(pid, &start);
	return (uint64_t)(uint32_t)pid << 32 | (uint32_t)start;
}

/* If it cannot be told whether the holder lives, it lives: two processes that use one segment destroy it. */
static bool claim_is_live(uint64_t claim)
{
	int pid = (int)(claim >> 32);
	uint64_t start;
	int r;

	if (claim == 0)
		return false;
	r = process_start_time(pid, &start);
	if (r)
		return r != -ESRCH;
	/* The holder could not read its own start time, so only the number can be compared. */
	return (uint32_t)claim == 0 || (uint32_t)claim == (uint32_t)start;
}

/*
 * The mappings through which this process holds a claim, or is about to. The claims in their segments all look the same.
 *
 * The lock is held for the list only, never while somebody is waited for. A fork takes it, so that the child of a process whose other
 * threads are here does not inherit it locked, or a list that is half changed.
 */
static pthread_mutex_t own_claims_lock = PTHREAD_MUTEX_INITIALIZER;
static struct segment *own_claims;
static pid_t own_claims_of;
static uint64_t own_claim;

static void take_lock(void)
{
	pthread_mutex_lock(&own_claims_lock);
}

static void release_lock(void)
{
	pthread_mutex_unlock(&own_claims_lock);
}

/* In the child, which has its parent's mappings, but none of its claims. */
static void forget_parents_claims(void)
{
	own_claims = NULL;
	own_claim = 0;
	own_claims_of = getpid();
}

static void begin_child(void)
{
	forget_parents_claims();
	release_lock();
}

/* It can fail for lack of memory only. Then a fork is as it was: it may come at the wrong moment. */
static void watch_forks(void)
{
	(void)pthread_atfork(take_lock, release_lock, begin_child);
}

static void lock_own_claims(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch_forks);
	take_lock();
}

/*
 * Under the lock. The process number tells of a fork that begin_child() has not seen, a bare clone(). It is the same in the child only
 * if numbers are used again, or in another PID namespace.
 */
static void find_own_claim(void)
{
	if (own_claims_of != getpid())
		forget_parents_claims();
	/*
	 * Worked out once: /proc may not be readable the next time, and our own claim must still look the same to us.
	 */
	if (!own_claim)
		own_claim = claim_of(getpid());
}

/* Has another mapping in this process the claim on the same segment, or is about to? Under the lock. */
static bool claimed_elsewhere(const struct segment *seg)
{
	for (const struct segment *other = own_claims; other; other = other->next_claimed)
		if (other != seg && other->shmid == seg->shmid)
			return true;
	return false;
}

/* False: it is remembered already. Under the lock. */
static bool remember(struct segment *seg)
{
	for (struct segment *other = own_claims; other; other = other->next_claimed)
		if (other == seg)
			return false;
	seg->next_claimed = own_claims;
	own_claims = seg;
	return true;
}

/* False: this mapping has no claim. Under the lock. */
static bool forget(struct segment *seg)
{
	for (struct segment **link = &own_claims; *link; link = &(*link)->next_claimed)
		if (*link == seg) {
			*link = seg->next_claimed;
			return true;
		}
	return false;
}

/*
 * The holder has ended, but another process has the segment attached. That may be the holder's child, which goes on in
 * the background and has not claimed the segment yet. Wait for it, 1 second at most. True if the claim has changed
 * meanwhile.
 */
static bool heir_claims(const struct segment *seg, uint64_t old)
{
	const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	struct shmid_ds ds;

	for (int i = 0; i < 100; i++) {
		unsigned known = claim_keeper(seg) ? 2 : 1;

		if (__atomic_load_n(&super_of(seg)->state.claim, __ATOMIC_ACQUIRE) != old)
			return true;
		if (shmctl(seg->shmid, IPC_STAT, &ds) < 0 || ds.shm_nattch <= known)
			return false;
		nanosleep(&moment, NULL);
	}
	return false;
}

/*
 * A holder that was killed has the segment until its memory is unmapped. Wait for that here, or else everybody who
 * starts a server right after a kill would have to. True if the claim has changed meanwhile, or is not live any more.
 */
static bool dying_holder_ends(const struct segment *seg, uint64_t old)
{
	const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	struct timespec now;
	time_t end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + DYING_WAIT_S;
	while (process_is_dying((int)(old >> 32)) && now.tv_sec < end && claim_is_live(old) &&
	       __atomic_load_n(&super_of(seg)->state.claim, __ATOMIC_ACQUIRE) == old) {
		nanosleep(&moment, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	/* Liveness is asked last, so that a holder which ended between the two questions counts as dead. */
	return __atomic_load_n(&super_of(seg)->state.claim, __ATOMIC_ACQUIRE) != old || !claim_is_live(old);
}

/* Put our claim into the segment, unless a live process has it. */
static int take(struct segment *seg, uint64_t own, bool from_parent, int *holder)
{
	struct super *super = super_of(seg);
	uint64_t old = __atomic_load_n(&super->state.claim, __ATOMIC_ACQUIRE);

	while (old != own) {
		bool handed_down = from_parent && old == seg->claim;

		if (!handed_down && claim_is_live(old) && !dying_holder_ends(seg, old)) {
			*holder = (int)(old >> 32);
			return -EBUSY;
		}
		if (!handed_down && old && heir_claims(seg, old)) {
			old = __atomic_load_n(&super->state.claim, __ATOMIC_ACQUIRE);
			continue;
		}
		if (__atomic_compare_exchange_n(&super->state.claim, &old, own, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			break;
	}
	seg->claim = own;
	return 0;
}

int claim_take(struct segment *seg, bool from_parent, int *holder)
{
	bool is_elsewhere, is_new = false;
	uint64_t own;
	int r;

	*holder = 0;
	if (seg->kind == SEGMENT_ANON)
		return 0;
	lock_own_claims();
	find_own_claim();
	own = own_claim;
	is_elsewhere = claimed_elsewhere(seg);
	if (!is_elsewhere)
		is_new = remember(seg);
	release_lock();
	if (is_elsewhere) {
		*holder = getpid();
		return -EBUSY;
	}
	r = take(seg, own, from_parent, holder);
	if (r && is_new) {
		lock_own_claims();
		forget(seg);
		release_lock();
	}
	return r;
}

void claim_drop(struct segment *seg)
{
	uint64_t own;

	if (seg->kind == SEGMENT_ANON || !seg->base)
		return;
	lock_own_claims();
	find_own_claim();
	own = own_claim;
	/*
	 * Without a claim of this mapping, the word may be that of another mapping in this process, which looks the
	 * same.
	 */
	if (forget(seg))
		__atomic_compare_exchange_n(&super_of(seg)->state.claim, &own, 0, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED);
	seg->claim = 0;
	release_lock();
}

int claim_holder(const struct segment *seg)
{
	uint64_t claim = __atomic_load_n(&super_of(seg)->state.claim, __ATOMIC_ACQUIRE);

	return claim_is_live(claim) ? (int)(claim >> 32) : 0;
}

void claim_keep(struct segment *seg, bool keep)
{
	uint64_t own = claim_of(getpid());

	if (keep)
		__atomic_store_n(&super_of(seg)->state.keeper, own, __ATOMIC_RELEASE);
	else
		__atomic_compare_exchange_n(&super_of(seg)->state.keeper, &own, 0, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED);
}

int claim_keeper(const struct segment *seg)
{
	uint64_t keeper = __atomic_load_n(&super_of(seg)->state.keeper, __ATOMIC_ACQUIRE);

	return claim_is_live(keeper) ? (int)(keeper >> 32) : 0;
}
