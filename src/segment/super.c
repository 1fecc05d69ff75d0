/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The superblock. See super.h, and docs/format.md.
 *
 *   0        4096   each part begins on a page boundary                              on one of 64 KiB
 *   +--------+------+---------------------------------------+- - - - - - - - - - - - -+--------------------------+
 *   | super  | map  | table: one 64-bit word for each block | ages; room              | pool: pages of zspages   |
 *   +--------+------+---------------------------------------+- - - - - - - - - - - - -+--------------------------+
 *
 * The system takes memory back in pages of its own, so the pool begins on a system page: a multiple of 64 KiB, the
 * largest system page there is. The layout is then the same on all systems. Of the room, only
 * the record of settings is used. In format 1 nothing lies between table and pool, and the pool begins on a page of 4096 bytes.
 *
 * Three kinds of bytes, and what shows that they are damaged:
 *
 *   written once                    the checksum
 *   numbers that change             the complement beside each
 *   claim, keeper, hints            nothing: whoever reads one verifies it
 *
 * A segment of format 1 is used as it is, so that the build that made it can still use it. The segment becomes one of
 * format 2 when something is to be stored for which format 1 has no place (super_carry_over() below).
 *
 * The checksum is XXH64 with seed 0, from xxHash.
 */
#include "segment/super.h"

#include "process/process.h"
#include "process/system_page.h"
#include "segment/claim.h"
#include "segment/format.h"
#include "segment/owner.h"
#include "segment/super_codecs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char super_magic[8] = {'z', 's', 'b', 'l', 'k', 's', 'e', 'g'};

/* Where the checksum lies, and what it covers from the start. */
#define FORMAT_1_BYTES ((uint32_t)offsetof(struct super, checksum1))
#define FORMAT_2_BYTES ((uint32_t)offsetof(struct super, checksum))

/* The member `bytes` of a superblock of this version; 0: the version is not known here. */
static uint32_t bytes_of(uint32_t version)
{
	return version == 1 ? FORMAT_1_BYTES : version == SUPER_VERSION ? FORMAT_2_BYTES : 0;
}

/* ------------------------------------------------------------------ where things are */

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

/* As in format 1: the pool follows the table. */
static void arrange(struct super_layout *layout)
{
	layout->map_offset = SEGMENT_PAGE;
	layout->table_offset = layout->map_offset + round_up(table_map_bytes(layout->table_words), SEGMENT_PAGE);
	layout->pool_offset = round_up(layout->table_offset + layout->table_words * sizeof(uint64_t), SEGMENT_PAGE);
}

/*
 * A group of blocks takes one shared entry for each 4096 bytes that it has when it is compressed, so as many entries as
 * blocks suffice, and some for entries that serve no block. They take address space only, until they are used. Blocks
 * and entries together have at most 2^32 words, since a back-reference has 32 bits.
 */
uint64_t super_table_words(uint64_t max_blocks)
{
	uint64_t most = UINT64_C(1) << 32, shared = max_blocks + 64;

	return shared < most - max_blocks ? max_blocks + shared : most;
}

void super_arrange(struct super_layout *layout)
{
	layout->version = SUPER_VERSION;
	arrange(layout);
	layout->ages_offset = layout->pool_offset;
	layout->room_offset = layout->ages_offset + round_up(layout->table_words, SEGMENT_PAGE);
	layout->pool_offset = round_up(layout->room_offset + SUPER_ROOM_BYTES, SEGMENT_MAX_SYSTEM_PAGE);
}

struct table super_table(const struct segment *seg, const struct super_layout *layout)
{
	return (struct table){
		.map = (uint64_t *)(seg->base + layout->map_offset),
		.words = (uint64_t *)(seg->base + layout->table_offset),
		.n = layout->table_words,
	};
}

uint64_t super_segment_bytes(const struct super_layout *layout)
{
	return layout->pool_offset + layout->pool_pages * SEGMENT_PAGE;
}

/* ------------------------------------------------------------------ making */

/* Of format 2, the two pieces that are written once; what changes lies between them. */
static uint64_t checksum(const struct super *super)
{
	XXH64_state_t state;

	if (super->version == 1)
		return XXH64(super, FORMAT_1_BYTES, 0);
	XXH64_reset(&state, 0);
	XXH64_update(&state, super, FORMAT_1_BYTES);
	XXH64_update(&state, &super->places, sizeof super->places);
	return XXH64_digest(&state);
}

