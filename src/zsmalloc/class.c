/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Size classes. See class.h.
 *
 * pages_per_zspage is the length with the highest usage, and the shortest of equal ones. The kernel compared usage in
 * whole per cent up to Linux 6.2, from which its published figures follow; since then it takes the length with the
 * fewest bytes wasted. The comparison here is finer than per cent, since a longer zspage costs little: its pages are
 * touched one after the other.
 */
#include "zsmalloc/class.h"

#include "zsmalloc.h"

#include <errno.h>

struct class_rules class_rules_default(unsigned chain)
{
	return (struct class_rules){
		.page_size = ZS_PAGE_SIZE,
		.step = ZS_CLASS_STEP,
		.min_size = ZS_CLASS_MIN,
		.max_size = ZS_MAX_OBJECT,
		.chain = chain,
		.max_objects = ZS_MAX_OBJS,
		.header = 32,
		.backref = 4,
		.bitmap = true,
		.usage_scale = 1u << 14,
	};
}

/* Bytes before the first object of a zspage that holds n, aligned for the objects. */
static unsigned header_bytes(const struct class_rules *rules, unsigned n)
{
	unsigned bytes = rules->header + rules->backref * n;

	if (rules->bitmap)
		bytes += (n + 63) / 64 * 8;
	return (bytes + 7) & ~7u;
}

unsigned class_objects(const struct class_rules *rules, unsigned size, unsigned pages, unsigned *first_object)
{
	unsigned bytes = pages * rules->page_size;
	unsigned n = bytes / size;

	if (n > rules->max_objects)
		n = rules->max_objects;
	while (n && header_bytes(rules, n) + n * size > bytes)
		n--;
	*first_object = header_bytes(rules, n);
	return n;
}

struct class_geometry class_geometry(const struct class_rules *rules, unsigned size)
{
	struct class_geometry best = {.size = size, .pages = 1};
	unsigned best_usage = 0;

	for (unsigned pages = 1; pages <= rules->chain; pages++) {
		unsigned first, n = class_objects(rules, size, pages, &first);
		unsigned usage =
			(unsigned)((uint64_t)n * size * rules->usage_scale / ((uint64_t)pages * rules->page_size));

		if (usage <= best_usage)
			continue;
		best_usage = usage;
		best.pages = pages;
		best.objects = n;
		best.first_object = first;
	}
	/*
	 * If a zspage holds no more objects than it has pages, a page for each object is as good, and without a header
	 * it has room for any size. So the class is huge; also if, beside a header, no object fits at all.
	 */
	if (best.objects <= best.pages)
		best = (struct class_geometry){.size = size, .pages = 1, .objects = 1, .huge = true};
	return best;
}

unsigned class_huge_watermark(const struct class_rules *rules)
{
	unsigned size = rules->max_size;

	while (size > rules->min_size && class_geometry(rules, size).huge)
		size -= rules->step;
	return size;
}

int class_table(const struct class_rules *rules, struct class_geometry *classes, unsigned room, uint16_t *map)
{
	unsigned n = 0, mapped = 0;

	for (unsigned size = rules->min_size; size <= rules->max_size; size += rules->step) {
		struct class_geometry next = class_geometry(rules, size);

		if (n && next.pages == classes[n - 1].pages && next.objects == classes[n - 1].objects) {
			classes[n - 1] = next;
		} else {
			if (n == room)
				return -ERANGE;
			classes[n++] = next;
		}
		if (map)
			while (mapped <= size / rules->step)
				map[mapped++] = (uint16_t)(n - 1);
	}
	return (int)n;
}
