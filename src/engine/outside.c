/* SPDX-License-Identifier: BSD-3-Clause */
/* A shared segment as seen by those who do not use it: what is in it, and its removal. */
#include "engine/engine.h"

#include <errno.h>
#include <string.h>

static int open_outside(const char *memory, struct segment *seg, struct zsblk_why *why)
{
	struct segment_spec spec;
	const char *step;
	int r;

	if (segment_parse(memory, &spec) || spec.kind != SEGMENT_SHM)
		return fail(why, -EINVAL, "memory=%s is no shared segment", memory ? memory : "anon");
	if (!segment_exists(&spec))
		return fail(why, -ENOENT, "%s does not exist", memory);
	r = segment_open(seg, &spec, SEGMENT_PAGE, &step);
	if (r)
		return fail(why, r, "%s: %s: %s", memory, step, strerror(-r));
	return 0;
}

_Static_assert(ZSBLK_SEGMENT_VERSION == SUPER_VERSION, "the public name of the same number");

int zsblk_inspect(const char *memory, struct zsblk_segment *found, struct zsblk_why *why)
{
	struct zsblk_why ignored;
	struct super_layout layout = {0};
	struct segment seg;
	int r;

	*found = (struct zsblk_segment){.size = 0};
	why = why ? why : &ignored;
	r = open_outside(memory, &seg, why);
	if (r)
		return r;
	found->id = seg.shmid;
	if (!super_is_blank(&seg)) {
		r = super_read(&seg, &layout, why->text, sizeof why->text);
		if (!r && layout.kind != SUPER_DEVICE)
			r = fail(why, -EINVAL, "%s holds a zsmalloc pool, not a block device", memory);
		found->size = layout.table_words * layout.block_size;
	}
	if (!r)
		found->holder = super_holder(&seg);
	segment_close(&seg);
	return r;
}

int zsblk_remove(const char *memory, struct zsblk_why *why)
{
	struct segment seg;
	struct super_layout layout;
	struct zsblk_why ignored;
	int r, holder = 0;

	why = why ? why : &ignored;
	r = open_outside(memory, &seg, why);
	if (r)
		return r;
	/* A damaged or newer one of ours may be removed; what others made may not. */
	r = super_is_blank(&seg) || super_is_ours(&seg) ? 0 : -EINVAL;
	if (r)
		super_read(&seg, &layout, why->text, sizeof why->text);
	else if ((r = super_claim(&seg, false, &holder)))
		fail(why, r, "%s is in use by process %d; stop that one first", memory, holder);
	if (!r) {
		/* While we hold the claim: nobody is to open what is about to go. */
		r = segment_remove_open(&seg);
		if (r)
			fail(why, r, "%s cannot be removed: %s", memory, strerror(-r));
		super_unclaim(&seg);
	}
	segment_close(&seg);
	return r;
}