void super_seal(struct segment *seg)
{
	struct super *super = super_of(seg);

	if (super->version == 1)
		super->checksum1 = checksum(super);
	else
		super->checksum = checksum(super);
}

static void fill_basics(struct format_basics *basics, const struct super_layout *layout)
{
	*basics = (struct format_basics){
		.kind = layout->kind,
		.block_size = layout->block_size,
		.table_words = layout->table_words,
		.pool_pages = layout->pool_pages,
		.class_step = layout->class_step,
		.class_min = layout->class_min,
		.chain = layout->chain,
		.max_objects = layout->max_objects,
	};
	memcpy(basics->name, layout->name, sizeof basics->name);
	/* The others are in the record of codecs, once there is one. */
	memcpy(basics->codecs, layout->codecs, SUPER_CODECS_NAMED * sizeof basics->codecs[0]);
}

/* What format 2 has beyond format 1. */
static void fill_rest(struct super *super, const struct super_layout *layout)
{
	super->state.compatible = format_check(layout->features.compatible);
	super->state.read_only = format_check(layout->features.read_only);
	super->state.incompatible = format_check(layout->features.incompatible);
	super->state.last_block = format_check((uint32_t)(layout->blocks - 1));
	super->state.frontier = 0;
	super->state.ages_seconds = 0;
	super->state.tried_with = 0;
	super->places = (struct format_places){
		.map_offset = layout->map_offset,
		.table_offset = layout->table_offset,
		.pool_offset = layout->pool_offset,
		.max_blocks = layout->max_blocks,
		.ages_offset = layout->ages_offset,
		.room_offset = layout->room_offset,
	};
}

/* A killed process leaves what it had stored so far, in program order. So only the compiler must not reorder stores. */
static void store_in_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void super_format(struct segment *seg, const struct super_layout *layout)
{
	struct super *super = super_of(seg);
	struct super head = {.version = SUPER_VERSION, .bytes = bytes_of(SUPER_VERSION)};

	memcpy(head.magic, super_magic, sizeof head.magic);
	/* In one store: a superblock with only one of the two would neither be blank nor valid. */
	__atomic_store_n(&super->version_and_bytes, head.version_and_bytes, __ATOMIC_RELAXED);
	store_in_order();
	fill_basics(&super->basics, layout);
	fill_rest(super, layout);
	head.basics = super->basics;
	head.places = super->places;
	super->checksum = checksum(&head);
	__atomic_store_n(&super->magic_word, head.magic_word, __ATOMIC_RELEASE);
}

/*
 * What format 2 adds, and its checksum, is written where format 1 has nothing. Then one store of the version makes all
 * of it count. A process that is killed before that store leaves a segment of format 1.
 */
void super_carry_over(struct segment *seg, struct super_layout *layout)
{
	struct super *super = super_of(seg);
	struct super head;

	if (layout->version != 1)
		return;
	head = *super;
	fill_rest(super, layout);
	head.version = SUPER_VERSION;
	head.bytes = bytes_of(SUPER_VERSION);
	head.places = super->places;
	super->checksum = checksum(&head);
	__atomic_store_n(&super->version_and_bytes, head.version_and_bytes, __ATOMIC_RELEASE);
	layout->version = SUPER_VERSION;
}

void super_set_blocks(struct segment *seg, struct super_layout *layout, uint64_t blocks)
{
	super_carry_over(seg, layout);
	__atomic_store_n(&super_of(seg)->state.last_block, format_check((uint32_t)(blocks - 1)), __ATOMIC_RELEASE);
	layout->blocks = blocks;
}

uint64_t *super_frontier(struct segment *seg, const struct super_layout *layout)
{
	return layout->version == 1 ? NULL : &super_of(seg)->state.frontier;
}

static void add_compatible(struct segment *seg, struct super_layout *layout, uint32_t feature)
{
	layout->features.compatible |= feature;
	__atomic_store_n(&super_of(seg)->state.compatible, format_check(layout->features.compatible), __ATOMIC_RELEASE);
}

void super_begin_ages(struct segment *seg, struct super_layout *layout)
{
	add_compatible(seg, layout, SUPER_HAS_AGES);
}

