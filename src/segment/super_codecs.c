/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of codecs. See super_codecs.h. */
#include "segment/super_codecs.h"

#include "segment/super_open.h"
#include "segment/super_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct entry {
	char name[16];
	uint64_t dictionary; /* the shared entry that names it; 0: none */
	uint64_t bytes;
	uint64_t hash;
	uint8_t parameters[24];
};

struct record {
	struct entry of[SUPER_CODECS];
};
_Static_assert(sizeof(struct record) == SUPER_CODECS * 64, "no padding");
_Static_assert(sizeof(struct record) <= SUPER_CODECS_COPY - SUPER_RECORD_HEAD, "a copy has room for it");
_Static_assert(SUPER_CODECS_OFFSET + 2 * SUPER_CODECS_COPY == SEGMENT_PAGE, "the end of the first page");
_Static_assert(sizeof((struct super_layout *)0)->codecs[0] == sizeof((struct entry *)0)->name, "names are copied");

/* True if nothing but the name is said of the codec. */
static bool is_plain(const struct entry *entry)
{
	static const uint8_t nothing[sizeof entry->parameters];

	return !entry->dictionary && !entry->bytes && !entry->hash &&
	       memcmp(entry->parameters, nothing, sizeof nothing) == 0;
}

static int take(struct super_layout *layout, const struct record *record, char *why, size_t why_size)
{
	for (unsigned id = 0; id < SUPER_CODECS; id++) {
		const struct entry *entry = &record->of[id];

		if (!is_plain(entry) || (id < SUPER_CODECS_NAMED && entry->name[0]))
			return super_refuse(
				why, why_size, -EINVAL,
				"the segment has a dictionary or parameters for codec %u, \"%.16s\", which this zsblk "
				"does not know; open it with the zsblk that used it last",
				id, entry->name[0] ? entry->name : layout->codecs[id]);
		if (id >= SUPER_CODECS_NAMED)
			memcpy(layout->codecs[id], entry->name, sizeof entry->name);
	}
	return 0;
}

int super_codecs_read(const struct segment *seg, struct super_layout *layout, char *why, size_t why_size)
{
	struct record record;

	for (unsigned id = SUPER_CODECS_NAMED; id < SUPER_CODECS; id++)
		if (layout->codecs[id][0])
			return super_refuse(
				why, why_size, -EINVAL,
				"the segment's superblock names codec %u, \"%.16s\", which belongs into its "
				"record of codecs; no zsblk does that",
				id, layout->codecs[id]);
	if (!(layout->features.incompatible & SUPER_HAS_CODECS))
		return 0;
	if (!super_record_read(seg->base + SUPER_CODECS_OFFSET, SUPER_CODECS_COPY, &record, sizeof record))
		return super_refuse(
			why, why_size, -EINVAL,
			"the segment is damaged: it says that it has a record of codecs, and neither copy of "
			"the record is whole");
	return take(layout, &record, why, why_size);
}

void super_codecs_begin(struct segment *seg, struct super_layout *layout, unsigned id, const char *name)
{
	struct record record = {0};

	if (layout->codecs[id][0])
		return;
	super_carry_over(seg, layout);
	snprintf(layout->codecs[id], sizeof layout->codecs[id], "%s", name);
	for (unsigned i = SUPER_CODECS_NAMED; i < SUPER_CODECS; i++)
		memcpy(record.of[i].name, layout->codecs[i], sizeof record.of[i].name);
	super_record_write(seg->base + SUPER_CODECS_OFFSET, SUPER_CODECS_COPY, &record, sizeof record);
	super_set_incompatible(seg, layout, SUPER_HAS_CODECS, true);
}

void super_codecs_end(struct segment *seg, struct super_layout *layout)
{
	super_set_incompatible(seg, layout, SUPER_HAS_CODECS, false);
	for (unsigned i = SUPER_CODECS_NAMED; i < SUPER_CODECS; i++)
		memset(layout->codecs[i], 0, sizeof layout->codecs[i]);
}
