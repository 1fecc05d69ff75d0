/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The segment of an instance: which one it is, its making, and its end.
 *
 * An instance makes its segment itself, without a key, and notes the identifier in its folder before anybody uses it. A
 * key could be taken by others, and a segment that others made would show them all that is stored. Identifiers
 * are used again: a note is believed only if the segment is ours (segment/owner.h) and bears the name of the instance.
 */
#ifndef OWN_SEGMENT_H
#define OWN_SEGMENT_H

#include "daemon/settings/settings.h"
#include "daemon/state/folder.h"
#include "zsblk.h"

#include <stdbool.h>
#include <stdint.h>

/* ------------------------------------------------------------------ decisions: no side effects, tested by tables */

/* Where the segment comes from. */
enum own_segment_source {
	OWN_SEGMENT_NOTED,      /* the folder says which one it is */
	OWN_SEGMENT_CONFIGURED, /* memory = shm:... says so */
	OWN_SEGMENT_NAMED,      /* it bears the instance's name */
	OWN_SEGMENT_TO_BE_MADE, /* there is none */
	OWN_SEGMENT_GONE,       /* there is none, and the device is attached: what was stored is lost */
	OWN_SEGMENT_AMBIGUOUS,  /* the device is attached, and two could be what is stored in it */
};

struct own_segment_facts {
	bool attached;   /* the device is attached in our name: its data is in one segment, whatever is asked for now */
	bool noted;      /* there is a note; with `attached` off: and it is to be believed */
	bool configured; /* memory = shm:... is given */
	bool configured_fits; /* that one exists, and has the size of the attached device */
	bool named;           /* one bears our name */
	bool named_fits;
};
enum own_segment_source own_segment_choose(const struct own_segment_facts *facts);

struct own_segment_end {
	bool made;               /* by this very start */
	bool in_service;         /* the device was in service: swap, mounted or ready for use */
	bool asked;              /* somebody asked for the stop: --stop, SIGTERM */
	bool detached_by_others; /* nbd-client -d, for instance */
};
/* May the segment be removed, with what is stored in it? */
bool own_segment_may_remove(const struct own_segment_end *end);

/* ------------------------------------------------------------------ the segment */

/* Its name in the folder. */
#define OWN_SEGMENT_NOTE "segment"

struct own_segment {
	char memory[24];  /* "shm:id=N", for servers; empty: none yet */
	char shown[40];   /* for people: as it was configured, or the same */
	bool made;        /* by this start */
	bool note_is_due; /* once a server serves it */
	bool has_name;    /* it is found again without a note */
	bool was_removed; /* by others */
	struct zsblk_segment found;
	struct zsblk_keep *keep;
};

/*
 * Find the segment; *device_size: of the attached device, 0: none is attached. 0, with `found` filled in, or with `memory` empty
 * if own_segment_make() has to make it; or a negative errno and the reason.
 */
int own_segment_find(struct own_segment *segment, const struct settings *settings, const struct folder *folder,
		     uint64_t device_size, struct wrong *wrong);
/* Make it, and note it in the folder before it is used. */
int own_segment_make(struct own_segment *segment, const struct settings *settings, const struct folder *folder,
		     struct wrong *wrong);
/* Its identifier, -1: there is none yet. */
int own_segment_id(const struct own_segment *segment);
/* The size of the device in it now, in bytes; 0: not known. */
uint64_t own_segment_size(const struct own_segment *segment);
/* A server serves it: note it, and keep it attached, so that its removal by others is survived. */
void own_segment_serves(struct own_segment *segment, const struct folder *folder);
/* Has somebody removed it? Said once. */
bool own_segment_is_removed(struct own_segment *segment);

/*
 * The end of the instance `name`: its segment goes, if `end` lets it (`made` is filled in here), and so does the folder.
 * Says which segment goes or stays, and how much is in it. A segment that stays is found again by the note in the folder. 0
 * or a negative errno and the reason.
 */
int own_segment_finish(struct own_segment *segment, struct folder *folder, const char *name,
		       const struct own_segment_end *end, struct wrong *wrong);
/* Let go of it. */
void own_segment_close(struct own_segment *segment);

#endif
