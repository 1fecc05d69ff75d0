/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Size classes: pure arithmetic, no state.
 *
 * Rules say how objects are laid into zspages. From the rules follow, for each class, the length of its zspages and the
 * number of their objects. The allocator uses class_rules_default(). The tests also give the functions the kernel's
 * rules, and compare the result with the table that the kernel publishes (Documentation/mm/zsmalloc.rst). Sizes are
 * bytes.
 */
#ifndef ZS_CLASS_H
#define ZS_CLASS_H

#include <stdbool.h>
#include <stdint.h>

struct class_rules {
	unsigned page_size;
	unsigned step;        /* classes are this many bytes apart */
	unsigned min_size;    /* the smallest class */
	unsigned max_size;    /* the largest: an object of a whole page */
	unsigned chain;       /* longest zspage, in pages */
	unsigned max_objects; /* most objects in one zspage */
	unsigned header;      /* bytes at the start of a zspage that are not objects */
	unsigned backref;     /* further such bytes for each object */
	bool bitmap;          /* and one bit for each object, in 64-bit words */
	unsigned usage_scale; /* usage of a zspage is compared as used * scale / total, rounded down */
};

/* One class. A huge class holds one object in one page, without any header. */
struct class_geometry {
	unsigned size;         /* bytes of an object, rounding included */
	unsigned pages;        /* pages_per_zspage */
	unsigned objects;      /* objects in a zspage of that length */
	unsigned first_object; /* where the first object begins, in bytes: the header's size */
	bool huge;
};

#define ZS_CLASS_STEP  8u
#define ZS_CLASS_MIN   16u
#define ZS_MAX_CLASSES 512u
#define ZS_MAX_OBJS    1024u /* a location names a slot in ten bits */

struct class_rules class_rules_default(unsigned chain);

/* The layout of a zspage of `pages` pages of class size `size`: objects, and *first_object. */
unsigned class_objects(const struct class_rules *rules, unsigned size, unsigned pages, unsigned *first_object);
/* The zspage length that wastes least, and what follows from it. */
struct class_geometry class_geometry(const struct class_rules *rules, unsigned size);

/*
 * All classes in ascending size, merged where pages and objects per zspage are equal (the largest
 * size of a merged group stands). `classes` has room for `room` entries. `map` (may be NULL) has
 * one entry for each multiple of step from 0 to max_size, and gets the class that serves objects up
 * to that size. Returns their number; the last one is huge. -ERANGE if there is not enough room.
 */
int class_table(const struct class_rules *rules, struct class_geometry *classes, unsigned room, uint16_t *map);

/* The largest object that is not stored in a page of its own. */
unsigned class_huge_watermark(const struct class_rules *rules);

#endif
