/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory that the process itself works with: code that has to be there when memory is locked on fault, and the heap. For the start of
 * a process, before its other threads.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Read one byte of every page that the loaded objects have, so that memory locked on fault holds them.
 * `wanted` chooses by file name (empty for the program itself); NULL: all.
 */
void memory_touch_objects(bool (*wanted)(const char *name));

/*
 * Have malloc() give allocations of `bytes` and more mappings of their own, which go back to the system when they are freed. Left to
 * itself, malloc() takes the next ones of that size from the heap once one was freed (up to 32 MiB), and keeps them there.
 */
void memory_map_large(size_t bytes);

/*
 * Have malloc() keep one heap, of which `bytes` are in memory, and give nothing of it back: what asks for no more
 * than that never waits for the system to find memory. What has no room in the heap as it is, and is as large as `own_mapping` or
 * larger, has a mapping of its own, which goes back when it is freed; 0: the heap grows instead.
 */
void memory_keep_heap(size_t bytes, size_t own_mapping);

#endif
