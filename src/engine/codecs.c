/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codecs that are not for every device. Of those from SUPER_CODECS_NAMED on, contexts have decoders only if the segment
 * may have objects of them: most devices never do, and the decoders of one codec take a MiB for 16 contexts.
 *
 * Order: decoders in all contexts, the record in the segment, the first object. A request looks at the decoder of such a
 * codec only after it has found an object of that codec, so no lock is needed.
 */
#include "engine/sector.h"

#include <errno.h>

static size_t decoder_bytes(const struct codec *codec)
{
	return (codec->dctx_size() + 63) & ~(size_t)63;
}

static int map(struct contexts *contexts, const struct codec *codec)
{
	size_t each = decoder_bytes(codec);

	if (contexts->n > SIZE_MAX / 2 / each)
		return -ENOMEM;
	contexts->late[codec->id].mem = segment_private_map(contexts->n * each);
	contexts->late[codec->id].bytes = contexts->n * each;
	return contexts->late[codec->id].mem ? 0 : -ENOMEM;
}

/* All of it is touched. */
static int make(struct contexts *contexts, const struct codec *codec)
{
	size_t each = decoder_bytes(codec);
	int r = 0;

	for (unsigned i = 0; i < contexts->n && !r; i++) {
		contexts->all[i].dctx[codec->id] = contexts->late[codec->id].mem + i * each;
		r = codec->dctx_init(contexts->all[i].dctx[codec->id], codec->dctx_size());
	}
	return r;
}

static void give_up(struct contexts *contexts, const struct codec *codec)
{
	for (unsigned i = 0; i < contexts->n; i++)
		contexts->all[i].dctx[codec->id] = NULL;
	segment_private_unmap(contexts->late[codec->id].mem, contexts->late[codec->id].bytes);
	contexts->late[codec->id].mem = NULL;
}

void codecs_record(struct zsblk *dev, const struct codec *codec)
{
	if (codec->id < SUPER_CODECS_NAMED)
		return;
	pthread_mutex_lock(&dev->resize_lock);
	super_codecs_begin(&dev->seg, &dev->layout, codec->id, codec->name);
	engine_keep_frontier(dev);
	pthread_mutex_unlock(&dev->resize_lock);
}

static bool is_used(const struct zsblk *dev)
{
	for (uint64_t i = 0; (i = table_next_written(&dev->table, i, dev->table.n)) < dev->table.n; i++) {
		uint64_t word = table_load(&dev->table, i);
		unsigned codec = sector_is_backed(word)      ? word_backed(word).codec
				 : sector_object_bytes(word) ? word_object(word).codec
							     : CODEC_RAW;

		if (codec >= SUPER_CODECS_NAMED)
			return true;
	}
	return false;
}

void codecs_start(struct zsblk *dev)
{
	if (dev->layout.features.incompatible & SUPER_HAS_CODECS && !is_used(dev))
		super_codecs_end(&dev->seg, &dev->layout);
	codecs_record(dev, atomic_load(&dev->codec));
}

int codecs_open(struct zsblk *dev)
{
	int r = 0;

	for (unsigned id = SUPER_CODECS_NAMED; id < CODEC_IDS && !r; id++) {
		if (!dev->layout.codecs[id][0] && atomic_load(&dev->codec)->id != id)
			continue;
		/* As of all that opening takes: no waiting for memory. This may be the server that is to give some back. */
		r = map(&dev->contexts, codec_by_id(id));
		if (!r)
			r = make(&dev->contexts, codec_by_id(id));
	}
	return r;
}

int codecs_begin(struct zsblk *dev, const struct codec *codec)
{
	struct contexts *contexts = &dev->contexts;
	int r = 0;

	if (codec->id < SUPER_CODECS_NAMED)
		return 0;
	if (!contexts->late[codec->id].mem) {
		r = map(contexts, codec);
		if (!r)
			r = upkeep_populate_private(dev, contexts->late[codec->id].mem,
						    contexts->late[codec->id].bytes);
		if (!r)
			r = make(contexts, codec);
	}
	if (r)
		give_up(contexts, codec);
	else
		codecs_record(dev, codec);
	return r;
}

uint64_t codecs_bytes(const struct zsblk *dev)
{
	uint64_t bytes = 0;

	for (unsigned id = SUPER_CODECS_NAMED; id < CODEC_IDS; id++)
		if (dev->contexts.late[id].mem)
			bytes += segment_private_resident(dev->contexts.late[id].mem, dev->contexts.late[id].bytes);
	return bytes;
}

void codecs_close(struct zsblk *dev)
{
	for (unsigned id = SUPER_CODECS_NAMED; id < CODEC_IDS; id++) {
		segment_private_unmap(dev->contexts.late[id].mem, dev->contexts.late[id].bytes);
		dev->contexts.late[id].mem = NULL;
	}
}
