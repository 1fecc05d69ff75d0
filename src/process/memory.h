/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory that the process itself works with: its code, which must be in memory when memory is locked on fault, and
 * its heap. To be called at the start of a process, before it has other threads.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Read one byte of every page of the loaded objects (program and libraries), so that memory which is locked on fault
 * holds them. `wanted` chooses objects by their file names, "" for the program itself. NULL: all of them.
 */
void memory_touch_objects(bool (*wanted)(const char *name));

/*
 * Make malloc() give allocations of `bytes` and more mappings of their own, which go back to the system when they are
 * freed. By default malloc() raises that limit when one is freed, up to 32 MiB. It takes later allocations of that size
 * from the heap, and the heap keeps them.
 */
void memory_map_large(size_t bytes);

/*
 * Make malloc() keep one heap with `bytes` in memory, and give nothing of it back. Allocations that fit into that never
 * wait for the system to find memory. An allocation of `own_mapping` bytes or more for which the heap has no room gets
 * a mapping of its own, which goes back to the system when it is freed. `own_mapping` of 0: the heap grows instead.
 */
void memory_keep_heap(size_t bytes, size_t own_mapping);

#endif
