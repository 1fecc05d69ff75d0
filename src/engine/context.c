/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codec contexts: made before they are needed, one held by each request while it runs.
 *
 * A thread prefers the context that it had last, whose state is in the caches of its core. If no other thread uses that
 * context, it costs one exchange on a cache line that the thread has already.
 */
#include "engine/engine.h"

#include "process/thread.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/*
 * The context that this thread had last, + 1; 0: none yet. With the default model, thread-local variables of a plugin
 * are allocated at their first use.
 */
static _Thread_local unsigned last_context __attribute__((tls_model("initial-exec")));

static size_t align64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

/* Of the codecs below `end`. */
static size_t decoder_bytes(unsigned end)
{
	size_t bytes = 0;

	for (unsigned id = 0; id < end; id++)
		if (codec_by_id(id))
			bytes += align64(codec_by_id(id)->dctx_size());
	return bytes;
}

static int make_decoders(struct context *ctx, unsigned end, uint8_t *mem)
{
	int r = 0;

	for (unsigned id = 0; id < end && !r; id++) {
		const struct codec *decoder = codec_by_id(id);

		if (!decoder)
			continue;
		r = decoder->dctx_init(mem, decoder->dctx_size());
		ctx->dctx[id] = mem;
		mem += align64(decoder->dctx_size());
	}
	return r;
}

size_t context_decoder_bytes(void)
{
	return decoder_bytes(CODEC_IDS);
}

int context_make_decoders(struct context *ctx, uint8_t *mem)
{
	return make_decoders(ctx, CODEC_IDS, mem);
}

/* Give a context that the calling thread holds its part of an encoder. */
static void use_encoder(struct contexts *contexts, struct context *ctx, const struct encoder *encoder)
{
	ctx->cctx = encoder_cctx(encoder, (unsigned)(ctx - contexts->all));
	/* With release order: whoever sees the new one may free the one before. */
	atomic_store_explicit(&ctx->encoder, encoder, memory_order_release);
}

static int init_encoder(struct contexts *contexts, const struct codec *codec, int level)
{
	struct encoder *encoder = &contexts->encoders[0];
	int r = encoder_map(encoder, contexts->n, codec, level);

	if (!r)
		r = encoder_init(encoder, contexts->n);
	atomic_store(&contexts->encoder, encoder);
	for (unsigned i = 0; i < contexts->n && !r; i++)
		use_encoder(contexts, &contexts->all[i], encoder);
	return r;
}

int contexts_init(struct contexts *contexts, unsigned n, const struct codec *codec, int level)
{
	/* Those of other codecs are made when they are needed: codecs.c. */
	size_t decoders = decoder_bytes(SUPER_CODECS_NAMED), each = sizeof(struct context) + decoders;
	uint8_t *mem;
	int r = 0;

	pthread_mutex_init(&contexts->lock, NULL);
	pthread_cond_init(&contexts->freed, NULL);
	if (n > SIZE_MAX / 2 / each)
		return -ENOMEM;
	contexts->bytes = n * each;
	contexts->all = segment_private_map(contexts->bytes);
	if (!contexts->all)
		return -ENOMEM;
	contexts->n = n;
	mem = (uint8_t *)(contexts->all + n);
	for (unsigned i = 0; i < n; i++)
		latency_init(&contexts->all[i].latencies, i);
	for (unsigned i = 0; i < n && !r; i++)
		r = make_decoders(&contexts->all[i], SUPER_CODECS_NAMED, mem + i * decoders);
	return r ? r : init_encoder(contexts, codec, level);
}

void contexts_destroy(struct contexts *contexts)
{
	if (!contexts->all)
		return;
	for (size_t i = 0; i < 2; i++)
		encoder_free(&contexts->encoders[i]);
	segment_private_unmap(contexts->all, contexts->bytes);
	contexts->all = NULL;
	pthread_cond_destroy(&contexts->freed);
	pthread_mutex_destroy(&contexts->lock);
}

void contexts_warm_up(struct contexts *contexts)
{
	for (unsigned i = 0; i < contexts->n; i++) {
		memset(contexts->all[i].latencies.of, 0, sizeof contexts->all[i].latencies.of);
		encoder_warm_up(atomic_load(&contexts->encoder), i, &contexts->all[i]);
	}
}

static bool try_take(struct context *ctx)
{
	return !atomic_load(&ctx->busy) && !atomic_exchange(&ctx->busy, true);
}

static inline struct recorder_ring *ring_of(const struct contexts *contexts, const struct context *ctx)
{
	struct recorder_ring *rings = atomic_load_explicit(&contexts->rings, memory_order_acquire);

	return __builtin_expect(rings != NULL, 0) ? &rings[ctx - contexts->all] : NULL;
}

