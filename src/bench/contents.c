/* SPDX-License-Identifier: BSD-3-Clause */
/* Real pages for a model. See contents.h. */
#include "bench/contents.h"

#include "codec/fill.h"
#include "codec/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES (1u << 20)

struct contents {
	struct tiers_contents as_tiers;
	const struct pages *pages;
	const struct choice *single, *group;
	void *single_cctx, *group_cctx, *group_dctx;
	uint32_t *single_bytes; /* of each page, plus 1; 0: not known yet */
	uint64_t encode_ns, decode_ns;
	uint32_t *samples; /* nanoseconds */
	uint64_t sampled;
	uint8_t blocks[GROUP_BYTES], object[GROUP_BYTES];
};

/* A group's bytes. One that does not get smaller is kept as it is. */
struct object {
	uint32_t bytes, n;
	uint8_t data[];
};

static uint64_t thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static const uint8_t *page_of(const struct contents *contents, uint64_t page)
{
	return contents->pages->data + page % contents->pages->count * BLOCK;
}

/* ------------------------------------------------------------------ what the model asks for */

static int single(void *opaque, uint64_t page, uint32_t *bytes)
{
	struct contents *contents = opaque;
	const struct choice *choice = contents->single;
	uint32_t *known = &contents->single_bytes[page % contents->pages->count];
	uint64_t word;

	if (!*known && fill_detect(page_of(contents, page), &word))
		*known = 1;
	if (!*known) {
		size_t len = choice->codec->compress(contents->single_cctx, choice->level, page_of(contents, page),
						     BLOCK, contents->object, BLOCK - 1);

		*known = (uint32_t)(len ? len : BLOCK) + 1;
	}
	*bytes = *known - 1;
	return 0;
}

static int encode(void *opaque, const uint64_t *pages, unsigned n, uint32_t *bytes, void **result)
{
	struct contents *contents = opaque;
	const struct choice *choice = contents->group;
	struct object *object;
	uint64_t began;
	size_t len;

	for (unsigned i = 0; i < n; i++)
		memcpy(contents->blocks + i * BLOCK, page_of(contents, pages[i]), BLOCK);
	began = thread_ns();
	len = group_compress(choice->codec, contents->group_cctx, choice->level, contents->blocks, n, contents->object,
			     n * BLOCK - 1);
	contents->encode_ns += thread_ns() - began;
	object = malloc(sizeof *object + (len ? len : n * BLOCK));
	if (!object)
		return -ENOMEM;
	object->bytes = (uint32_t)len;
	object->n = n;
	memcpy(object->data, len ? contents->object : contents->blocks, len ? len : n * BLOCK);
	*bytes = (uint32_t)(len ? len : n * BLOCK);
	*result = object;
	return 0;
}

static int decode(void *opaque, void *data, unsigned upto, bool for_read)
{
	struct contents *contents = opaque;
	const struct object *object = data;
	uint64_t began = thread_ns(), ns;
	int r = 0;

	if (object->bytes)
		r = group_decompress(contents->group->codec, contents->group_dctx, object->data, object->bytes,
				     contents->blocks, object->n, upto);
	else
		memcpy(contents->blocks, object->data, (upto + 1) * BLOCK);
	ns = thread_ns() - began;
	contents->decode_ns += ns;
	if (for_read)
		contents->samples[contents->sampled++ % SAMPLES] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
	return r < 0 ? r : 0;
}

static void drop(void *opaque, void *object)
{
	(void)opaque;
	free(object);
}

/* ------------------------------------------------------------------ life */

static void *context(size_t size)
{
	size_t bytes = (size + 63) / 64 * 64;
	void *mem = aligned_alloc(64, bytes ? bytes : 64);

	if (mem)
		memset(mem, 0, bytes);
	return mem;
}

static int make_contexts(struct contents *contents)
{
	const struct codec *one = contents->single->codec, *group = contents->group->codec;
	int one_level = contents->single->level, level = contents->group->level;

	contents->single_cctx = context(one->cctx_size(one_level));
	contents->group_cctx = context(group_cctx_size(group, level));
	contents->group_dctx = context(group_dctx_size(group));
	contents->single_bytes = calloc(contents->pages->count, sizeof(uint32_t));
	contents->samples = calloc(SAMPLES, sizeof(uint32_t));
	if (!contents->single_cctx || !contents->group_cctx || !contents->group_dctx || !contents->single_bytes ||
	    !contents->samples)
		return -ENOMEM;
	if (one->cctx_init(contents->single_cctx, one->cctx_size(one_level), one_level) ||
	    group_cctx_init(group, contents->group_cctx, group_cctx_size(group, level), level) ||
	    group_dctx_init(group, contents->group_dctx, group_dctx_size(group)))
		return -ENOMEM;
	return 0;
}

int contents_create(struct contents **result, const struct pages *pages, const struct choice *one,
		    const struct choice *group, struct zsblk_why *why)
{
	struct contents *contents = calloc(1, sizeof *contents);

	if (!contents)
		return because(why, -ENOMEM, "no memory");
	contents->pages = pages;
	contents->single = one;
	contents->group = group;
	contents->as_tiers = (struct tiers_contents){
		.opaque = contents, .single = single, .encode = encode, .decode = decode, .drop = drop};
	if (make_contexts(contents)) {
		contents_destroy(contents);
		return because(why, -ENOMEM, "there are no contexts for %s:%d", group->codec->name, group->level);
	}
	*result = contents;
	return 0;
}

void contents_destroy(struct contents *contents)
{
	if (!contents)
		return;
	free(contents->single_cctx);
	free(contents->group_cctx);
	free(contents->group_dctx);
	free(contents->single_bytes);
	free(contents->samples);
	free(contents);
}

const struct tiers_contents *contents_of(const struct contents *contents)
{
	return &contents->as_tiers;
}

void contents_tell(struct contents *contents, struct contents_figures *figures)
{
	uint64_t count = contents->sampled < SAMPLES ? contents->sampled : SAMPLES;

	figures->encode_seconds = (double)contents->encode_ns / 1e9;
	figures->decode_seconds = (double)contents->decode_ns / 1e9;
	figures->decode = (struct latency){0};
	if (count)
		figures->decode = latency_of(contents->samples, count);
}
