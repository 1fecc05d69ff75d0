/* SPDX-License-Identifier: BSD-3-Clause */
/* What the levels of zstd stand for, for inputs of a few blocks at most. */
#define ZSTD_STATIC_LINKING_ONLY
#include "codec/zstd_params.h"

#include <errno.h>

static ZSTD_compressionParameters params_of(int level, unsigned window_log)
{
	ZSTD_compressionParameters params = ZSTD_getCParams(level, 1ull << window_log, 0);

	params.windowLog = window_log;
	return params;
}

size_t zstd_params_cctx_size(int level, unsigned window_log)
{
	return ZSTD_estimateCCtxSize_usingCParams(params_of(level, window_log));
}

int zstd_params_set(ZSTD_CCtx *ctx, int level, unsigned window_log)
{
	ZSTD_compressionParameters params = params_of(level, window_log);
	const struct {
		ZSTD_cParameter key;
		int value;
	} settings[] = {
		{ZSTD_c_compressionLevel, level},
		{ZSTD_c_windowLog, (int)params.windowLog},
		{ZSTD_c_chainLog, (int)params.chainLog},
		{ZSTD_c_hashLog, (int)params.hashLog},
		{ZSTD_c_searchLog, (int)params.searchLog},
		{ZSTD_c_minMatch, (int)params.minMatch},
		{ZSTD_c_targetLength, (int)params.targetLength},
		{ZSTD_c_strategy, (int)params.strategy},
		{ZSTD_c_contentSizeFlag, 0},
		{ZSTD_c_checksumFlag, 0},
		{ZSTD_c_dictIDFlag, 0},
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (ZSTD_isError(ZSTD_CCtx_setParameter(ctx, settings[i].key, settings[i].value)))
			return -EINVAL;
	}
	return 0;
}
