/* SPDX-License-Identifier: BSD-3-Clause */
/* Same-filled blocks: a block that is one repeated 64-bit word. */
#ifndef FILL_H
#define FILL_H

#include "codec/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * True if the block (CODEC_BLOCK bytes, any alignment) is one repeated 64-bit word, which is then in *word. For
 * ordinary data this costs a few loads.
 */
bool fill_detect(const void *block, uint64_t *word);
/* Write bytes `offset` to `offset` + `len` - 1 of a block that is `word`, repeated. */
void fill_expand(void *dst, size_t len, size_t offset, uint64_t word);

#endif
