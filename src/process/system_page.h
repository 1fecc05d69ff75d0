/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system page: the unit of mmap, madvise, mincore and mlock. 4096 bytes on most machines, 16 or 64 KiB on some
 * kernels for arm64, powerpc and loongarch. Blocks, zspages and the table have pages of 4096 bytes on all machines.
 * Only calls of the kernel use system pages.
 *
 * The functions may be called from any thread, allocate nothing and cannot fail.
 */
#ifndef SYSTEM_PAGE_H
#define SYSTEM_PAGE_H

#include <stdint.h>

/* Bytes of a system page: a power of two. */
uint64_t system_page(void);
/* The multiple of the system page at or below `bytes`, and the one at or above. */
uint64_t system_page_floor(uint64_t bytes);
uint64_t system_page_ceil(uint64_t bytes);

#endif
