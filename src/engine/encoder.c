/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Encoders: what compresses the blocks that are written, and how that is changed while requests run.
 *
 *   contexts          0      1      2     ...          each has decoders of all codecs, and buffers
 *                     |      |      |
 *   encoder        +------+------+------+              compression contexts of one algorithm at one level
 *                  | cctx | cctx | cctx | ...
 *                  +------+------+------+
 *
 * A change makes an encoder beside the present one, in memory that is populated and touched. Then new requests begin
 * with the new encoder, and a request that runs ends with the one that it began with (contexts_switch()). When no
 * context has the old one any more, its memory goes back.
 *
 * A block keeps its codec until it is written again: its table word names the codec, and every context can decode all
 * of them. From which size on a block is stored raw depends on the classes of the pool, and on no codec.
 */
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int encoder_map(struct encoder *encoder, unsigned n, const struct codec *codec, int level)
{
	size_t each = (codec->cctx_size(level) + 63) & ~(size_t)63;

	*encoder = (struct encoder){.codec = codec, .level = level, .each = each};
	if (each && n > SIZE_MAX / 2 / each)
		return -ENOMEM;
	encoder->bytes = n * each;
	encoder->mem = segment_private_map(encoder->bytes);
	return encoder->mem ? 0 : -ENOMEM;
}

int encoder_init(const struct encoder *encoder, unsigned n)
{
	const struct codec *codec = encoder->codec;
	int r = 0;

	for (unsigned i = 0; i < n && !r; i++)
		r = codec->cctx_init(encoder_cctx(encoder, i), codec->cctx_size(encoder->level), encoder->level);
	return r;
}

void encoder_free(struct encoder *encoder)
{
	segment_private_unmap(encoder->mem, encoder->bytes);
	*encoder = (struct encoder){0};
}

void encoder_warm_up(const struct encoder *encoder, unsigned i, struct context *ctx)
{
	const struct codec *codec = encoder->codec;
	size_t len;

	for (unsigned at = 0; at < BLOCK; at++)
		ctx->block[at] = (uint8_t)(at * at >> 5);
	memset(ctx->object, 0, sizeof ctx->object);
	len = codec->compress(encoder_cctx(encoder, i), encoder->level, ctx->block, BLOCK, ctx->object, BLOCK);
	/* A decoder that is made later (codecs.c) is touched then. */
	if (len && ctx->dctx[codec->id])
		codec->decompress(ctx->dctx[codec->id], ctx->object, len, ctx->block, BLOCK);
}

/* ------------------------------------------------------------------ another algorithm */

int encoder_explain(int error, const char *algorithm, int level, struct zsblk_why *why)
{
	if (error == -EINVAL)
		return why_fail(why, error,
				"algorithm=%s level=%d cannot be set up with the version of its library that is "
				"installed; use another level or algorithm",
				algorithm, level);
	if (error == -EINTR)
		return why_fail(why, error, "told to stop while memory for algorithm=%s was filled", algorithm);
	return why_fail(why, error,
			"the system has no memory to spare for the contexts of algorithm=%s level=%d: %s; free some "
			"memory, and try again",
			algorithm, level, strerror(-error));
}

/* Make an encoder ready for requests. None of them waits for anything of it later. */
static int prepare(struct zsblk *dev, struct encoder *encoder, const struct codec *codec, int level)
{
	struct contexts *contexts = &dev->contexts;
	int r = encoder_map(encoder, contexts->n, codec, level);

	if (!r)
		r = upkeep_populate_private(dev, encoder->mem, encoder->bytes);
	if (!r)
		r = encoder_init(encoder, contexts->n);
	for (unsigned i = 0; i < contexts->n && !r; i++) {
		struct context *ctx = context_get(contexts);

		encoder_warm_up(encoder, i, ctx);
		context_put(contexts, ctx);
	}
	return r;
}

static int change(struct zsblk *dev, const struct codec *codec, int level)
{
	struct contexts *contexts = &dev->contexts;
	struct encoder *encoders = contexts->encoders, *old = &encoders[0], *new = &encoders[1];
	struct live_values values = {.level = level};
	int r;

	if (atomic_load(&contexts->encoder) == new) {
		new = &encoders[0];
		old = &encoders[1];
	}
	snprintf(values.algorithm, sizeof values.algorithm, "%s", codec->name);
	if (old->codec == codec && old->level == level) {
		live_note(dev, LIVE_ALGORITHM, &values);
		return 0;
	}
	r = prepare(dev, new, codec, level);
	if (!r)
		r = codecs_begin(dev, codec);
	if (r) {
		encoder_free(new);
		return r;
	}
	atomic_store(&dev->codec, codec);
	atomic_store(&dev->level, level);
	contexts_switch(contexts, new);
	live_note(dev, LIVE_ALGORITHM, &values);
	encoder_free(old);
	return 0;
}

int zsblk_set_algorithm(struct zsblk *dev, const char *algorithm, bool has_level, int level, struct zsblk_why *why)
{
	const struct codec *codec;
	int r;

	pthread_mutex_lock(&dev->change_lock);
	algorithm = algorithm ? algorithm : zsblk_algorithm_name(dev);
	r = params_check_algorithm(algorithm, has_level, level, why);
	if (!r) {
		codec = codec_by_name(algorithm);
		level = has_level ? level : codec->level_default;
		r = change(dev, codec, level);
		if (r)
			encoder_explain(r, algorithm, level, why);
	}
	pthread_mutex_unlock(&dev->change_lock);
	return r;
}

const char *zsblk_algorithm_name(const struct zsblk *dev)
{
	return atomic_load(&dev->codec)->name;
}

int zsblk_level(const struct zsblk *dev)
{
	return atomic_load(&dev->level);
}
