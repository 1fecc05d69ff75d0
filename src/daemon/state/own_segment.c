/* SPDX-License-Identifier: BSD-3-Clause */
/* The segment of an instance. See own_segment.h. */
#include "daemon/state/own_segment.h"

#include "daemon/base/say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)

/* ------------------------------------------------------------------ decisions */

enum own_segment_source own_segment_choose(const struct own_segment_facts *facts)
{
	if (!facts->attached)
		return facts->configured ? OWN_SEGMENT_CONFIGURED
		       : facts->noted    ? OWN_SEGMENT_NOTED
		       : facts->named    ? OWN_SEGMENT_NAMED
					 : OWN_SEGMENT_TO_BE_MADE;
	if (facts->noted)
		return OWN_SEGMENT_NOTED;
	/* Somebody has emptied the folder. */
	if (facts->named_fits && facts->configured_fits)
		return OWN_SEGMENT_AMBIGUOUS;
	return facts->named_fits        ? OWN_SEGMENT_NAMED
	       : facts->configured_fits ? OWN_SEGMENT_CONFIGURED
					: OWN_SEGMENT_GONE;
}

bool own_segment_may_remove(const struct own_segment_end *end)
{
	if (end->detached_by_others)
		return false;
	return end->in_service ? end->asked : end->made;
}

/* ------------------------------------------------------------------ finding */

static void use(struct own_segment *segment, int id, const char *shown)
{
	snprintf(segment->memory, sizeof segment->memory, "shm:id=%d", id);
	snprintf(segment->shown, sizeof segment->shown, "%s", shown ? shown : segment->memory);
}

static bool is_by_id(const char *memory)
{
	return strncmp(memory, "shm:id=", 7) == 0;
}

static bool bears_name(const struct zsblk_segment *found, const char *name)
{
	return strcmp(found->name, name) == 0;
}

static bool is_anothers(const struct zsblk_segment *found, const char *name)
{
	return found->name[0] && !bears_name(found, name);
}

/*
 * May that be what an attached device of this size has? A resize that was interrupted leaves the segment larger; the kernel is told of it
 * when the next server is there.
 */
static bool fits(const struct zsblk_segment *found, uint64_t device_size)
{
	return device_size && found->size >= device_size;
}

/*
 * A segment that a start made that did not get anywhere: no server came into service with it, and none is about to. It may not
 * be what is asked for now, and nothing is in it. That is not said of one with features that are not known here.
 */
static bool is_discarded(const struct zsblk_segment *found, const char *memory)
{
	return !found->in_service && !found->refused && !found->holder && zsblk_remove(memory, NULL) == 0;
}

/* The segments that may be the instance's. */
struct candidates {
	char note[40];
	struct zsblk_segment noted, configured, named;
	int why_not_configured; /* error of looking at it */
	struct wrong wrong;     /* and its text */
};

static int look_for_named(struct own_segment_facts *facts, struct candidates *there, const struct settings *settings,
			  uint64_t device_size, struct wrong *wrong)
{
	struct zsblk_why why = {""};
	char memory[24];
	int id, r = zsblk_find(settings->name, &id, &why);

	if (r == -ENOENT)
		return 0;
	if (!r) {
		snprintf(memory, sizeof memory, "shm:id=%d", id);
		r = zsblk_inspect(memory, &there->named, &why);
	}
	if (r) {
		wrong_say(wrong, "%s", why.text);
		return r;
	}
	/* The segment with our name may be the one with the configured key. That is one segment, not two. */
	if (facts->configured_fits && there->configured.id == id)
		return 0;
	facts->named = facts->attached || !is_discarded(&there->named, memory);
	facts->named_fits = facts->named && fits(&there->named, device_size);
	return 0;
}

/* Two instances can have the same key by mistake. What one of them has stored is not for the other. */
static void look_at_configured(struct candidates *there, const char *memory, const char *name)
{
	struct zsblk_why why = {""};
	int r = zsblk_inspect(memory, &there->configured, &why);

	if (!r && is_anothers(&there->configured, name)) {
		r = -EBUSY;
		wrong_say(&there->wrong,
			  "%s holds what another instance, '%s', has stored; use another key, or remove it if nothing "
			  "needs it (ipcrm -m %d)",
			  memory, there->configured.name, there->configured.id);
	} else if (r) {
		wrong_say(&there->wrong, "%s", why.text);
	}
	there->why_not_configured = r;
}

static int gather(struct own_segment_facts *facts, struct candidates *there, const struct settings *settings,
		  const struct folder *folder, uint64_t device_size, struct wrong *wrong)
{
	const char *memory = settings_param(settings, "memory");

	*facts = (struct own_segment_facts){.attached = device_size != 0, .configured = memory != NULL};
	folder_read_note(folder, OWN_SEGMENT_NOTE, there->note, sizeof there->note);
	/*
	 * If the device is attached, the note says with what. Otherwise the note is one of several ways to find what was
	 * left, and is to be believed only if the segment bears our name.
	 */
	facts->noted = there->note[0] &&
		       (facts->attached ||
			(is_by_id(there->note) && zsblk_inspect(there->note, &there->noted, NULL) == 0 &&
			 bears_name(&there->noted, settings->name) && !is_discarded(&there->noted, there->note)));
	if (memory) {
		look_at_configured(there, memory, settings->name);
		facts->configured_fits = !there->why_not_configured && there->configured.size == device_size;
	}
	if (facts->noted || (memory && !facts->attached))
		return 0;
	return look_for_named(facts, there, settings, device_size, wrong);
}

