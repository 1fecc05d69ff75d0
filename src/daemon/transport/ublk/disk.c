/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose /dev/ublkbN is. See disk.h. */
#include "daemon/transport/ublk/disk.h"

#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/state/folder.h"
#include "daemon/transport/ublk/ublk_server.h"
#include "machine/program.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A server's program that lists devices takes milliseconds. */
#define LIST_LIMIT_MS 5000
/* A line for each of the 64 devices that the driver allows by default, and more. */
#define LIST_BYTES 8192

/* ------------------------------------------------------------------ the note */

int disk_note(const struct folder *folder, const struct device *device)
{
	char text[60], there[60];

	snprintf(text, sizeof text, "%s %" PRIu64, device_name(device), device->sequence);
	folder_read_note(folder, DISK_NOTE, there, sizeof there);
	return strcmp(there, text) == 0 ? 0 : folder_note(folder, DISK_NOTE, text);
}

bool disk_parse_note(const char *text, struct device *device)
{
	char name[DEVICE_PATH - 5], path[DEVICE_PATH], again[60];
	uint64_t sequence;

	if (sscanf(text, "%18s %" SCNu64, name, &sequence) != 2 || !sequence)
		return false;
	snprintf(path, sizeof path, "/dev/%s", name);
	/* scanf() lets other spellings pass. Only what we would have written counts. */
	snprintf(again, sizeof again, "%s %" PRIu64, name, sequence);
	if (strcmp(again, text) != 0 || device_number(path, DISK_START) < 0)
		return false;
	device_init(device, path);
	device->sequence = sequence;
	return true;
}

/* The disk that the instance's folder has noted down, if it is there still. 0, -ENODEV, or -EAGAIN: that cannot be told. */
static int noted_disk(const char *backend, struct device *device)
{
	const char *name = backend + strlen(TRANSPORT_BACKEND_START);
	struct wrong wrong;
	struct folder folder;
	char text[60] = "";
	struct device noted;

	if (folder_open(&folder, FOLDER_TOP, name, false, &wrong))
		return -ENODEV;
	folder_read_note(&folder, DISK_NOTE, text, sizeof text);
	folder_close(&folder);
	if (!disk_parse_note(text, &noted))
		return -ENODEV;
	switch (disk_backing(&noted, backend)) {
	case TRANSPORT_BACKING_OURS:
		*device = noted;
		return 0;
	case TRANSPORT_BACKING_UNKNOWN:
		return -EAGAIN;
	default:
		return -ENODEV;
	}
}

/* ------------------------------------------------------------------ one disk */

enum transport_backing disk_backing(const struct device *device, const char *backend)
{
	uint64_t sequence;
	struct device noted;
	int r = device_is_none(device) ? -ENOENT : device_sequence(device, &sequence);

	if (r)
		return device_is_absent(r) ? TRANSPORT_BACKING_NONE : TRANSPORT_BACKING_UNKNOWN;
	if (device->sequence)
		return sequence == device->sequence ? TRANSPORT_BACKING_OURS : TRANSPORT_BACKING_OTHER;
	/* Only a path is known. */
	r = noted_disk(backend, &noted);
	if (r == -EAGAIN)
		return TRANSPORT_BACKING_UNKNOWN;
	return !r && strcmp(noted.path, device->path) == 0 ? TRANSPORT_BACKING_OURS : TRANSPORT_BACKING_OTHER;
}

bool disk_is_attached(const struct device *device)
{
	uint64_t sequence;

	/* A file that cannot be read just now (no memory) says nothing. */
	return !device_is_none(device) && !device_is_absent(device_sequence(device, &sequence));
}

/* ------------------------------------------------------------------ all of them */

bool disk_parse_listed(const char *line, struct disk_listed *listed)
{
	return sscanf(line, "%u %15s %d %d", &listed->number, listed->state, &listed->server, &listed->segment) == 4;
}

static int stop_at_first(void *opaque, const struct device *device)
{
	return 1;
}

/*
 * Call `each` for all devices of zsblk until it returns non-zero. 0, what that returned, -EAGAIN: that cannot be told, or -EIO: the program
 * cannot say, which may last (io_uring was switched off, or the kernel is one of those that are not used).
 */
