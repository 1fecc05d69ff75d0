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
	keep("segment", number++, (const uint8_t[]){0}, 1);
	/* What changes in the superblock, and where the parts are: a step up, a step down, anything; and all believable. */
	for (unsigned i = 0; i < 9; i++) {
		static const unsigned at[] = {256, 264, 272, 280, 288, 512, 520, 528, 536};
		unsigned where = (at[i] * 65536u + 1055) / 1056;

		for (unsigned kind = 0; kind < 3; kind++) {
			uint64_t random = i;
			uint8_t input[12] = {65, kind < 2 ? 16 + 4 : 16 + 12, (uint8_t)where, (uint8_t)(where >> 8)};

			for (unsigned n = 4; n < sizeof input; n++)
				input[n] = kind == 0 ? 1 : kind == 1 ? 0xff : (uint8_t)random_next(&random);
			keep("segment", number++, input, kind < 2 ? 5 : 12);
		}
	}
	/* The settings: each of their numbers and the name, a bit of it, and anything. */
	for (unsigned at = 0; at < 104; at += 8) {
		unsigned where = (at * 65536u + 159) / 160;

		for (unsigned kind = 0; kind < 2; kind++) {
			uint64_t random = at;
			uint8_t input[12] = {1, kind ? 32 + 16 + 12 : 32, (uint8_t)where, (uint8_t)(where >> 8)};

			for (unsigned n = 4; n < sizeof input; n++)
				input[n] = (uint8_t)random_next(&random);
			keep("segment", number++, input, kind ? 12 : 5);
		}
	}
	/* A record of codecs, and one with a damaged checksum, generation, name and rest. */
	keep("segment", number++, (const uint8_t[]){129}, 1);
	for (unsigned i = 0; i < 4; i++)
		keep("segment", number++, (const uint8_t[]){129, 64, 0, (const uint8_t[]){0, 1, 34, 60}[i], 3}, 5);
}

/* ------------------------------------------------------------------ of the daemon */

static void keep_text(const char *target, unsigned number, uint8_t set_up, const char *text)
{
	uint8_t input[2048] = {set_up};
	size_t len = strlen(text);

	memcpy(input + 1, text, len);
	keep(target, number, input, len + 1);
}

static void make_expressions(void)
{
	static const char *const texts[] = {
		"512",
		"2G",
		"ram / 2",
		"min(ram / 2, 4096)",
		"max(1T, ram * 1.5) - 3K",
		"(1+2)*3M",
		"1e3",
		"-1",
		"1/0",
		"16T",
		"ram^2",
		"1;2",
		"((((1))))",
		"0.1B + .5g",
		"min(",
		"ram ? 1 : 2",
	};

	for (unsigned i = 0; i < COUNT_OF(texts); i++)
		keep_text("expression", i, (uint8_t)i, texts[i]);
}

static void make_configurations(void)
{
	static const struct {
		uint8_t set_up;
		const char *text;
	} files[] = {
		{5,
		 "[zsblk]\nsize = ram / 2\nalgorithm = zstd(level=3)\nmem-limit = 1G\nswap-priority = 5\ntune = no\n"},
		{5, "size=1G\nmount-point=/srv/fast\nfs-type=ext4\noptions=noatime,discard\ndevice=/dev/nbd7\n"},
		{5,
		 "# a comment\n; another\nzram-size = min(ram, 4096) # of ours\ncompression-algorithm = lz4\nuse = swap\n"},
		{5, "size = 64M\nconnections = 4\nthreads = 2\nrequest-timeout = 30\ndead-connection-timeout = 60\n"
		    "probe-timeout = 2.5\nuse = nothing\n"},
		{3,
		 "size = 64M\nmemory = shm:0x7a73\nreserve = 8M\nrecovery-reserve = 1M\nlevel = -5\nnbdkit = /bin/true\n"},
		{4, "size = 64M\r\n\tplugin = zsblk\r\n"},
		{1, "size = ram\n"},
		{5, "\xef\xbb\xbfsise = 1G\n"},
		{5, "[other]\nsize = 1G\n"},
		{5, "size = 1G\nsize = 2G\n"},
		{5, "size = 1G\nmount-point = /\nuse = swap\n"},
		{21, "size=1G\nalgorithm=zstd\nlevel=3\nmem-limit=512M\nreserve=0\nmemory=shm:id=7\n"},
		{21, "size=4097\nlock=no\n"},
	};

	for (unsigned i = 0; i < COUNT_OF(files); i++)
		keep_text("config", i, files[i].set_up, files[i].text);
}

