/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The codec alone: the speed that storing pages would have if keeping them were free.
 *
 * It does what the engine cannot do without, and nothing else. Store: is the page same-filled?
 * if not, compress it with the engine's limit into a buffer that stays in the cache; the result
 * is thrown away. Load: turn an object back into a page, in a buffer that stays in the cache;
 * objects lie one after another in the order of the pages, which no allocator can better.
 * Same-filled pages and pages that do not compress cost the loop what they cost the engine, so
 * they speed up or slow down both alike.
 */
#include "bench/bench.h"

#include "codec/fill.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum kind { KIND_SAME, KIND_RAW, KIND_COMPRESSED };

struct object {
	uint64_t at;
	uint16_t len;
	uint8_t kind;
};

struct worker {
	_Alignas(64) uint8_t buffer[BLOCK];
	void *cctx, *dctx;
};

struct codec_loop {
	const struct codec *codec;
	int level;
	const struct pages *pages;
	size_t cap;
	struct object *objects;
	uint8_t *bytes; /* the objects, packed; room for pages->count blocks */
	uint64_t zero_pages;
	unsigned threads;
	struct worker *workers;
};

static void *alloc64(size_t size)
{
	size_t bytes = (size + 63) / 64 * 64;
	void *mem = aligned_alloc(64, bytes ? bytes : 64);

	if (mem)
		memset(mem, 0, bytes);
	return mem;
}

static int init_workers(struct codec_loop *loop)
{
	const struct codec *codec = loop->codec;
	size_t csize = codec->cctx_size(loop->level), dsize = codec->dctx_size();

	loop->workers = alloc64(loop->threads * sizeof *loop->workers);
	for (unsigned i = 0; loop->workers && i < loop->threads; i++) {
		struct worker *worker = &loop->workers[i];

		worker->cctx = alloc64(csize);
		worker->dctx = alloc64(dsize);
		if (!worker->cctx || !worker->dctx || codec->cctx_init(worker->cctx, csize, loop->level) ||
		    codec->dctx_init(worker->dctx, dsize))
			return -ENOMEM;
	}
	return loop->workers ? 0 : -ENOMEM;
}

static void pack_pages(struct codec_loop *loop)
{
	struct worker *worker = &loop->workers[0];
	uint64_t at = 0, pattern;

	for (uint64_t i = 0; i < loop->pages->count; i++) {
		const uint8_t *page = loop->pages->data + i * BLOCK;
		struct object *object = &loop->objects[i];
		size_t len;

		if (i % 65536 == 0)
			progress("%s:%d: compressing page %" PRIu64 " of %" PRIu64, loop->codec->name, loop->level, i,
				 loop->pages->count);
		object->at = at;
		if (fill_detect(page, &pattern)) {
			object->kind = KIND_SAME;
			object->len = sizeof pattern;
			memcpy(loop->bytes + at, &pattern, sizeof pattern);
			loop->zero_pages += !pattern;
		} else {
			len = loop->codec->compress(worker->cctx, loop->level, page, BLOCK, loop->bytes + at,
						    loop->cap);
			object->kind = len ? KIND_COMPRESSED : KIND_RAW;
			object->len = (uint16_t)(len ? len : BLOCK);
			if (!len)
				memcpy(loop->bytes + at, page, BLOCK);
		}
		at += object->len;
	}
}

int codec_loop_create(struct codec_loop **result, const struct choice *choice, const struct pages *pages,
		      unsigned threads, size_t cap, struct zsblk_why *why)
{
	struct codec_loop *loop = calloc(1, sizeof *loop);

	if (!loop)
		return because(why, -ENOMEM, "no memory");
	*loop = (struct codec_loop){
		.codec = choice->codec,
		.level = choice->level,
		.pages = pages,
		.cap = cap,
		.threads = threads,
		.objects = malloc(pages->count * sizeof *loop->objects),
		.bytes = mmap(NULL, pages->count * BLOCK, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
	};
	if (loop->bytes == MAP_FAILED)
		loop->bytes = NULL;
	if (!loop->objects || !loop->bytes || init_workers(loop)) {
		codec_loop_destroy(loop);
		return because(why, -ENOMEM, "no memory for the codec loop over %" PRIu64 " pages", pages->count);
	}
	pack_pages(loop);
	*result = loop;
	return 0;
}

void codec_loop_destroy(struct codec_loop *loop)
{
	if (!loop)
		return;
	for (unsigned i = 0; loop->workers && i < loop->threads; i++) {
		free(loop->workers[i].cctx);
		free(loop->workers[i].dctx);
	}
	free(loop->workers);
	if (loop->bytes)
		munmap(loop->bytes, loop->pages->count * BLOCK);
	free(loop->objects);
	free(loop);
}

void codec_loop_store(struct codec_loop *loop, unsigned thread, uint64_t first, uint64_t end)
{
	struct worker *worker = &loop->workers[thread];
	uint64_t pattern;

	for (uint64_t i = first; i < end; i++) {
		const uint8_t *page = loop->pages->data + i * BLOCK;

		if (!fill_detect(page, &pattern))
			loop->codec->compress(worker->cctx, loop->level, page, BLOCK, worker->buffer, loop->cap);
	}
}

int codec_loop_load(struct codec_loop *loop, unsigned thread, uint64_t first, uint64_t end)
{
	struct worker *worker = &loop->workers[thread];
	int error = 0;

	for (uint64_t i = first; i < end && !error; i++) {
		const struct object *object = &loop->objects[i];
		const uint8_t *bytes = loop->bytes + object->at;
		uint64_t pattern;

		if (object->kind == KIND_COMPRESSED) {
			error = loop->codec->decompress(worker->dctx, bytes, object->len, worker->buffer, BLOCK);
		} else if (object->kind == KIND_RAW) {
			memcpy(worker->buffer, bytes, BLOCK);
		} else {
			memcpy(&pattern, bytes, sizeof pattern);
			fill_expand(worker->buffer, BLOCK, 0, pattern);
		}
	}
	return error;
}

bool codec_loop_is_compressed(const struct codec_loop *loop, uint64_t page)
{
	return loop->objects[page].kind == KIND_COMPRESSED;
}

uint64_t codec_loop_zero_pages(const struct codec_loop *loop)
{
	return loop->zero_pages;
}
