/* SPDX-License-Identifier: BSD-3-Clause */
/* Zspages: their headers, slots and lists. See zspage.h. */
#include "zsmalloc/zspage.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

unsigned zspage_slots_in(const struct zs_class *class, unsigned pages)
{
	unsigned bytes = pages * ZS_PAGE_SIZE;

	if (bytes <= class->geo.first_object)
		return 0;
	return (bytes - class->geo.first_object) / class->geo.size;
}

unsigned zspage_pages_for(const struct zs_class *class, unsigned slot)
{
	unsigned end = class->geo.first_object + (slot + 1) * class->geo.size;

	return (end + ZS_PAGE_SIZE - 1) / ZS_PAGE_SIZE;
}

unsigned zspage_header_pages(const struct zs_class *class)
{
	return (class->geo.first_object + ZS_PAGE_SIZE - 1) / ZS_PAGE_SIZE;
}

unsigned zspage_least_pages(const struct zs_class *class)
{
	return zspage_pages_for(class, 0);
}

enum zs_fullness zspage_fullness(const struct zspage *z)
{
	if (z->inuse == 0)
		return ZS_INUSE_RATIO_0;
	if (z->inuse == z->capacity)
		return ZS_INUSE_RATIO_100;
	return ZS_INUSE_RATIO_10 + z->inuse * 10u / z->capacity;
}

struct zspage *zspage_format(struct zs_core *core, struct zs_class *class, unsigned class_index, const struct run *run)
{
	struct zspage *z = zspage_at(core, run->page);
	unsigned capacity = zspage_slots_in(class, run->pages);

	*z = (struct zspage){
		.prev = RUNS_NONE,
		.next = RUNS_NONE,
		.hot = run->hot,
		.class_index = (uint16_t)class_index,
		.capacity = (uint16_t)(capacity < class->geo.objects ? capacity : class->geo.objects),
		.pages = (uint8_t)run->pages,
		.list = ZSL_ISOLATED,
	};
	memset(z->live, 0, (class->geo.objects + 63) / 64 * sizeof z->live[0]);
	return z;
}

/* ------------------------------------------------------------------ lists */

static unsigned list_for(const struct zspage *z)
{
	if (z->inuse == z->capacity)
		return ZS_INUSE_RATIO_100;
	if (z->inuse >= z->ready)
		return ZSL_GROWING;
	return zspage_fullness(z);
}

void zspage_enlist(struct zs_core *core, struct zs_class *class, uint32_t page)
{
	struct zspage *z = zspage_at(core, page);
	unsigned list = list_for(z);
	uint32_t next = class->head[list];

	z->list = (uint8_t)list;
	z->prev = RUNS_NONE;
	z->next = RUNS_NONE;
	if (list == ZS_INUSE_RATIO_100)
		return;
	z->next = next;
	if (next != RUNS_NONE)
		zspage_at(core, next)->prev = page;
	class->head[list] = page;
	class->nonempty |= 1u << list;
}

void zspage_delist(struct zs_core *core, struct zs_class *class, uint32_t page)
{
	struct zspage *z = zspage_at(core, page);
	unsigned list = z->list;

	z->list = ZSL_ISOLATED;
	if (list == ZS_INUSE_RATIO_100)
		return;
	if (z->prev == RUNS_NONE)
		class->head[list] = z->next;
	else
		zspage_at(core, z->prev)->next = z->next;
	if (z->next != RUNS_NONE)
		zspage_at(core, z->next)->prev = z->prev;
	if (class->head[list] == RUNS_NONE)
		class->nonempty &= ~(1u << list);
}

void zspage_relist(struct zs_core *core, struct zs_class *class, uint32_t page)
{
	struct zspage *z = zspage_at(core, page);
	enum zs_fullness group = zspage_fullness(z);

	if (group != z->group) {
		figure_sub(&class->zspages[z->group], 1);
		figure_add(&class->zspages[group], 1);
		z->group = (uint8_t)group;
	}
	if (z->list >= ZSL_LISTS || z->list == list_for(z))
		return;
	zspage_delist(core, class, page);
	zspage_enlist(core, class, page);
}

/* ------------------------------------------------------------------ slots */

unsigned zspage_take_slot(struct zs_class *class, struct zspage *z, uint32_t owner)
{
	unsigned word = z->hint / 64, slot;

	while (z->live[word] == ~UINT64_C(0))
		word++;
	slot = word * 64 + (unsigned)__builtin_ctzll(~z->live[word]);
	assert(slot < z->ready);
	z->live[word] |= UINT64_C(1) << (slot % 64);
	z->hint = (uint16_t)(slot + 1);
	z->inuse++;
	figure_add(&class->inuse, 1);
	zspage_owners(class, z)[slot] = owner;
	return slot;
}

void zspage_put_slot(struct zs_class *class, struct zspage *z, unsigned slot)
{
	z->live[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	if (slot < z->hint)
		z->hint = (uint16_t)slot;
	z->inuse--;
	figure_sub(&class->inuse, 1);
}

int zspage_grow(struct zs_core *core, struct zs_class *class, struct zspage *z, unsigned slot, unsigned beyond)
{
	unsigned pages = zspage_pages_for(class, slot), ready;
	unsigned more = pages - z->touched;
	uint64_t newly = bits_below(pages) & ~bits_below(z->touched);
	int r = runs_charge_beyond(&core->runs, more, beyond);

	if (r)
		return r;
	atomic_fetch_sub_explicit(&core->runs.tails, (uint64_t)__builtin_popcountll(z->hot & newly),
				  memory_order_relaxed);
	z->hot &= ~newly;
	z->touched = (uint8_t)pages;
	ready = zspage_slots_in(class, pages);
	z->ready = ready < z->capacity ? (uint16_t)ready : z->capacity;
	figure_add(&class->touched, more);
	return 0;
}

struct run zspage_unlink(struct zs_core *core, struct zs_class *class, uint32_t page, unsigned *touched)
{
	struct zspage *z = zspage_at(core, page);
	uint64_t hot_tail = z->hot;

	figure_sub(&class->zspages[z->group], 1);
	figure_sub(&class->capacity, z->capacity);
	figure_sub(&class->touched, z->touched);
	atomic_fetch_sub_explicit(&core->runs.tails, (uint64_t)__builtin_popcountll(hot_tail), memory_order_relaxed);
	*touched = z->touched;
	return (struct run){.page = page, .pages = z->pages, .hot = hot_tail | bits_below(z->touched)};
}

void zspage_release(struct zs_core *core, struct run *run, unsigned touched)
{
	runs_uncharge(&core->runs, touched);
	runs_give(&core->runs, run);
}

uint64_t zspage_count(const struct zs_class *class)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < ZS_FULLNESS_GROUPS; i++)
		n += figure_get(&class->zspages[i]);
	return n;
}
