/* SPDX-License-Identifier: BSD-3-Clause */
/* What single blocks and groups have in common with zstd: levels, and what a context is set to. Private to zstd. */
#ifndef ZSTD_PARAMS_H
#define ZSTD_PARAMS_H

#include <zstd.h>

/*
 * A negative level is an acceleration, as with lz4: the library looks for matches about every (1 - level) bytes. At
 * -100 it looks 40 times in a block; lower levels find next to nothing.
 */
#define ZSTD_PARAMS_LEVEL_MIN -100
#define ZSTD_PARAMS_LEVEL_MAX 22 /* ZSTD_maxCLevel() */

/* Bytes of the library's context for inputs of up to 2^window_log bytes. */
size_t zstd_params_cctx_size(int level, unsigned window_log);
/*
 * Set every parameter that the level stands for, so that no call has to work it out again, and leave out of frames
 * what is known elsewhere: content size, checksum, and identity of a dictionary. 0 or -EINVAL.
 */
int zstd_params_set(ZSTD_CCtx *ctx, int level, unsigned window_log);

#endif
