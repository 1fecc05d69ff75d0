/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The superblock. See super.h.
 *
 *   0        4096   each part begins on a page boundary                 on one of 64 KiB
 *   +--------+------+--------------------------------------+------- - ---+--------------------------+
 *   | super  | map  | table: one 64-bit word for each block | never used | pool: pages of zspages   |
 *   +--------+------+--------------------------------------+------- - ---+--------------------------+
 *
 * The pool is what is given back to the system, so it begins on a system page. It begins on one of the
 * largest there are, whatever this system's is: so the layout alone says where. What lies in between is
 * never touched, and costs nothing.
 *
 * The claim is one word: process number and the low half of its start time, so that a number used
 * again by another process is not taken for a live holder.
 */
#include "segment/super.h"

#include "process/process.h"
#include "process/system_page.h"
#include "segment/owner.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

/* How long to wait for a holder that is dying. Enough to unmap what a large server has in memory. */
#define DYING_WAIT_S 5

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char super_magic[8] = {'z', 's', 'b', 'l', 'k', 's', 'e', 'g'};

struct super {
	union {
		char magic[8];
		uint64_t magic_word;
	};
	union {
		struct {
			uint32_t version;
			uint32_t bytes; /* of what the checksum covers */
		};
		uint64_t version_and_bytes;
	};
	struct super_layout layout;
	uint64_t checksum;
	/* The fields above never change. */
	uint64_t claim;
	uint64_t keeper;     /* as a claim: who has it attached without using it */
	uint64_t in_service; /* 1 once a server has come into service with it */
};
_Static_assert(sizeof(struct super) <= SEGMENT_PAGE, "the superblock is one page");
_Static_assert(sizeof(struct super_layout) == 4 * 2 + 8 * 2 + 4 * 4 + 32 + 16 * SUPER_CODECS,
	       "no padding: the checksum covers every byte");

static struct super *super_of(const struct segment *seg)
{
	return (struct super *)seg->base;
}

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

static uint64_t words_offset(const struct super_layout *layout)
{
	return SEGMENT_PAGE + round_up(table_map_bytes(layout->table_words), SEGMENT_PAGE);
}

uint64_t super_pool_offset(const struct super_layout *layout)
{
	return round_up(words_offset(layout) + layout->table_words * sizeof(uint64_t), SEGMENT_MAX_SYSTEM_PAGE);
}

struct table super_table(const struct segment *seg, const struct super_layout *layout)
{
	return (struct table){
		.map = (uint64_t *)(seg->base + SEGMENT_PAGE),
		.words = (uint64_t *)(seg->base + words_offset(layout)),
		.n = layout->table_words,
	};
}

uint64_t super_segment_bytes(const struct super_layout *layout)
{
	return super_pool_offset(layout) + layout->pool_pages * SEGMENT_PAGE;
}

static uint64_t super_checksum(const struct super *super)
{
	return XXH64(super, offsetof(struct super, checksum), 0);
}

