/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The record of the backing store in the segment, as docs/format.md describes it. Written with recompress_lock held, or before requests
 * come.
 *
 *   nothing --- about to be made ---> BEING_MADE, bit ---- attached ----> bit
 *      ^                                   |                              |
 *      +-------------- failed -------------+         no block is there, and nobody asked for the store: no bit
 *
 * Without the bit the record stays, so that the store is known again, and is not taken for another device's.
 */
#include "engine/backing_parts.h"

#include "segment/super_record.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

bool backing_record_counts(const struct zsblk *dev)
{
	return dev->layout.features.incompatible & SUPER_HAS_BACKED;
}

int backing_record_read(struct zsblk *dev, struct backing_record *record, struct zsblk_why *why)
{
	const void *place = super_backing(&dev->seg, &dev->layout);

	if (place && super_record_read(place, SUPER_BACKING_COPY, record, sizeof *record) && record->kind &&
	    memchr(record->location, 0, sizeof record->location))
		return 0;
	explicit_bzero(record, sizeof *record);
	return backing_record_counts(dev)
		       ? why_fail(why, -EINVAL,
				  "the segment is damaged: its record of the backing store cannot be read")
		       : -ENOENT;
}

void backing_record_write(struct zsblk *dev, const struct backing_record *record)
{
	super_record_write(super_backing(&dev->seg, &dev->layout), SUPER_BACKING_COPY, record, sizeof *record);
}

/* The key is in the first page from now on. Opening has asked for the same, of a kernel that may have refused: here that counts. */
static int hide_segment(struct zsblk *dev)
{
	return madvise(dev->seg.base, dev->seg.bytes, MADV_DONTDUMP) < 0 ? -errno : 0;
}

int backing_record_store(struct zsblk *dev, const struct backing_record *record)
{
	int r = hide_segment(dev);

	if (r)
		return r;
	super_carry_over(&dev->seg, &dev->layout);
	engine_keep_frontier(dev);
	backing_record_write(dev, record);
	if (!backing_record_counts(dev))
		super_set_incompatible(&dev->seg, &dev->layout, SUPER_HAS_BACKED, true);
	return 0;
}

int backing_record_begin(struct zsblk *dev, struct backing_record *record)
{
	int r;

	record->flags |= BACKING_BEING_MADE;
	pthread_mutex_lock(&dev->resize_lock);
	pthread_mutex_lock(&dev->recompress_lock);
	r = backing_record_store(dev, record);
	pthread_mutex_unlock(&dev->recompress_lock);
	pthread_mutex_unlock(&dev->resize_lock);
	return r;
}

void backing_record_set_aside(struct zsblk *dev)
{
	super_set_incompatible(&dev->seg, &dev->layout, SUPER_HAS_BACKED, false);
}

/* The key goes from both copies. */
void backing_record_forget(struct zsblk *dev)
{
	const struct backing_record none = {0};

	pthread_mutex_lock(&dev->resize_lock);
	pthread_mutex_lock(&dev->recompress_lock);
	if (backing_record_counts(dev)) {
		backing_record_set_aside(dev);
		backing_record_write(dev, &none);
		backing_record_write(dev, &none);
	}
	pthread_mutex_unlock(&dev->recompress_lock);
	pthread_mutex_unlock(&dev->resize_lock);
}