/*
 * A context that was just taken goes on with the encoder, and the ring, that new requests have. All requests look here, and only a
 * change of the algorithm, and the beginning and end of a trace, store anything.
 */
static inline void follow(struct contexts *contexts, struct context *ctx)
{
	const struct encoder *encoder = atomic_load_explicit(&contexts->encoder, memory_order_acquire);
	struct recorder_ring *ring = ring_of(contexts, ctx);

	if (atomic_load_explicit(&ctx->encoder, memory_order_relaxed) != encoder)
		use_encoder(contexts, ctx, encoder);
	if (atomic_load_explicit(&ctx->ring, memory_order_relaxed) != ring)
		atomic_store_explicit(&ctx->ring, ring, memory_order_release);
}

/* With acquire order: what a context let go of may be freed. */
static bool has_followed(const struct contexts *contexts, const struct context *ctx)
{
	return atomic_load_explicit(&ctx->encoder, memory_order_acquire) == atomic_load(&contexts->encoder) &&
	       atomic_load_explicit(&ctx->ring, memory_order_acquire) == ring_of(contexts, ctx);
}

static struct context *try_get(struct contexts *contexts)
{
	/* Threads begin at different contexts. */
	unsigned first = (last_context ? last_context - 1 : thread_number()) % contexts->n;

	for (unsigned i = 0; i < contexts->n; i++) {
		unsigned at = (first + i) % contexts->n;
		struct context *ctx = &contexts->all[at];

		if (try_take(ctx)) {
			last_context = at + 1;
			ctx->waited = 0;
			follow(contexts, ctx);
			return ctx;
		}
	}
	return NULL;
}

struct context *context_get(struct contexts *contexts)
{
	struct context *ctx = try_get(contexts);
	uint64_t began;

	if (ctx)
		return ctx;
	began = latency_now();
	pthread_mutex_lock(&contexts->lock);
	/*
	 * No wake-up is lost: either this thread sees that `busy` was cleared, or the thread that clears it sees
	 * `waiting`. All four accesses are sequentially consistent.
	 */
	atomic_fetch_add(&contexts->waiting, 1);
	while (!(ctx = try_get(contexts)))
		pthread_cond_wait(&contexts->freed, &contexts->lock);
	atomic_fetch_sub(&contexts->waiting, 1);
	pthread_mutex_unlock(&contexts->lock);
	ctx->waited = latency_now() - began;
	return ctx;
}

void context_put(struct contexts *contexts, struct context *ctx)
{
	atomic_store(&ctx->busy, false);
	if (atomic_load(&contexts->waiting)) {
		pthread_mutex_lock(&contexts->lock);
		pthread_cond_signal(&contexts->freed);
		pthread_mutex_unlock(&contexts->lock);
	}
}

/*
 * A context changes its encoder and its ring between two requests: when the next request takes it, or, if no request comes, here.
 * So a context that is never at rest when this thread looks changes all the same, and this thread waits for the longest
 * request at most.
 */
static void wait_for_all(struct contexts *contexts)
{
	const struct timespec moment = {.tv_nsec = 1000 * 1000};

	for (unsigned i = 0; i < contexts->n; i++) {
		struct context *ctx = &contexts->all[i];

		while (!has_followed(contexts, ctx)) {
			if (!try_take(ctx)) {
				nanosleep(&moment, NULL);
				continue;
			}
			follow(contexts, ctx);
			context_put(contexts, ctx);
		}
	}
}

void contexts_switch(struct contexts *contexts, const struct encoder *encoder)
{
	atomic_store(&contexts->encoder, encoder);
	wait_for_all(contexts);
}

void contexts_record(struct contexts *contexts, struct recorder_ring *rings)
{
	atomic_store(&contexts->rings, rings);
	wait_for_all(contexts);
}

static void add(struct counters *sum, const struct counters *counters)
{
	const _Atomic uint64_t *from = (const _Atomic uint64_t *)counters;
	_Atomic uint64_t *to = (_Atomic uint64_t *)sum;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		count(&to[i], atomic_load_explicit(&from[i], memory_order_relaxed));
}

void contexts_sum(struct zsblk *dev, struct counters *sum)
{
	memset(sum, 0, sizeof *sum);
	add(sum, &dev->found);
	add(sum, &dev->recompressed);
	add(sum, &dev->grouped);
	add(sum, &dev->spilled);
	for (unsigned i = 0; i < dev->contexts.n; i++)
		add(sum, &dev->contexts.all[i].count);
}