static int list_and_call(const struct settings *settings, int (*each)(void *opaque, const struct disk_listed *listed),
			 void *opaque)
{
	const char *arguments[] = {ublk_server_program(settings), "--list", NULL};
	char text[LIST_BYTES];
	struct program_text output = {text, sizeof text, 0};
	int status = 0, r = program_run(arguments, &output, NULL, clock_after_ms(LIST_LIMIT_MS), &status);

	/*
	 * Where there is no such program, disks of ublk are those of other programs. (If it was removed while a disk of ours is there, the note
	 * tells, and whoever has claimed the segment.)
	 */
	if (r)
		return r == -EIO && status == PROGRAM_NOT_FOUND ? 0 : r == -EIO ? r : -EAGAIN;
	for (char *line = text, *next; !r && *line; line = next) {
		struct disk_listed listed;

		next = line + strcspn(line, "\n");
		next += *next == '\n';
		if (!disk_parse_listed(line, &listed))
			return -EAGAIN;
		r = each(opaque, &listed);
	}
	return r;
}

/* If there is no ublk disk at all, nothing is run. */
static int each_listed(const struct settings *settings, int (*each)(void *opaque, const struct disk_listed *listed),
		       void *opaque)
{
	int r = device_each(DISK_START, stop_at_first, NULL);

	return r == 1 ? list_and_call(settings, each, opaque) : r ? -EAGAIN : 0;
}

struct search {
	const char *name; /* of the instance */
	int configured;   /* the segment that its settings name; -1: none, or there is no such segment */
	struct device *device;
};

static int is_of_instance(void *opaque, const struct disk_listed *listed)
{
	const struct search *search = opaque;
	char memory[32], path[DEVICE_PATH];
	struct zsblk_segment segment;
	struct zsblk_why why;
	int r;

	if (listed->segment < 0 || strcmp(listed->state, "dead") == 0)
		return 0;
	snprintf(memory, sizeof memory, "shm:id=%d", listed->segment);
	/* A segment that somebody has removed is found no more; the note in the folder is all there is then. */
	if (listed->segment != search->configured &&
	    (zsblk_inspect(memory, &segment, &why) || strcmp(segment.name, search->name) != 0))
		return 0;
	snprintf(path, sizeof path, DISK_START "%u", listed->number);
	device_init(search->device, path);
	r = device_sequence(search->device, &search->device->sequence);
	return r ? -EAGAIN : 1;
}

/* Is there a segment that a disk of the instance could have its data in? */
static bool has_segment(const struct search *search)
{
	struct zsblk_why why;
	int id;

	return search->configured >= 0 || zsblk_find(search->name, &id, &why) != -ENOENT;
}

int disk_find(const struct settings *settings, const char *backend, struct device *device)
{
	const char *name = backend + strlen(TRANSPORT_BACKEND_START), *memory = settings_param(settings, "memory");
	struct search search = {.name = name, .configured = -1, .device = device};
	struct zsblk_segment segment;
	struct zsblk_why why;
	int r = noted_disk(backend, device);

	if (r != -ENODEV)
		return r;
	/* Such a segment need not bear a name. */
	if (memory && zsblk_inspect(memory, &segment, &why) == 0)
		search.configured = segment.id;
	r = each_listed(settings, is_of_instance, &search);
	/* Disks of other programs must not keep an instance from its start that never had one. */
	if (r == -EIO)
		r = has_segment(&search) ? -EAGAIN : 0;
	return r == 1 ? 0 : r ? r : -ENODEV;
}

static int is_other(void *opaque, const struct disk_listed *listed)
{
	const struct device *own = opaque;
	char path[DEVICE_PATH];

	snprintf(path, sizeof path, DISK_START "%u", listed->number);
	return strcmp(listed->state, "dead") != 0 && strcmp(path, own->path) != 0;
}

bool disk_has_others(const struct settings *settings, const struct device *device)
{
	return each_listed(settings, is_other, (void *)device);
}

struct leftovers {
	const struct settings *settings;
	int segment;
};

static int remove_leftover(void *opaque, const struct disk_listed *listed)
{
	const struct leftovers *all = opaque;
	struct device device;
	struct wrong wrong = {""};
	char path[DEVICE_PATH];

	if (listed->segment != all->segment || listed->segment < 0)
		return 0;
	snprintf(path, sizeof path, DISK_START "%u", listed->number);
	device_init(&device, path);
	/* Whoever uses it keeps it. */
	if (ublk_server_detach(all->settings, &device, &wrong))
		say(SAY_WARNING, "%s is left: %s", path, wrong.text);
	return 0;
}

/* A device that was not started yet has no disk in sysfs. */
void disk_remove_leftovers(const struct settings *settings, int segment)
{
	(void)list_and_call(settings, remove_leftover, &(struct leftovers){settings, segment});
}
