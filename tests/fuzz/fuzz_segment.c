/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A damaged segment: opening it refuses with a reason, or works; then everything is done to the device.
 *
 * Input: a byte of set-up, then changes: a byte says what to change and how, two say where, and the
 * value follows. With the lowest bit of the set-up the checksums of the superblock and of the settings are made right again
 * after the changes, so that what they say is believed, and with its bit 6 the complements of what changes as well.
 * With its bit 7 the segment has a record of codecs before the changes.
 */
#include "fuzz/input.h"
#include "lib/image.h"

#include "segment/format.h"
#include "segment/super_codecs.h"
#include "segment/super_record.h"

/* Of the first copy of the settings: the head, and what is used of the contents. */
#define SETTINGS_USED 160u

static struct image image;

/* Where a change goes. */
static uint8_t *target(struct input *input, unsigned what)
{
	uint8_t *pool = image.seg.base + image.layout.pool_offset;

	if (what & 64)
		return image.seg.base + SUPER_CODECS_OFFSET + take_below(input, 2 * SUPER_CODECS_COPY - 8);
	if (what & 32)
		return (uint8_t *)super_settings(&image.seg, &image.layout) + take_below(input, SETTINGS_USED);
	switch (what % 4) {
	case 0:
		return image.seg.base + take_below(input, sizeof(struct super) + 32);
	case 1:
		return (uint8_t *)image.table.map + take_below(input, 64);
	case 2:
		return pool + take(input, 3) % (64 * SEGMENT_PAGE);
	default:
		return (uint8_t *)&image.table.words[take_below(input, IMAGE_BLOCKS + IMAGE_ENTRIES)];
	}
}

static void change(struct input *input)
{
	unsigned what = (unsigned)take(input, 1), bytes = what & 16 ? 8 : 1;
	uint8_t *at = target(input, what);
	uint64_t value, old = 0;

	memcpy(&old, at, bytes);
	switch (what >> 2 & 3) {
	case 0:
		value = old ^ UINT64_C(1) << take(input, 1) % (8 * bytes);
		break;
	case 1:
		value = old + (uint64_t)(int64_t)(int8_t)take(input, 1);
		break;
	case 2: /* another entry's word */
		value = image.table.words[take_below(input, IMAGE_BLOCKS + IMAGE_ENTRIES)];
		break;
	default:
		value = take(input, bytes);
	}
	memcpy(at, &value, bytes);
}

/* Make what the superblock says believable: its checksum, and with another bit the complements. */
static void mend(unsigned set_up)
{
	struct super *super = super_of(&image.seg);
	format_checked *checked[] = {&super->state.compatible, &super->state.read_only, &super->state.incompatible,
				     &super->state.last_block};

	uint8_t settings[SUPER_SETTINGS_COPY - SUPER_RECORD_HEAD];
	uint8_t *record = super_settings(&image.seg, &image.layout);

	/* The first copy's contents become the ones that count. */
	memcpy(settings, record + SUPER_RECORD_HEAD, sizeof settings);
	super_record_write(record, SUPER_SETTINGS_COPY, settings, sizeof settings);
	super_seal(&image.seg);
	for (unsigned i = 0; i < 4 && (set_up & 64); i++)
		*checked[i] = format_check((uint32_t)*checked[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = {bytes, len};
	unsigned set_up = (unsigned)take(&input, 1);
	struct super_layout layout;

	if (!image.shm)
		image_make(&image);
	layout = image.layout;
	if (set_up & 128)
		super_codecs_begin(&image.seg, &layout, 4, "lzma");
	while (input.left)
		change(&input);
	if (set_up & 1)
		mend(set_up);
	image.params.algorithm = zsblk_algorithm(set_up / 2 % (3 + CODEC_HAS_LZMA))->name;
	image_try(&image, set_up);
	image_restore(&image);
	return 0;
}
