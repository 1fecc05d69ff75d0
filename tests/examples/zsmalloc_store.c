/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <zsmalloc.h>

#define OBJECTS 10000

static void
tell(void *opaque, const struct zs_leak *leak)
{
	printf("left: %llu objects of up to %u bytes, fullness group %u\n",
	    (unsigned long long)leak->objects, leak->object_size,
	    leak->fullness);
}

int
main(void)
{
	static zs_handle handle[OBJECTS];
	struct zs_pool *pool;
	char text[100];
	const char *mem;
	int r;

	r = zs_create_pool("example", NULL, &pool);
	if (r < 0) {
		fprintf(stderr, "zs_create_pool: %s\n", strerror(-r));
		return 1;
	}
	for (int i = 0; i < OBJECTS; i++) {
		memset(text, 0, sizeof text);
		snprintf(text, sizeof text, "object %d", i);
		handle[i] = zs_malloc(pool, sizeof text);
		if (!handle[i]) {
			perror("zs_malloc");
			return 1;
		}
		zs_obj_write(pool, handle[i], text, sizeof text);
	}
	/* Nine of ten go, and the rest moves together. */
	for (int i = 0; i < OBJECTS; i++)
		if (i % 10)
			zs_free(pool, handle[i]);
	printf("%llu pages before, ",
	    (unsigned long long)zs_get_total_pages(pool));
	zs_compact(pool);
	printf("%llu after compaction\n",
	    (unsigned long long)zs_get_total_pages(pool));

	/* Handles stay good while objects move. */
	mem = zs_map_object(pool, handle[4710], ZS_MM_RO);
	printf("%s\n", mem);
	zs_unmap_object(pool, handle[4710]);

	zs_destroy_pool(pool, tell, NULL);
	return 0;
}