void super_format(struct segment *seg, const struct super_layout *layout)
{
	struct super *super = super_of(seg);
	struct super copy = {.version = SUPER_VERSION, .bytes = offsetof(struct super, checksum), .layout = *layout};

	memcpy(copy.magic, super_magic, sizeof copy.magic);
	/* In one store: a superblock with one of the two would be nobody's. */
	__atomic_store_n(&super->version_and_bytes, copy.version_and_bytes, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* what a killed process stored is there in its order */
	super->layout = copy.layout;
	super->checksum = super_checksum(&copy);
	__atomic_store_n(&super->magic_word, copy.magic_word, __ATOMIC_RELEASE);
}

static bool all_zero(const void *mem, size_t len)
{
	const char *bytes = mem;

	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

bool super_is_ours(const struct segment *seg)
{
	return seg->bytes >= SEGMENT_PAGE && memcmp(super_of(seg)->magic, super_magic, sizeof super_magic) == 0;
}

/*
 * Nobody stored anything in it. What its maker stores first is a claim. Whoever finds it between the two waits a moment,
 * if the maker may be alive.
 */
static bool maker_claims(const struct segment *seg)
{
	const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	struct shmid_ds ds;
	uint64_t start;

	if (shmctl(seg->shmid, IPC_STAT, &ds) < 0 || ds.shm_cpid == getpid())
		return false;
	for (int i = 0; i < 100; i++) {
		if (__atomic_load_n(&super_of(seg)->claim, __ATOMIC_ACQUIRE) || super_is_ours(seg))
			return true;
		if (process_start_time(ds.shm_cpid, &start) == -ESRCH)
			return false;
		nanosleep(&moment, NULL);
	}
	return false;
}

bool super_is_blank(const struct segment *seg)
{
	const struct super *super = super_of(seg);
	/* The segment's first system page: all of it is in memory when its maker touched the superblock. */
	size_t first = seg->bytes < system_page() ? seg->bytes : (size_t)system_page();
	bool untouched, half_made;
	long long in_use;

	/* We made the segment, and the kernel filled it with zeroes. Another process may have formatted it since. */
	if (seg->fresh)
		return !super_is_ours(seg);
	if (seg->bytes < SEGMENT_PAGE || !all_zero(super->magic, sizeof super->magic))
		return false;
	/*
	 * What may be there is our claim, and the beginnings of a superblock. With neither, it may be anybody's, made a moment
	 * ago.
	 */
	untouched = all_zero(super, offsetof(struct super, claim)) && (super->claim || maker_claims(seg));
	half_made = super->version == SUPER_VERSION && super->bytes == offsetof(struct super, checksum);
	if (super_is_ours(seg) || (!untouched && !half_made) ||
	    !all_zero(&super->keeper, first - offsetof(struct super, keeper)))
		return false;
	in_use = owner_bytes_in_use(seg->shmid);
	return in_use >= 0 && (uint64_t)in_use <= system_page();
}

int super_read(const struct segment *seg, struct super_layout *layout, char *why, size_t why_size)
{
	const struct super *super = super_of(seg);
	struct super copy;

	if (!super_is_ours(seg)) {
		snprintf(why, why_size,
			 "this segment was not made by zsblk (no superblock in it); "
			 "use another key, or remove it with ipcrm if nothing needs it");
		return -EINVAL;
	}
	copy = *super;
	if (copy.version != SUPER_VERSION) {
		snprintf(why, why_size,
			 "the segment has format version %u, and this zsblk knows version %u "
			 "only; open it with the zsblk that made it",
			 copy.version, SUPER_VERSION);
		return -EINVAL;
	}
	if (copy.bytes != offsetof(struct super, checksum) || copy.checksum != super_checksum(&copy)) {
		snprintf(why, why_size,
			 "the segment's superblock is damaged (its checksum is %016llx and should "
			 "be %016llx); its contents cannot be trusted",
			 (unsigned long long)copy.checksum, (unsigned long long)super_checksum(&copy));
		return -EINVAL;
	}
	/* Bounds first, so that the sum below cannot wrap. */
	if (copy.layout.table_words > UINT64_C(1) << 32 || copy.layout.pool_pages > UINT64_C(1) << 32 ||
	    super_segment_bytes(&copy.layout) > seg->bytes) {
		snprintf(why, why_size,
			 "the segment is %zu bytes long, but its superblock describes more "
			 "(%llu table words, %llu pool pages)",
			 seg->bytes, (unsigned long long)copy.layout.table_words,
			 (unsigned long long)copy.layout.pool_pages);
		return -EINVAL;
	}
	*layout = copy.layout;
	return 0;
}

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

static void forget(struct segment *seg)
{
	for (struct segment **link = &own_claims; *link; link = &(*link)->next_claimed)
		if (*link == seg) {
			*link = seg->next_claimed;
			return;
		}
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
		unsigned known = super_keeper(seg) ? 2 : 1;

		if (__atomic_load_n(&super_of(seg)->claim, __ATOMIC_ACQUIRE) != old)
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
	       __atomic_load_n(&super_of(seg)->claim, __ATOMIC_ACQUIRE) == old) {
		nanosleep(&moment, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	/* Asked last: one that ended between two questions is not live. */
	return __atomic_load_n(&super_of(seg)->claim, __ATOMIC_ACQUIRE) != old || !claim_is_live(old);
}

/* Put our claim into the segment, unless somebody alive has it. */
static int take_claim(struct segment *seg, bool from_parent, int *holder)
{
	struct super *super = super_of(seg);
	uint64_t own = own_claim;
	uint64_t old = __atomic_load_n(&super->claim, __ATOMIC_ACQUIRE);

	while (old != own) {
		bool handed_down = from_parent && old == seg->claim;

		if (!handed_down && claim_is_live(old) && !dying_holder_ends(seg, old)) {
			*holder = (int)(old >> 32);
			return -EBUSY;
		}
		if (!handed_down && old && heir_claims(seg, old)) {
			old = __atomic_load_n(&super->claim, __ATOMIC_ACQUIRE);
			continue;
		}
		if (__atomic_compare_exchange_n(&super->claim, &old, own, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			break;
	}
	seg->claim = own;
	return 0;
}

int super_claim(struct segment *seg, bool from_parent, int *holder)
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
		r = take_claim(seg, from_parent, holder);
	}
	if (!r)
		remember(seg);
	pthread_mutex_unlock(&own_claims_lock);
	return r;
}

void super_unclaim(struct segment *seg)
{
	uint64_t own;

	if (seg->kind == SEGMENT_ANON || !seg->base)
		return;
	pthread_mutex_lock(&own_claims_lock);
	drop_parents_claims();
	forget(seg);
	own = own_claim;
	__atomic_compare_exchange_n(&super_of(seg)->claim, &own, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&own_claims_lock);
}

int super_holder(const struct segment *seg)
{
	uint64_t claim = __atomic_load_n(&super_of(seg)->claim, __ATOMIC_ACQUIRE);

	return claim_is_live(claim) ? (int)(claim >> 32) : 0;
}

void super_keep(struct segment *seg, bool keep)
{
	uint64_t own = claim_of(getpid());

	if (keep)
		__atomic_store_n(&super_of(seg)->keeper, own, __ATOMIC_RELEASE);
	else
		__atomic_compare_exchange_n(&super_of(seg)->keeper, &own, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int super_keeper(const struct segment *seg)
{
	uint64_t keeper = __atomic_load_n(&super_of(seg)->keeper, __ATOMIC_ACQUIRE);

	return claim_is_live(keeper) ? (int)(keeper >> 32) : 0;
}

void super_put_in_service(struct segment *seg)
{
	if (seg->kind == SEGMENT_SHM)
		__atomic_store_n(&super_of(seg)->in_service, 1, __ATOMIC_RELEASE);
}

bool super_was_in_service(const struct segment *seg)
{
	return seg->kind == SEGMENT_SHM && __atomic_load_n(&super_of(seg)->in_service, __ATOMIC_ACQUIRE);
}
