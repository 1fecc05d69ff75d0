/* SPDX-License-Identifier: BSD-3-Clause */
/* The allocator's statistics: pool-wide, and the table zram shows for each class. */
#include "zsmalloc/zspage.h"

#include <errno.h>

unsigned zs_core_class_count(const struct zs_core *core)
{
	return core->classes;
}

/* Pages that are needed for the objects alive if they lay close together. */
static uint64_t pages_at_best(const struct zs_class *class)
{
	uint64_t inuse = figure_get(&class->inuse), full = inuse / class->geo.objects;
	unsigned rest = (unsigned)(inuse % class->geo.objects);

	return full * class->geo.pages + (rest ? zspage_pages_for(class, rest - 1) : 0);
}

uint64_t zs_class_freeable(const struct zs_class *class)
{
	uint64_t best = pages_at_best(class), touched = figure_get(&class->touched);

	return touched > best ? touched - best : 0;
}

int zs_core_class_stats(struct zs_core *core, unsigned index, struct zs_class_stats *stats)
{
	const struct zs_class *class;

	if (index >= core->classes)
		return -ERANGE;
	class = &core->class[index];
	*stats = (struct zs_class_stats){
		.index = index,
		.size = class->geo.size,
		.pages_per_zspage = class->geo.pages,
		.objs_per_zspage = class->geo.objects,
		.huge = class->geo.huge,
	};
	if (class->geo.huge) {
		uint64_t n = zs_core_huge_objects(core);

		stats->zspages[ZS_INUSE_RATIO_100] = n;
		stats->obj_allocated = stats->obj_used = stats->pages_used = n;
		return 0;
	}
	for (unsigned i = 0; i < ZS_FULLNESS_GROUPS; i++)
		stats->zspages[i] = figure_get(&class->zspages[i]);
	stats->obj_allocated = figure_get(&class->capacity);
	stats->obj_used = figure_get(&class->inuse);
	stats->pages_used = figure_get(&class->touched);
	stats->freeable = zs_class_freeable(class);
	for (unsigned i = ZS_INUSE_RATIO_10; i < ZS_INUSE_RATIO_100; i++)
		*(i <= ZS_INUSE_RATIO_70 ? &stats->almost_empty : &stats->almost_full) += stats->zspages[i];
	return 0;
}

uint64_t zs_core_freeable(struct zs_core *core)
{
	uint64_t freeable = 0;

	for (unsigned i = 0; i + 1 < core->classes; i++)
		freeable += zs_class_freeable(&core->class[i]);
	return freeable;
}

void zs_core_stats(struct zs_core *core, struct zs_core_stats *stats)
{
	struct runs *runs = &core->runs;
	uint64_t huge = zs_core_huge_objects(core);

	*stats = (struct zs_core_stats){
		.pages_used = runs_used(runs),
		.pages_used_max = runs_used_max(runs),
		.pages_compacted = atomic_load_explicit(&core->pages_compacted, memory_order_relaxed),
		.pages_free = runs_hot_free(runs),
		.pages_kept = magazines_count(&runs->magazines),
		.pages_tails = atomic_load_explicit(&runs->tails, memory_order_relaxed),
		.pages_moving = runs_moving(runs),
		.reserve_misses = atomic_load_explicit(&runs->misses, memory_order_relaxed),
		.objects = huge,
		.slot_bytes = huge * ZS_PAGE_SIZE,
		.descriptor_bytes = runs_descriptor_bytes(runs),
	};
	stats->pages_reserved = stats->pages_free + stats->pages_kept + stats->pages_tails;
	for (unsigned i = 0; i + 1 < core->classes; i++) {
		const struct zs_class *class = &core->class[i];
		uint64_t inuse = figure_get(&class->inuse);

		stats->objects += inuse;
		stats->slot_bytes += inuse * class->geo.size;
		stats->header_bytes += zspage_count(class) * class->geo.first_object;
	}
}

/* Objects of one class in each fullness group. Under the lock, and that of compaction: otherwise it may have a zspage. */
static void count_groups(struct zs_core *core, const struct zs_class *class, uint64_t objects[ZS_FULLNESS_GROUPS])
{
	uint64_t listed = 0;

	for (unsigned list = 0; list < ZSL_LISTS; list++) {
		for (uint32_t page = class->head[list]; page != RUNS_NONE; page = zspage_at(core, page)->next) {
			objects[zspage_at(core, page)->group] += zspage_at(core, page)->inuse;
			listed += zspage_at(core, page)->inuse;
		}
	}
	/* The others are in zspages on no list, the full ones. */
	objects[ZS_INUSE_RATIO_100] += class->inuse - listed;
}

uint64_t zs_core_leaks(struct zs_core *core, zs_leak_fn *leak, void *opaque)
{
	uint64_t total = 0;

	pthread_mutex_lock(&core->compaction);
	for (unsigned i = 0; i < core->classes; i++) {
		struct zs_class *class = &core->class[i];
		uint64_t objects[ZS_FULLNESS_GROUPS] = {0};

		pthread_mutex_lock(&class->lock);
		count_groups(core, class, objects);
		if (class->geo.huge)
			objects[ZS_INUSE_RATIO_100] = zs_core_huge_objects(core);
		pthread_mutex_unlock(&class->lock);
		for (unsigned group = 0; group < ZS_FULLNESS_GROUPS; group++) {
			struct zs_leak row = {i, class->geo.size, group, objects[group]};

			total += objects[group];
			if (leak && objects[group])
				leak(opaque, &row);
		}
	}
	pthread_mutex_unlock(&core->compaction);
	return total;
}
