/* SPDX-License-Identifier: BSD-3-Clause */
/* The process's own memory. See memory.h. */
#include "process/memory.h"

#include "process/system_page.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

/* Reads the gaps between variables as well, which are poisoned under the address sanitizer. */
__attribute__((no_sanitize("address"))) static int touch_object(struct dl_phdr_info *info, size_t size, void *opaque)
{
	bool (*const *wanted)(const char *name) = opaque;
	uintptr_t page = (uintptr_t)system_page();
	volatile char byte = 0; /* valgrind leaves a read out whose value is not kept, and the page is not fetched */

	(void)size;
	if (*wanted && !(*wanted)(info->dlpi_name))
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_R))
			continue;
		for (uintptr_t at = start; at < start + segment->p_filesz; at += page)
			byte = *(const volatile char *)at;
	}
	(void)byte;
	return 0;
}

void memory_touch_objects(bool (*wanted)(const char *name))
{
	dl_iterate_phdr(touch_object, &wanted);
}

void memory_map_large(size_t bytes)
{
	mallopt(M_MMAP_THRESHOLD, (int)bytes);
}

#define MAPPINGS_MAX 65536 /* the C library's own default */

void memory_keep_heap(size_t bytes, size_t own_mapping)
{
	volatile char *heap;

	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TOP_PAD, (int)bytes);
	mallopt(M_TRIM_THRESHOLD, (int)(16 * bytes));
	heap = malloc(bytes);
	if (!heap)
		return;
	for (size_t at = 0; at < bytes; at += (size_t)system_page())
		heap[at] = 0;
	free((void *)heap);
	if (own_mapping) {
		mallopt(M_MMAP_MAX, MAPPINGS_MAX);
		mallopt(M_MMAP_THRESHOLD, (int)own_mapping);
	}
}