void super_begin_settings(struct segment *seg, struct super_layout *layout)
{
	add_compatible(seg, layout, SUPER_HAS_SETTINGS);
}

void super_set_incompatible(struct segment *seg, struct super_layout *layout, uint32_t features, bool has)
{
	uint64_t *place = &super_of(seg)->state.incompatible, old = __atomic_load_n(place, __ATOMIC_RELAXED);
	uint32_t now;

	do {
		now = has ? (uint32_t)old | features : (uint32_t)old & ~features;
	} while (!__atomic_compare_exchange_n(place, &old, format_check(now), false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	if (has)
		__atomic_fetch_or(&layout->features.incompatible, features, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&layout->features.incompatible, ~features, __ATOMIC_RELAXED);
}

void *super_settings(struct segment *seg, const struct super_layout *layout)
{
	return seg->kind == SEGMENT_SHM && layout->room_offset ? seg->base + layout->room_offset : NULL;
}

/* Behind the superblock, in the same page. */
#define BACKING_OFFSET 1024u
_Static_assert(BACKING_OFFSET >= sizeof(struct super) && BACKING_OFFSET + 2 * SUPER_BACKING_COPY <= SEGMENT_PAGE,
	       "the first page has room for it");

void *super_backing(struct segment *seg, const struct super_layout *layout)
{
	return layout->version == 1 ? NULL : seg->base + BACKING_OFFSET;
}

uint64_t *super_tried_with(struct segment *seg, const struct super_layout *layout)
{
	return layout->version == 1 ? NULL : &super_of(seg)->state.tried_with;
}

uint64_t *super_ages_seconds(struct segment *seg, const struct super_layout *layout)
{
	return layout->ages_offset ? &super_of(seg)->state.ages_seconds : NULL;
}

/* ------------------------------------------------------------------ blank or ours */

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
 * Nothing is stored in the segment yet. A zsblk that makes one stores its claim first. If the maker may be alive, wait
 * for the claim, 1 second at most. True if the claim, or the whole superblock, is there then.
 */
static bool maker_claims(const struct segment *seg)
{
	const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	struct shmid_ds ds;
	uint64_t start;

	if (shmctl(seg->shmid, IPC_STAT, &ds) < 0 || ds.shm_cpid == getpid())
		return false;
	for (int i = 0; i < 100; i++) {
		if (__atomic_load_n(&super_of(seg)->state.claim, __ATOMIC_ACQUIRE) || super_is_ours(seg))
			return true;
		if (process_start_time(ds.shm_cpid, &start) == -ESRCH)
			return false;
		nanosleep(&moment, NULL);
	}
	return false;
}

/*
 * True if the first page holds a claim, now or soon, and nothing else. `first`: bytes of the segment's first system
 * page.
 */
static bool is_untouched(const struct segment *seg, size_t first)
{
	const struct super *super = super_of(seg);
	size_t behind = offsetof(struct super, state.keeper);

	return all_zero(super, offsetof(struct super, state.claim)) && all_zero(seg->base + behind, first - behind) &&
	       (super->state.claim || maker_claims(seg));
}

/* True if the superblock was begun, and its magic, which comes last, is missing. */
static bool is_half_made(const struct segment *seg, size_t first)
{
	const struct super *super = super_of(seg);

	return super->bytes && super->bytes == bytes_of(super->version) &&
	       all_zero(seg->base + sizeof *super, first - sizeof *super);
}

bool super_is_blank(const struct segment *seg)
{
	/* When the maker touched the superblock, the whole first system page came into memory. */
	size_t first = seg->bytes < system_page() ? seg->bytes : (size_t)system_page();
	long long in_use;

	/* We made the segment, and the kernel filled it with zeroes. Another process may have formatted it since. */
	if (seg->fresh)
		return !super_is_ours(seg);
	if (seg->bytes < SEGMENT_PAGE || !all_zero(super_of(seg)->magic, sizeof super_magic))
		return false;
	/* With neither, any program may have made the segment a moment ago. */
	if (!is_untouched(seg, first) && !is_half_made(seg, first))
		return false;
	/* Its maker may have come further meanwhile. */
	if (super_is_ours(seg))
		return false;
	in_use = owner_bytes_in_use(seg->shmid);
	return in_use >= 0 && (uint64_t)in_use <= system_page();
}

bool super_is_abandoned(const struct segment *seg, pid_t maker)
{
	const struct super *super = super_of(seg);
	uint64_t claim = __atomic_load_n(&super->state.claim, __ATOMIC_ACQUIRE);

	return claim && (pid_t)(claim >> 32) == maker && !claim_holder(seg) && super_is_blank(seg);
}

/* ------------------------------------------------------------------ reading */

struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct reason *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, why->size, format, args);
	va_end(args);
	return -EINVAL;
}

