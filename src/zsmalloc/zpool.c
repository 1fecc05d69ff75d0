/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The zpool view: one table of operations, two allocators behind it.
 *
 * "malloc" is what zsmalloc is compared with in tests, and what lets sanitizers see a
 * caller's mistakes: each object is a block of the C library's, so that a write beyond its end is one.
 */
#include "zsmalloc.h"

#include "zsmalloc/zspage.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ zsmalloc */

static void *zs_driver_create(const char *name)
{
	struct zs_pool *pool;
	int r = zs_create_pool(name, NULL, &pool);

	if (r)
		errno = -r;
	return pool;
}

static void zs_driver_destroy(void *pool)
{
	zs_destroy_pool(pool, NULL, NULL);
}

static int zs_driver_malloc(void *pool, size_t size, uint64_t *handle)
{
	*handle = zs_malloc(pool, size);
	return *handle ? 0 : -errno;
}

static void zs_driver_free(void *pool, uint64_t handle)
{
	zs_free(pool, handle);
}

static int zs_driver_shrink(void *pool, unsigned pages, unsigned *reclaimed)
{
	unsigned cursor = 0;
	uint64_t freed = 0;
	bool more = true;

	while (more && freed < pages)
		freed += zs_compact_step(pool, &cursor, &more);
	*reclaimed = (unsigned)freed;
	return 0;
}

static void *zs_driver_map(void *pool, uint64_t handle, enum zs_mapmode mode)
{
	return zs_map_object(pool, handle, mode);
}

static void zs_driver_unmap(void *pool, uint64_t handle)
{
	zs_unmap_object(pool, handle);
}

static uint64_t zs_driver_total_size(void *pool)
{
	return zs_get_total_bytes(pool);
}

static const struct zpool_driver zsmalloc_driver = {
	.type = "zsmalloc",
	.create = zs_driver_create,
	.destroy = zs_driver_destroy,
	.malloc = zs_driver_malloc,
	.free = zs_driver_free,
	.shrink = zs_driver_shrink,
	.map = zs_driver_map,
	.unmap = zs_driver_unmap,
	.total_size = zs_driver_total_size,
};

/* ------------------------------------------------------------------ malloc */

struct plain_link {
	struct plain_link *next, *prev;
};

struct plain_object {
	struct plain_link link;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct plain_pool {
	pthread_mutex_t lock; /* guards all below and the links */
	struct plain_link head;
	uint64_t total;
};

static struct plain_object *plain_of(uint64_t handle)
{
	return (struct plain_object *)(uintptr_t)handle;
}

static void *plain_create(const char *name)
{
	struct plain_pool *pool = calloc(1, sizeof *pool);

	(void)name;
	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->lock, NULL);
	pool->head.next = pool->head.prev = &pool->head;
	return pool;
}

static void plain_destroy(void *opaque)
{
	struct plain_pool *pool = opaque;
	struct plain_link *link, *next;

	if (!pool)
		return;
	for (link = pool->head.next; link != &pool->head; link = next) {
		next = link->next;
		free(link); /* it is the first in its object */
	}
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static int plain_malloc(void *opaque, size_t size, uint64_t *handle)
{
	struct plain_pool *pool = opaque;
	struct plain_object *object;

	*handle = 0;
	if (size == 0 || size > ZS_MAX_OBJECT)
		return size ? -EMSGSIZE : -EINVAL;
	object = malloc(sizeof *object + size);
	if (!object)
		return -ENOMEM;
	pthread_mutex_lock(&pool->lock);
	object->link.prev = &pool->head;
	object->link.next = pool->head.next;
	pool->head.next->prev = &object->link;
	pool->head.next = &object->link;
	pool->total += malloc_usable_size(object);
	pthread_mutex_unlock(&pool->lock);
	*handle = (uintptr_t)object;
	return 0;
}

static void plain_free(void *opaque, uint64_t handle)
{
	struct plain_pool *pool = opaque;
	struct plain_object *object = plain_of(handle);

	if (!object)
		return;
	pthread_mutex_lock(&pool->lock);
	object->link.next->prev = object->link.prev;
	object->link.prev->next = object->link.next;
	pool->total -= malloc_usable_size(object);
	pthread_mutex_unlock(&pool->lock);
	free(object);
}

/* Its objects cannot be moved. */
static int plain_shrink(void *opaque, unsigned pages, unsigned *reclaimed)
{
	(void)opaque;
	(void)pages;
	*reclaimed = 0;
	return -EOPNOTSUPP;
}

static void *plain_map(void *opaque, uint64_t handle, enum zs_mapmode mode)
{
	(void)opaque;
	(void)mode;
	return plain_of(handle)->bytes;
}

static void plain_unmap(void *opaque, uint64_t handle)
{
	(void)opaque;
	(void)handle;
}

static uint64_t plain_total_size(void *opaque)
{
	struct plain_pool *pool = opaque;
	uint64_t total;

	pthread_mutex_lock(&pool->lock);
	total = pool->total;
	pthread_mutex_unlock(&pool->lock);
	return total;
}

static const struct zpool_driver malloc_driver = {
	.type = "malloc",
	.create = plain_create,
	.destroy = plain_destroy,
	.malloc = plain_malloc,
	.free = plain_free,
	.shrink = plain_shrink,
	.map = plain_map,
	.unmap = plain_unmap,
	.total_size = plain_total_size,
};

const struct zpool_driver *zpool_driver(const char *type)
{
	static const struct zpool_driver *const drivers[] = {&zsmalloc_driver, &malloc_driver};

	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
		if (strcmp(drivers[i]->type, type) == 0)
			return drivers[i];
	return NULL;
}
