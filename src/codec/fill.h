/* SPDX-License-Identifier: BSD-3-Clause */
/* Same-filled blocks: a block that is one repeated 64-bit word. */
#ifndef FILL_H
#define FILL_H

#include "codec/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is the block (CODEC_BLOCK bytes, any alignment) one repeated word? If so *word is it. Gives up at the
 * first difference, so ordinary data costs a few loads. */
bool fill_detect(const void *block, uint64_t *word);
/* Write `len` bytes of the block made of `word`, from byte `offset` of the block on. */
void fill_expand(void *dst, size_t len, size_t offset, uint64_t word);

#endif
