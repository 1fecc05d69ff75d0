/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of codecs: which there are, by identity, by name and in the order users see them. */
#include "codec/codec.h"

#include <string.h>

#if CODEC_HAS_LZMA
#define LZMA (&codec_lzma)
#else
#define LZMA NULL
#endif

/* The first is the default. What this build does not have is NULL, at the end. */
static const struct codec *const codecs[] = {&codec_lz4, &codec_lz4hc, &codec_zstd, LZMA};

#define CODECS (sizeof(codecs) / sizeof(codecs[0]))

const struct codec *codec_at(unsigned index)
{
	return index < CODECS ? codecs[index] : NULL;
}

/* An array of its own, since every read looks up a codec by identity. */
static const struct codec *const by_id[CODEC_IDS] = {
	[CODEC_LZ4] = &codec_lz4,
	[CODEC_LZ4HC] = &codec_lz4hc,
	[CODEC_ZSTD] = &codec_zstd,
	[CODEC_LZMA] = LZMA,
};

const struct codec *codec_by_id(unsigned id)
{
	return id < CODEC_IDS ? by_id[id] : NULL;
}

const struct codec *codec_by_name(const char *name)
{
	const struct codec *codec;

	for (unsigned i = 0; (codec = codec_at(i)) && strcmp(codec->name, name) != 0; i++)
		;
	return codec;
}
