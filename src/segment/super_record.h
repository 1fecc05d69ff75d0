/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records: what is chosen while a segment is in use, and takes more than a word. A record has two copies of the same
 * size, one after the other:
 *
 *   | checksum 8 | generation 8 | contents, then 0 |      the checksum is the XXH64 of all behind it
 *
 * The copy with a right checksum and the higher generation counts. A new generation is written over the other copy, its
 * checksum last. So a process that is killed leaves the old generation or the new one.
 */
#ifndef SUPER_RECORD_H
#define SUPER_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#define SUPER_RECORD_HEAD 16u

/*
 * Read `bytes` of the contents that count, of the record at `place` with copies of `copy` bytes. False: there are none,
 * and *contents is anything. Any process may read, also while another one writes; then it has one generation or the
 * other.
 */
bool super_record_read(const void *place, size_t copy, void *contents, size_t bytes);
/* Write another generation. For the holder of the claim, one thread at a time. bytes <= copy - SUPER_RECORD_HEAD. */
void super_record_write(void *place, size_t copy, const void *contents, size_t bytes);

#endif