/* The device is attached with the segment in the note, or its data is lost. */
static int use_noted(struct own_segment *segment, const struct candidates *there, const struct settings *settings,
		     uint64_t device_size, struct wrong *wrong)
{
	const char *memory = settings_param(settings, "memory");
	struct zsblk_why why = {""};
	int r = zsblk_inspect(there->note, &segment->found, &why);

	if (!r && is_anothers(&segment->found, settings->name)) {
		r = -ENOENT;
		snprintf(why.text, sizeof why.text, "%s bears the name of another instance, %s", there->note,
			 segment->found.name);
	} else if (!r && device_size && segment->found.size != device_size &&
		   !bears_name(&segment->found, settings->name)) {
		r = -ENOENT;
		snprintf(why.text, sizeof why.text, "%s holds %" PRIu64 " bytes, and the device has %" PRIu64,
			 there->note, segment->found.size, device_size);
	}
	if (r) {
		wrong_say(
			wrong,
			r == -ENOENT
				? "the device is attached, but its segment %s is gone, and what was stored with it (%s); "
				  "detach the device (zsblkd(8), Leftovers)"
				: "the segment %.0s%s",
			there->note, why.text);
		return r;
	}
	use(segment, segment->found.id,
	    memory && there->configured.id == segment->found.id && !there->why_not_configured ? memory : NULL);
	if (device_size && memory && segment->shown != memory && strcmp(segment->shown, memory) != 0)
		say(SAY_WARNING,
		    "memory=%s was asked for; the device is attached with %s and stays so until it is stopped", memory,
		    segment->memory);
	return 0;
}

static int use_configured(struct own_segment *segment, const struct candidates *there, const char *memory,
			  struct wrong *wrong)
{
	if (!there->why_not_configured) {
		segment->found = there->configured;
		use(segment, segment->found.id, memory);
		return 0;
	}
	snprintf(segment->shown, sizeof segment->shown, "%s", memory);
	/* The segment is to be made, with this key. */
	if (there->why_not_configured == -ENOENT && !is_by_id(memory))
		return 0;
	*wrong = there->wrong;
	return there->why_not_configured;
}

/* What the device can become was decided when its segment was made. */
static void tell_max_size(const struct own_segment *segment, const struct settings *settings)
{
	uint64_t wanted = settings_param_bytes(settings, "max-size");

	if (wanted && segment->found.size && segment->found.max_size != wanted)
		say(SAY_WARNING,
		    "max-size=%" PRIu64 " was asked for; the segment %s was made with %" PRIu64
		    ", and keeps that until it is removed",
		    wanted, segment->shown, segment->found.max_size);
}

/* A server is to be started with it. */
static int check_opens(const struct own_segment *segment, struct wrong *wrong)
{
	struct zsblk_segment found;
	struct zsblk_why why = {""};

	if (!segment->memory[0] || zsblk_inspect(segment->memory, &found, &why) || !found.refused)
		return 0;
	wrong_say(wrong, "%s", why.text);
	return -EINVAL;
}

int own_segment_find(struct own_segment *segment, const struct settings *settings, const struct folder *folder,
		     uint64_t device_size, struct wrong *wrong)
{
	const char *memory = settings_param(settings, "memory");
	struct own_segment_facts facts;
	struct candidates there = {.note = ""};
	int r = gather(&facts, &there, settings, folder, device_size, wrong);

	if (r)
		return r;
	switch (own_segment_choose(&facts)) {
	case OWN_SEGMENT_NOTED:
		r = use_noted(segment, &there, settings, device_size, wrong);
		break;
	case OWN_SEGMENT_CONFIGURED:
		r = use_configured(segment, &there, memory, wrong);
		segment->note_is_due = true;
		break;
	case OWN_SEGMENT_NAMED:
		segment->found = there.named;
		use(segment, there.named.id, NULL);
		segment->note_is_due = true;
		if (memory)
			say(SAY_WARNING,
			    "memory=%s was asked for; the device is attached with %s and stays so until it is stopped",
			    memory, segment->memory);
		break;
	case OWN_SEGMENT_TO_BE_MADE:
		break;
	case OWN_SEGMENT_GONE:
		wrong_say(wrong,
			  "the device is attached, but its segment is gone, and what was stored with it: no segment of "
			  "%" PRIu64 " bytes bears the name '%s'%s%s; detach the device (zsblkd(8), Leftovers)",
			  device_size, settings->name, memory ? ", nor does memory=" : "", memory ? memory : "");
		return -ENOENT;
	case OWN_SEGMENT_AMBIGUOUS:
		wrong_say(
			wrong,
			"the device is attached, and both %s and shm:id=%d may be what is stored in it; remove the one that is "
			"not (ipcs -m -i ID, ipcrm -m ID)",
			memory, there.named.id);
		return -EEXIST;
	}
	/* One that is attached may have a server, of a later version; if it has none, the one that is started says what it does not know. */
	if (!r && !device_size)
		r = check_opens(segment, wrong);
	segment->has_name = !r && bears_name(&segment->found, settings->name);
	if (!r)
		tell_max_size(segment, settings);
	return r;
}

