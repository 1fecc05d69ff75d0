/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the corpora: make_corpus FOLDER, or `meson compile corpus`. The same every time. Inputs are
 * what the head comments of the targets say.
 */
#include "lib/device.h"

#include "codec/codec.h"

#include <sys/stat.h>

static const char *folder;

static void keep(const char *target, unsigned number, const uint8_t *bytes, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, target);
	mkdir(path, 0777);
	snprintf(path, sizeof path, "%s/%s/%02u", folder, target, number);
	f = fopen(path, "wbe");
	must(f && fwrite(bytes, 1, len, f) == len && fclose(f) == 0);
}

/* Random bytes make sequences of random operations. */
static void make_sequences(const char *target, unsigned n, size_t least, size_t most)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t random = i + 1;
		size_t len = least + (most - least) * i / n;
		uint8_t bytes[1024];

		for (size_t at = 0; at < len; at++)
			bytes[at] = (uint8_t)random_next(&random);
		/* Each combination of the set-up once. */
		bytes[0] = (uint8_t)(i * 21);
		keep(target, i, bytes, len);
	}
}

static void make_objects(void)
{
	unsigned number = 0;

	for (unsigned index = 0; codec_at(index); index++) {
		const struct codec *codec = codec_at(index);
		size_t bytes = codec->cctx_size(codec->level_default);
		void *cctx = aligned_alloc(64, (bytes + 64) / 64 * 64);

		must(codec->cctx_init(cctx, bytes, codec->level_default) == 0);
		for (unsigned kind = 0; kind < 4; kind++) {
			uint8_t block[4096], input[4097];
			uint64_t random = kind;
			size_t n;

			for (unsigned at = 0; at < sizeof block; at++)
				block[at] = (uint8_t)(at < 40u * kind ? random_next(&random) : at >> kind);
			n = codec->compress(cctx, codec->level_default, block, 4096, input + 1, 4096);
			must(n);
			input[0] = (uint8_t)index;
			keep("codec", number++, input, n + 1);
		}
		free(cctx);
	}
}

/* One change of each sort at a time, with the checksum wrong and right, then several. */
static void make_damage(void)
{
	unsigned number = 0;

	for (unsigned what = 0; what < 32; what++) {
		uint64_t random = what;
		uint8_t input[48] = {(uint8_t)(what & 1), (uint8_t)what};
		unsigned len = what % 4 == 0 ? 16 : 48;

		for (unsigned at = 2; at < len; at++)
			input[at] = (uint8_t)random_next(&random);
		keep("segment", number++, input, len);
	}
	keep("segment", number, (const uint8_t[]){0}, 1);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_corpus FOLDER\n");
		return 2;
	}
	folder = argv[1];
	make_sequences("engine", 12, 60, 500);
	make_sequences("zsmalloc", 12, 100, 1000);
	make_objects();
	make_damage();
	return 0;
}
