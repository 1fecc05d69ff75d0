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
 */
#include "segment/super.h"

#include "process/process.h"
#include "process/system_page.h"
#include "segment/format.h"
#include "segment/owner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char super_magic[8] = {'z', 's', 'b', 'l', 'k', 's', 'e', 'g'};

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

void super_put_in_service(struct segment *seg)
{
	if (seg->kind == SEGMENT_SHM)
		__atomic_store_n(&super_of(seg)->in_service, 1, __ATOMIC_RELEASE);
}

bool super_was_in_service(const struct segment *seg)
{
	return seg->kind == SEGMENT_SHM && __atomic_load_n(&super_of(seg)->in_service, __ATOMIC_ACQUIRE);
}