/*
 * Copy the superblock, which another process may change meanwhile. The version is loaded first: what a carry-over
 * writes is there before the version says so.
 */
static struct super take_copy(const struct segment *seg)
{
	const struct super *super = super_of(seg);
	uint64_t version_and_bytes = __atomic_load_n(&super->version_and_bytes, __ATOMIC_ACQUIRE);
	struct super copy = *super;

	copy.version_and_bytes = version_and_bytes;
	copy.state.last_block = __atomic_load_n(&super->state.last_block, __ATOMIC_ACQUIRE);
	return copy;
}

static int check_version(const struct super *copy, const struct reason *why)
{
	uint64_t found, expected = checksum(copy);

	if (copy->version < SUPER_OLDEST || copy->version > SUPER_VERSION)
		return wrong(
			why,
			"the segment has format version %u, and this zsblk knows versions %u to %u; open it with the "
			"zsblk that made it",
			copy->version, SUPER_OLDEST, SUPER_VERSION);
	if (copy->bytes != bytes_of(copy->version))
		return wrong(why,
			     "the segment's superblock covers %u bytes with its checksum, which no version %u does; a "
			     "zsblk that was never released has made it, or it is damaged",
			     copy->bytes, copy->version);
	found = copy->version == 1 ? copy->checksum1 : copy->checksum;
	if (found != expected)
		return wrong(why,
			     "the segment's superblock is damaged (its checksum is %016llx and should "
			     "be %016llx); its contents cannot be trusted",
			     (unsigned long long)found, (unsigned long long)expected);
	return 0;
}

static void take_basics(struct super_layout *layout, const struct format_basics *basics)
{
	*layout = (struct super_layout){
		.version = 1,
		.kind = basics->kind,
		.block_size = basics->block_size,
		.blocks = basics->table_words,
		.max_blocks = basics->table_words,
		.table_words = basics->table_words,
		.pool_pages = basics->pool_pages,
		.class_step = basics->class_step,
		.class_min = basics->class_min,
		.chain = basics->chain,
		.max_objects = basics->max_objects,
	};
	memcpy(layout->name, basics->name, sizeof layout->name);
	memcpy(layout->codecs, basics->codecs, sizeof layout->codecs);
}

static int take_state(struct super_layout *layout, const struct format_state *state, const struct reason *why)
{
	if (!format_is_whole(state->compatible) || !format_is_whole(state->read_only) ||
	    !format_is_whole(state->incompatible) || !format_is_whole(state->last_block))
		return wrong(why,
			     "the segment's superblock is damaged: its features or its number of blocks do not agree "
			     "with their complements; its contents cannot be trusted");
	layout->features = (struct super_features){
		.compatible = (uint32_t)state->compatible,
		.read_only = (uint32_t)state->read_only,
		.incompatible = (uint32_t)state->incompatible,
	};
	layout->blocks = (uint64_t)(uint32_t)state->last_block + 1;
	return 0;
}

static void take_places(struct super_layout *layout, const struct format_places *places)
{
	layout->version = SUPER_VERSION;
	layout->map_offset = places->map_offset;
	layout->table_offset = places->table_offset;
	layout->pool_offset = places->pool_offset;
	layout->max_blocks = places->max_blocks;
	layout->ages_offset = places->ages_offset;
	layout->room_offset = places->room_offset;
}

/* True if [offset, offset + bytes) begins on a page and ends at *end or below. Then *end becomes offset. */
static bool is_below(uint64_t offset, uint64_t bytes, uint64_t *end)
{
	if (offset % SEGMENT_PAGE || offset > *end || bytes > *end - offset)
		return false;
	*end = offset;
	return true;
}

