/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared segments without a device: they are made, found, looked at, kept and removed.
 *
 * No name is trusted. A segment that another user made, owns or may attach is refused (segment/owner.h). Looking never
 * makes one. A name in a superblock counts only in a segment of ours.
 */
#include "engine/engine.h"

#include "segment/claim.h"
#include "segment/owner.h"
#include "segment/super_codecs.h"
#include "segment/super_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(ZSBLK_SEGMENT_VERSION == SUPER_VERSION, "the public name of the same number");
_Static_assert(ZSBLK_SEGMENT_OLDEST == SUPER_OLDEST, "the public name of the same number");
_Static_assert(ZSBLK_SEGMENT_ALGORITHMS == SUPER_CODECS - SUPER_CODECS_NAMED, "each codec of the record");
_Static_assert(sizeof((struct zsblk_segment *)0)->algorithms[0] == sizeof((struct super_layout *)0)->codecs[0] + 1,
	       "its name fits, without a zero");
_Static_assert(ZSBLK_NAME_MAX == sizeof((struct super_layout *)0)->name, "a name fits, without a zero");

static int open_outside(const char *memory, enum super_mode mode, struct segment *seg, struct zsblk_why *why)
{
	const struct super_request request = {
		.memory = memory, .mode = mode, .why = why->text, .why_size = sizeof why->text};

	return super_open(seg, &request, NULL);
}

/* ------------------------------------------------------------------ making */

/* Under our claim, so that nobody opens the segment just before it goes. What somebody has opened meanwhile stays. */
static void remove_blank(struct segment *seg)
{
	int holder;

	if (claim_take(seg, false, &holder))
		return;
	if (super_is_blank(seg))
		segment_remove_open(seg);
	claim_drop(seg);
}

/*
 * A maker that was killed before it wrote the superblock has left a segment that nobody finds again, since it has neither key nor
 * name, and that nobody uses. That it is one of ours, its claim tells.
 */
static int remove_abandoned(void *opaque, int shmid, const struct shmid_ds *ds)
{
	struct segment_spec spec = {.kind = SEGMENT_SHM, .by_id = true, .key = shmid};
	unsigned char resident = 0;
	struct segment seg;
	const char *step;

	if (ds->shm_perm.__key != IPC_PRIVATE || ds->shm_nattch || ds->shm_segsz < SEGMENT_PAGE ||
	    segment_attach(&seg, &spec, &step))
		return 0;
	if (segment_resident(&seg, 0, SEGMENT_PAGE, &resident) == 0 && (resident & 1) &&
	    super_is_abandoned(&seg, ds->shm_cpid))
		remove_blank(&seg);
	segment_close(&seg);
	return 0;
}

static int format(struct segment *seg, const struct zsblk_params *params, const char *name, struct zsblk_why *why)
{
	struct super_layout layout;
	int holder, r = claim_take(seg, false, &holder);

	if (!r && params->lock_shared)
		r = segment_lock(seg);
	if (r) {
		why_fail(why, r == -ENOMEM ? -EPERM : r,
			 "a segment of %zu bytes cannot be locked in memory (SHM_LOCK: %s); "
			 "it takes CAP_IPC_LOCK, or a locked-memory limit (ulimit -l) as large",
			 seg->bytes, strerror(-r));
	} else {
		engine_describe(&layout, params);
		memcpy(layout.name, name, strlen(name));
		super_format(seg, &layout);
	}
	/* Also after a failure: a claim is remembered by the address of `seg`. */
	claim_drop(seg);
	return r == -ENOMEM ? -EPERM : r;
}

int zsblk_create(const struct zsblk_params *params, const char *name, int *id, struct zsblk_why *why)
{
	struct segment_spec spec;
	struct super_layout layout;
	struct zsblk_why ignored;
	struct segment seg;
	const char *step;
	int r = zsblk_params_check(params, why);

	if (r)
		return r;
	why = why ? why : &ignored;
	segment_parse(params->memory, &spec);
	if (!*name || strlen(name) > sizeof layout.name)
		return why_fail(why, -EINVAL, "the name '%s' has %zu bytes; 1 to %u are needed", name, strlen(name),
				ZSBLK_NAME_MAX);
	engine_describe(&layout, params);
	(void)owner_each(remove_abandoned, NULL);
	r = segment_create(&seg, spec.kind == SEGMENT_SHM && !spec.by_id ? spec.key : IPC_PRIVATE,
			   super_segment_bytes(&layout), &step);
	if (r)
		return super_explain_refusal(r, step, super_segment_bytes(&layout), why->text, sizeof why->text);
	r = format(&seg, params, name, why);
	if (r)
		segment_remove_open(&seg);
	*id = seg.shmid;
	segment_close(&seg);
	return r;
}

/* ------------------------------------------------------------------ finding */

struct search {
	const char *name;
	int id;
	unsigned found;
};

/*
 * Look only at segments whose first page is in memory, as that of a locked one is. Another program's page may be
 * swapped out, and reading it could wait for the device that the caller looks after.
 */
static int look_for(void *opaque, int shmid, const struct shmid_ds *ds)
{
	struct segment_spec spec = {.kind = SEGMENT_SHM, .by_id = true, .key = shmid};
	struct search *search = opaque;
	struct super_layout layout;
	unsigned char resident = 0;
	struct segment seg;
	const char *step;
	char why[200];

	if (ds->shm_segsz < SEGMENT_PAGE || segment_attach(&seg, &spec, &step))
		return 0;
	if (segment_resident(&seg, 0, SEGMENT_PAGE, &resident) == 0 && (resident & 1) &&
	    super_read(&seg, &layout, why, sizeof why) == 0 && layout.kind == SUPER_DEVICE &&
	    strncmp(layout.name, search->name, sizeof layout.name) == 0) {
		search->id = shmid;
		search->found++;
	}
	segment_close(&seg);
	return 0;
}