/* ------------------------------------------------------------------ life */

int own_segment_id(const struct own_segment *segment)
{
	int id;

	return sscanf(segment->memory, "shm:id=%d", &id) == 1 ? id : -1;
}

int own_segment_make(struct own_segment *segment, const struct settings *settings, const struct folder *folder,
		     struct wrong *wrong)
{
	const char *algorithm = settings_param(settings, "algorithm"), *lock = settings_param(settings, "lock");
	const char *memory = settings_param(settings, "memory");
	struct zsblk_params params;
	struct zsblk_why why = {""};
	int id, r;

	zsblk_params_init(&params);
	params.size = settings_param_bytes(settings, "size");
	params.max_size = settings_param_bytes(settings, "max-size");
	params.memory = memory ? memory : params.memory;
	params.algorithm = algorithm ? algorithm : params.algorithm;
	params.lock_shared = !lock || strcmp(lock, "no") != 0;
	r = zsblk_create(&params, settings->name, &id, &why);
	if (r) {
		wrong_say(wrong, "%s", why.text);
		return r;
	}
	use(segment, id, memory);
	segment->made = segment->has_name = true;
	r = folder_note(folder, OWN_SEGMENT_NOTE, segment->memory);
	if (r)
		wrong_say(wrong, "%s/" OWN_SEGMENT_NOTE ": %s", folder->path, strerror(-r));
	return r;
}

uint64_t own_segment_size(const struct own_segment *segment)
{
	return segment->keep ? zsblk_keep_size(segment->keep) : segment->found.size;
}

void own_segment_serves(struct own_segment *segment, const struct folder *folder)
{
	struct zsblk_why why = {""};
	int r = segment->note_is_due ? folder_note(folder, OWN_SEGMENT_NOTE, segment->memory) : 0;

	if (r)
		say(SAY_WARNING, "%s/" OWN_SEGMENT_NOTE ": %s", folder->path, strerror(-r));
	segment->note_is_due = false;
	if (!segment->keep && zsblk_keep(segment->memory, &segment->keep, &why))
		say(SAY_WARNING, "the segment is not kept attached, and would not outlast ipcrm: %s", why.text);
}

bool own_segment_is_removed(struct own_segment *segment)
{
	if (!segment->was_removed && segment->keep && zsblk_keep_is_removed(segment->keep)) {
		segment->was_removed = true;
		say(SAY_ERROR,
		    "somebody has removed the segment %s (ipcrm?): what is stored lasts only as long as this daemon "
		    "(process %d) or its server lives. Save it (swapoff, or copy the files), then stop and start again",
		    segment->shown, (int)getpid());
	}
	return segment->was_removed;
}

/* ------------------------------------------------------------------ end */

static double mib_in(const struct own_segment *segment)
{
	struct zsblk_segment found;

	return zsblk_inspect(segment->memory, &found, NULL) ? 0 : (double)found.used / MIB;
}

static int remove_segment(struct own_segment *segment, struct wrong *wrong)
{
	struct zsblk_why why = {""};
	int r;

	say(SAY_NOTICE, "the segment %s is removed, with what is stored in it (%.1f MiB)", segment->shown,
	    mib_in(segment));
	r = zsblk_remove(segment->memory, &why);
	/* Detach it only now: while it is attached, its number is not used again. */
	own_segment_close(segment);
	if (r == -ENOENT)
		return 0;
	if (r)
		wrong_say(wrong, "the segment stays: %s", why.text);
	return r;
}

static void leave_segment(struct own_segment *segment, const char *name)
{
	struct zsblk_segment found;

	own_segment_close(segment);
	if (!segment->memory[0] || zsblk_inspect(segment->memory, &found, NULL))
		return;
	say(SAY_WARNING,
	    "the segment %s stays, with what is stored in it (%.1f MiB): start '%s' again to go on with it, or remove "
	    "it (ipcrm -m %d)",
	    segment->shown, (double)found.used / MIB, name, found.id);
}

int own_segment_finish(struct own_segment *segment, struct folder *folder, const char *name,
		       const struct own_segment_end *end, struct wrong *wrong)
{
	struct own_segment_end facts = *end;
	bool there = segment->memory[0], goes;
	int r = 0;

	facts.made = segment->made;
	goes = there && own_segment_may_remove(&facts);
	if (goes)
		r = remove_segment(segment, wrong);
	if (there && (!goes || r))
		leave_segment(segment, name);
	folder_remove(folder, there && segment->has_name && (!goes || r) ? OWN_SEGMENT_NOTE : NULL);
	return r;
}

void own_segment_close(struct own_segment *segment)
{
	zsblk_keep_end(segment->keep);
	segment->keep = NULL;
}