/* Superblock, map, table, ages, room, pool, in this order and inside the segment. Ages and room need not be there. */
static int check_places(const struct super_layout *layout, uint64_t bytes, const struct reason *why)
{
	uint64_t end = bytes;

	/* Bounds first, so that no product wraps. */
	if (layout->table_words > UINT64_C(1) << 32 || layout->pool_pages > UINT64_C(1) << 32 ||
	    !is_below(layout->pool_offset, layout->pool_pages * SEGMENT_PAGE, &end) ||
	    (layout->room_offset && !is_below(layout->room_offset, SUPER_ROOM_BYTES, &end)) ||
	    (layout->ages_offset && !is_below(layout->ages_offset, layout->table_words, &end)) ||
	    !is_below(layout->table_offset, layout->table_words * sizeof(uint64_t), &end) ||
	    !is_below(layout->map_offset, table_map_bytes(layout->table_words), &end) || end < SEGMENT_PAGE)
		return wrong(why,
			     "the segment is %llu bytes long, but its superblock describes more, or parts that overlap "
			     "(%llu table words, %llu pool pages)",
			     (unsigned long long)bytes, (unsigned long long)layout->table_words,
			     (unsigned long long)layout->pool_pages);
	if (layout->max_blocks > layout->table_words || layout->blocks > layout->max_blocks || !layout->blocks)
		return wrong(
			why,
			"the segment's superblock describes a device of %llu blocks that may have %llu, with a table "
			"of %llu words",
			(unsigned long long)layout->blocks, (unsigned long long)layout->max_blocks,
			(unsigned long long)layout->table_words);
	return 0;
}

int super_read(const struct segment *seg, struct super_layout *layout, char *text, size_t size)
{
	const struct reason why = {text, size};
	struct super copy;
	int r;

	if (!super_is_ours(seg))
		return wrong(&why, "this segment was not made by zsblk (no superblock in it); "
				   "use another key, or remove it with ipcrm if nothing needs it");
	copy = take_copy(seg);
	r = check_version(&copy, &why);
	if (r)
		return r;
	take_basics(layout, &copy.basics);
	if (copy.version == 1) {
		arrange(layout);
	} else {
		take_places(layout, &copy.places);
		r = take_state(layout, &copy.state, &why);
	}
	if (!r)
		r = check_places(layout, seg->bytes, &why);
	return r ? r : super_codecs_read(seg, layout, text, size);
}

/* By the number of the bit; docs/format.md has them. */
static const char *const feature_names[32] = {[0] = "shared", [1] = "large", [2] = "backed", [3] = "codecs"};
_Static_assert(SUPER_HAS_SHARED == 1u << 0 && SUPER_HAS_LARGE == 1u << 1 && SUPER_HAS_BACKED == 1u << 2 &&
		       SUPER_HAS_CODECS == 1u << 3,
	       "each name is that of its bit");

const char *super_feature_name(unsigned bit)
{
	return bit < 32 ? feature_names[bit] : NULL;
}

static uint32_t known_features(void)
{
	uint32_t known = 0;

	for (unsigned bit = 0; bit < 32; bit++)
		known |= (uint32_t)(feature_names[bit] != NULL) << bit;
	return known;
}

int super_permits(const struct super_layout *layout, bool change, char *text, size_t size)
{
	const struct super_features *features = &layout->features;
	uint32_t known = layout->kind == SUPER_DEVICE ? known_features() : 0;
	uint32_t unknown = features->incompatible & ~known;
	const struct reason why = {text, size};

	if (unknown || (change && features->read_only))
		return wrong(
			&why,
			"the segment has features that this zsblk does not know (incompatible 0x%x, read-only 0x%x), "
			"so it %s; open it with the zsblk that used it last",
			unknown, features->read_only, unknown ? "cannot be read" : "may be looked at, and not changed");
	/* Only whole system pages can be given back. */
	if (change && layout->pool_offset % system_page())
		return wrong(
			&why,
			"the segment's pool begins in the middle of a page of this system, which has pages of %u bytes: "
			"it was made by a zsblk for pages of 4096 bytes",
			(unsigned)system_page());
	return 0;
}

/* ------------------------------------------------------------------ in service */

void super_put_in_service(struct segment *seg)
{
	if (seg->kind == SEGMENT_SHM)
		__atomic_store_n(&super_of(seg)->state.in_service, 1, __ATOMIC_RELEASE);
}

bool super_was_in_service(const struct segment *seg)
{
	return seg->kind == SEGMENT_SHM && __atomic_load_n(&super_of(seg)->state.in_service, __ATOMIC_ACQUIRE);
}