int zsblk_find(const char *name, int *id, struct zsblk_why *why)
{
	struct search search = {.name = name};
	int r = *name ? owner_each(look_for, &search) : -ENOENT;

	if (r)
		return why_fail(why, r, "no segments can be listed: %s", strerror(-r));
	if (!search.found)
		return why_fail(why, -ENOENT, "no segment bears the name '%s'", name);
	if (search.found > 1)
		return why_fail(why, -EEXIST,
				"%u segments bear the name '%s', one of them with identifier %d; remove those that are "
				"not needed (ipcs -m, ipcrm -m ID)",
				search.found, name, search.id);
	*id = search.id;
	return 0;
}

/* ------------------------------------------------------------------ looking */

/* What the superblock says. */
static void describe(struct zsblk_segment *found, const struct super_layout *layout)
{
	unsigned n = 0;

	found->version = layout->version;
	found->features = layout->features.incompatible;
	found->size = layout->blocks * BLOCK;
	found->max_size = layout->max_blocks * BLOCK;
	memcpy(found->name, layout->name, sizeof layout->name);
	for (unsigned id = SUPER_CODECS_NAMED; id < SUPER_CODECS; id++)
		if (layout->codecs[id][0])
			memcpy(found->algorithms[n++], layout->codecs[id], sizeof layout->codecs[id]);
}

int zsblk_inspect(const char *memory, struct zsblk_segment *found, struct zsblk_why *why)
{
	struct zsblk_why ignored;
	struct super_layout layout = {0};
	struct segment seg;
	long long used;
	int r;

	*found = (struct zsblk_segment){.size = 0};
	why = why ? why : &ignored;
	r = open_outside(memory, SUPER_LOOK, &seg, why);
	if (r)
		return r;
	found->id = seg.shmid;
	if (!super_is_blank(&seg)) {
		r = super_read(&seg, &layout, why->text, sizeof why->text);
		if (!r && layout.kind != SUPER_DEVICE)
			r = why_fail(why, -EINVAL, "%s holds a zsmalloc pool, not a block device", memory);
		if (!r && layout.block_size != BLOCK)
			r = why_fail(why, -EINVAL, "%s has blocks of %u bytes, not %u", memory, layout.block_size,
				     BLOCK);
		describe(found, &layout);
		if (!r)
			found->refused = super_permits(&layout, true, why->text, sizeof why->text) != 0;
	}
	if (!r) {
		used = owner_bytes_in_use(seg.shmid);
		found->used = used > 0 ? (uint64_t)used : 0;
		found->holder = claim_holder(&seg);
		found->in_service = super_was_in_service(&seg);
		found->removed = segment_is_removed(&seg);
	}
	segment_close(&seg);
	return r;
}

const char *zsblk_segment_feature(unsigned bit)
{
	return super_feature_name(bit);
}

/* ------------------------------------------------------------------ removing */

int zsblk_remove(const char *memory, struct zsblk_why *why)
{
	struct zsblk_why ignored;
	struct segment seg;
	int r;

	why = why ? why : &ignored;
	/* Under our claim, so that no process opens the segment just before it goes. */
	r = open_outside(memory, SUPER_ATTACH, &seg, why);
	if (r)
		return r;
	r = segment_remove_open(&seg);
	if (r)
		why_fail(why, r, "%s cannot be removed: %s", memory, strerror(-r));
	claim_drop(&seg);
	segment_close(&seg);
	return r;
}

/* ------------------------------------------------------------------ keeping */

struct zsblk_keep {
	struct segment seg;
};

int zsblk_keep(const char *memory, struct zsblk_keep **result, struct zsblk_why *why)
{
	struct zsblk_why ignored;
	struct zsblk_keep *keep = calloc(1, sizeof *keep);
	int r = keep ? 0 : why_fail(why, -ENOMEM, "out of memory");

	*result = NULL;
	why = why ? why : &ignored;
	if (!r)
		r = open_outside(memory, SUPER_LOOK, &keep->seg, why);
	if (!r && !super_is_ours(&keep->seg)) {
		segment_close(&keep->seg);
		r = why_fail(why, -EINVAL, "%s was not made by zsblk", memory);
	}
	if (r) {
		free(keep);
		return r;
	}
	/* Otherwise each child would have the segment attached as well, for as long as the child lives. */
	madvise(keep->seg.base, keep->seg.bytes, MADV_DONTFORK);
	claim_keep(&keep->seg, true);
	*result = keep;
	return 0;
}

void zsblk_keep_end(struct zsblk_keep *keep)
{
	if (!keep)
		return;
	claim_keep(&keep->seg, false);
	segment_close(&keep->seg);
	free(keep);
}

bool zsblk_keep_is_removed(const struct zsblk_keep *keep)
{
	return segment_is_removed(&keep->seg);
}

uint64_t zsblk_keep_size(const struct zsblk_keep *keep)
{
	struct super_layout layout;
	char why[200];

	if (super_is_blank(&keep->seg) || super_read(&keep->seg, &layout, why, sizeof why))
		return 0;
	return layout.blocks * BLOCK;
}

bool zsblk_segments_are_removed(void)
{
	int fd = open("/proc/sys/kernel/shm_rmid_forced", O_RDONLY | O_CLOEXEC);
	char value = '0';

	if (fd < 0)
		return false;
	(void)!read(fd, &value, 1);
	close(fd);
	return value == '1';
}