/* One or two for each of the readers of the target. */
static void make_proc(void)
{
	static const struct {
		uint8_t reader;
		const char *text;
	} texts[] = {
		{0, "7f1c2a000000-7f1c2a021000 r-xp 00002000 fe:01 1835012      /usr/lib/libz.so.1 (deleted)\n"},
		{0, "7ffd0000-7ffd1000 rw-p 00000000 00:00 0                    [stack]\n"},
		{1, "1234-567890.server"},
		{1, "2147483647-18446744073709551615.server"},
		{2, "disksize=2147483648\nalgorithm=lz4\norig_data_size=536870912\nmem_used_total=146800640\n"},
		{3,
		 "Node 0, zone      DMA\n  pages free     3840\n        min      67\n        low      83\n"
		 "        high     99\n        protection: (0, 1843, 7853)\nNode 0, zone   Normal\n  pages free     21000\n"
		 "        min      20000\n        low      24000\n        protection: (0, 0, 0)\n"},
		{4, "/dev/nbd12"},
		{5, "shm:0x7a73"},
		{5, "shm:id=12"},
	};
	static const char command[] = "\6@nbdkit\0--foreground\0--threads=0\0--unix=/run/x/1-2.sock\0zsblk\0size=64M\0"
				      "memory=shm:0x7a73\0lock=yes\0stats=/run/x/stats";

	for (unsigned i = 0; i < COUNT_OF(texts); i++)
		keep_text("proc", i, texts[i].reader, texts[i].text);
	keep("proc", COUNT_OF(texts), (const uint8_t *)command, sizeof command);
}

static uint8_t *put16(uint8_t *at, unsigned value)
{
	uint16_t number = (uint16_t)value;

	memcpy(at, &number, sizeof number);
	return at + sizeof number;
}

/* A header (length, type, flags, sequence, port), that of generic netlink (command, version), an attribute of 32 bits. */
static size_t put_message(uint8_t *at, unsigned type, uint8_t command, unsigned attribute, unsigned value)
{
	const unsigned length = 16 + 4 + 8;

	memset(at, 0, length);
	put16(at, length);
	put16(at + 4, type);
	at[16] = command;
	put16(put16(at + 20, 8), attribute);
	put16(at + 24, value);
	return length;
}

/* Groups of a family: a name and a number, nested twice. */
static size_t put_groups(uint8_t *at)
{
	static const char name[] = "nbd_mc_group";
	const unsigned group = 4 + 8 + 4 + 16, groups = 4 + group;

	memset(at, 0, groups);
	put16(put16(at, groups), 7 | 1u << 15);
	put16(put16(at + 4, group), 1 | 1u << 15);
	put16(put16(at + 8, 8), 2);
	at[12] = 5;
	put16(put16(at + 16, 4 + sizeof name), 1);
	memcpy(at + 20, name, sizeof name);
	return groups;
}

static void make_messages(void)
{
	uint8_t input[512] = {0};
	size_t len = 1;

	/* Of devices 0, 1 and 2: the first is one of another kind. */
	len += put_message(input + len, 27, 5, 1, 0);
	len += put_message(input + len, 27, 4, 1, 1);
	len += put_message(input + len, 27, 4, 1, 2);
	for (unsigned index = 0; index < 4; index++) {
		input[0] = (uint8_t)(index << 1);
		keep("netlink", index, input, len);
	}
	input[0] = 1;
	len = 1 + put_message(input + 1, 16, 1, 1, 27);
	len += put_groups(input + len);
	keep("netlink", 4, input, len);
}

/* Both versions of control groups, and a name with escapes. */
static void make_cgroups(void)
{
	static const char two[] = "0::/a/b\n\0"
				  "31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
	static const char one[] = "5:cpu,memory:/a\n0::/\n\0"
				  "33 32 0:29 /a /no\\040where rw - cgroup cgroup rw,memory\n";

	keep("cgroup", 0, (const uint8_t *)two, sizeof two - 1);
	keep("cgroup", 1, (const uint8_t *)one, sizeof one - 1);
}

/* Each combination of descriptors and sender; with a good message, and one with changes. */
static void make_parcels(void)
{
	for (unsigned i = 0; i < 16; i++) {
		uint8_t input[4] = {(uint8_t)(i * 17 + 8), 0, 1, 2};

		keep("kept", i, input, i % 2 ? 1 : sizeof input);
	}
	keep("kept", 16, (const uint8_t *)"\x4a", 1);
	keep("kept", 17, (const uint8_t *)"\x5f", 1);
}

static void make_conversations(void)
{
	static const char *const answers[] = {"ok\nstopped", "failed\nit is stopping already", "ok", "", "\n\n"};

	make_sequences("control", 12, 40, 300);
	for (unsigned i = 0; i < COUNT_OF(answers); i++)
		keep_text("control", 12 + i, 1, answers[i]);
}

/* A first page, what others have, and objects: the first 28 bytes of one without a key, as on a little-endian machine. */
static void make_stores(void)
{
	uint8_t input[700] = {0};

	keep("spill", 0, input, 600);
	input[0] = 1;
	input[20] = 7;
	input[550] = 9;
	keep("spill", 1, input, 600);
	memcpy(input + 1, "LUKS", 4);
	input[0] = 2;
	keep("spill", 2, input, 300);
	for (unsigned i = 3; i < 8; i++) {
		input[0] = (uint8_t)i;
		memcpy(input + 1, "\x20\x00\xa0\xb6", 4);
		keep("spill", i, input, 100 + i);
	}
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
	make_expressions();
	make_configurations();
	make_proc();
	make_messages();
	make_conversations();
	make_stores();
	make_sequences("varlink", 16, 40, 400);
	make_cgroups();
	make_parcels();
	return 0;
}
