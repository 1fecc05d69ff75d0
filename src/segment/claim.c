/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The claim: who uses a segment. See claim.h.
 *
 * A claim is one word: process number and the low half of its start time, so that a number used
 * again by another process is not taken for a live holder. It lies at the same place in every format, so that
 * builds of different formats keep out of each other's way.
 */
#include "segment/claim.h"

#include "process/process.h"
#include "segment/format.h"

#include <errno.h>
#include <pthread.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

/* How long to wait for a holder that is dying. Enough to unmap what a large server has in memory. */
#define DYING_WAIT_S 5

static uint64_t claim_of(int pid)
{
	uint64_t start;

	process_start_time(pid, &start);
	return (uint64_t)(uint32_t)pid << 32 | (uint32_t)start;
}

/* "Cannot be told" is "alive": two who use one segment destroy it. */
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
	/* A claim without a start time was made where it could not be told: the number has to do. */
	return (uint32_t)claim == 0 || (uint32_t)claim == (uint32_t)start;
}

/* Mappings through which this process holds a claim: its number alone does not tell them apart. */
static pthread_mutex_t own_claims_lock = PTHREAD_MUTEX_INITIALIZER;
static struct segment *own_claims;
static pid_t own_claims_of;
static uint64_t own_claim;

/* A forked child has its parent's mappings, but none of its claims. Under the lock. */
static void drop_parents_claims(void)
{
	if (own_claims_of != getpid()) {
		own_claims = NULL;
		own_claim = 0;
	}
	own_claims_of = getpid();
	/* Once: our own claim must look the same to us even when /proc cannot be read the next time. */
	if (!own_claim)
		own_claim = claim_of(getpid());
}

/* Is there another mapping of the same segment among them? Under the lock. */
static bool claimed_elsewhere(const struct segment *seg)
{
	for (const struct segment *other = own_claims; other; other = other->next_claimed)
		if (other != seg && other->shmid == seg->shmid)
			return true;
	return false;
}

static void remember(struct segment *seg)
{
	for (struct segment *other = own_claims; other; other = other->next_claimed)
		if (other == seg)
			return;
	seg->next_claimed = own_claims;
	own_claims = seg;
}

/* False: this mapping has no claim. */
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
 * The holder has ended, but another process has the segment mapped: it may be the holder's child,
 * which goes on in the background and has not come to claim it yet. Give it time. True if the claim
 * changed meanwhile.
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
 * A holder that has been killed holds the segment until its memory is unmapped. Wait for that, as whoever restarts a
 * server would have to. True if the claim has changed meanwhile, or is not live any more.
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
	/* Asked last: one that ended between two questions is not live. */
	return __atomic_load_n(&super_of(seg)->state.claim, __ATOMIC_ACQUIRE) != old || !claim_is_live(old);
}

/* Put our claim into the segment, unless somebody alive has it. */
static int take(struct segment *seg, bool from_parent, int *holder)
{
	struct super *super = super_of(seg);
	uint64_t own = own_claim;
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
	int r = 0;

	*holder = 0;
	if (seg->kind == SEGMENT_ANON)
		return 0;
	pthread_mutex_lock(&own_claims_lock);
	drop_parents_claims();
	if (claimed_elsewhere(seg)) {
		*holder = getpid();
		r = -EBUSY;
	} else {
		r = take(seg, from_parent, holder);
	}
	if (!r)
		remember(seg);
	pthread_mutex_unlock(&own_claims_lock);
	return r;
}

void claim_drop(struct segment *seg)
{
	uint64_t own;

	if (seg->kind == SEGMENT_ANON || !seg->base)
		return;
	pthread_mutex_lock(&own_claims_lock);
	drop_parents_claims();
	own = own_claim;
	/* What is in the segment may be the claim of another mapping in this process: it looks the same. */
	if (forget(seg))
		__atomic_compare_exchange_n(&super_of(seg)->state.claim, &own, 0, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED);
	seg->claim = 0;
	pthread_mutex_unlock(&own_claims_lock);
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
