/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose is what is there? See found.h. */
#include "daemon/found.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

const char found_segments_are_removed[] =
	"kernel.shm_rmid_forced is 1: the kernel removes shared memory that no process has attached, and "
	"what is stored would be lost if server and daemon ended at once; set it to 0 (sysctl "
	"kernel.shm_rmid_forced=0)";

/* ------------------------------------------------------------------ the lock */

int found_lock(const struct found_machine *machine, void *opaque, struct wrong *wrong)
{
	pid_t holder;
	int r = machine->lock(opaque, false, &holder, wrong);

	if (r != -EBUSY || machine->ask_to_make_way(opaque) == -EACCES)
		return r;
	r = machine->lock(opaque, true, &holder, wrong);
	if (r != -EBUSY || !machine->is_zsblkd(opaque, holder) ||
	    machine->is_zsblkd(opaque, machine->parent(opaque, holder)))
		return r;
	machine->kill_daemon(opaque, holder);
	return machine->lock(opaque, true, &holder, wrong);
}

/* ------------------------------------------------------------------ device, segment, server */

/* One look, by all who decide. */
struct look {
	struct found *found;
	const struct found_wanted *wanted;
	const struct found_machine *machine;
	void *opaque;
	struct wrong *wrong;
};

/* Is the device attached, and how large is it? */
static int look_at_device(const struct look *look, uint64_t *size)
{
	struct found *found = look->found;
	int r = look->machine->device(look->opaque, &found->device);

	*size = 0;
	if (r && r != -ENODEV) {
		/* A second device on the same segment would be made swap, over the data of the first. */
		wrong_say(look->wrong,
			  "it cannot be told whether a device is attached in this name (/sys/block cannot be "
			  "read, or a server's program cannot list its devices); try again");
		return -EAGAIN;
	}
	found->attached = !r;
	if (!found->attached)
		return 0;
	*size = look->machine->device_size(look->opaque, &found->device);
	if (*size)
		return 0;
	wrong_say(look->wrong, "%s is attached, and its size cannot be read; try again", found->device.path);
	return -EAGAIN;
}

/*
 * Is there another zsblkd that looks after the server? That one would have the lock, unless somebody has emptied the folder
 * under it. (Servers whose daemon has died are children of their supervisor.) One that is being killed has its children until
 * its memory is given back.
 */
static pid_t other_daemon(const struct look *look)
{
	pid_t parent = look->machine->parent(look->opaque, look->found->server);

	return parent != look->wanted->supervisor && look->machine->is_zsblkd(look->opaque, parent) ? parent : 0;
}

/*
 * Is the server ours? The folder has notes of ours. Where somebody has emptied the folder, the server is ours if the device
 * is attached in our name.
 */
static bool is_ours(const struct look *look)
{
	const struct found *found = look->found;

	return look->machine->has_note(look->opaque, found->server, found->server_start) ||
	       (found->attached && !look->machine->has_notes(look->opaque));
}

/* Who has claimed the segment must be a server of ours, since a server that does not answer is killed. */
static int look_at_server(const struct look *look)
{
	struct found *found = look->found;
	const char *shown = found->segment.shown;
	pid_t holder = found->segment.holder, other;
	int r = holder ? look->machine->start_time(look->opaque, holder, &found->server_start) : -ESRCH;

	if (r == -ESRCH)
		return 0;
	if (r) {
		wrong_say(look->wrong, "process %d, which has claimed %s, cannot be looked at: %s", (int)holder, shown,
			  strerror(-r));
		return r;
	}
	found->server = holder;
	while ((other = other_daemon(look)) && !look->machine->outlives(look->opaque, other))
		;
	if (!other && is_ours(look))
		return 0;
	found->server = 0;
	if (other)
		wrong_say(look->wrong,
			  "%s is served by process %d, which another zsblkd looks after, process %d; end that one "
			  "(SIGKILL) first",
			  shown, (int)holder, (int)other);
	else
		wrong_say(look->wrong,
			  "%s is in use by process %d, which is no server of '%s'; stop that one first, or use another "
			  "segment",
			  shown, (int)holder, look->wanted->name);
	return -EBUSY;
}

/*
 * The size cannot change while the device is attached: then it goes on with the one it has. Otherwise it is a mistake, or
 * somebody else's segment.
 */
static int agree_on_size(const struct look *look)
{
	struct found *found = look->found;
	uint64_t has = found->segment.size, wanted = look->wanted->size;

	if (!has || !wanted || has == wanted)
		return 0;
	if (found->attached) {
		found->size_kept = has;
		return 0;
	}
	wrong_say(look->wrong,
		  "%s holds a device of %" PRIu64 " bytes, and size=%" PRIu64
		  " was asked for; ask for that size, or remove the segment (ipcrm -m %d)",
		  found->segment.shown, has, wanted, found->segment.id);
	return -EINVAL;
}

/* If server and daemon are killed together, nobody has the segment attached, and it must stay all the same. */
static int check_segments_last(const struct look *look)
{
	if (!look->machine->segments_are_removed(look->opaque))
		return 0;
	look->found->may_be_lost = look->found->attached;
	if (look->found->attached)
		return 0;
	wrong_say(look->wrong, "%s", found_segments_are_removed);
	return -EPERM;
}

/* Which device is it to be? One that has our identifier is ours; one that is attached and has not is not. */
static int choose_device(const struct look *look)
{
	struct found *found = look->found;
	const char *name = look->wanted->device;
	struct device wanted;

	device_init(&wanted, name ? name : "");
	if (found->attached && name && strcmp(found->device.path, name) != 0) {
		wrong_say(look->wrong,
			  "'%s' is attached as %s already, and %s was asked for; use that one, or stop it first",
			  look->wanted->name, found->device.path, name);
		return -EBUSY;
	}
	if (!found->attached && name && look->machine->device_is_attached(look->opaque, &wanted)) {
		wrong_say(
			look->wrong,
			"%s is busy: it is attached to another server; use another device, or none to have a free one "
			"chosen",
			name);
		return -EBUSY;
	}
	if (!found->attached)
		found->device = wanted;
	return 0;
}

int found_look(struct found *found, const struct found_wanted *wanted, const struct found_machine *machine,
	       void *opaque, struct wrong *wrong)
{
	const struct look look = {found, wanted, machine, opaque, wrong};
	uint64_t size;
	int r;

	*found = (struct found){.attached = false};
	device_init(&found->device, "");
	r = look_at_device(&look, &size);
	if (!r)
		r = machine->segment(opaque, size, &found->segment, wrong);
	if (!r && found->segment.exists)
		r = look_at_server(&look);
	if (!r && found->segment.exists)
		r = agree_on_size(&look);
	if (!r)
		r = check_segments_last(&look);
	return r ? r : choose_device(&look);
}

/* ------------------------------------------------------------------ servers that were noted down */

enum found_note found_note(const struct found *found, pid_t pid, uint64_t start, int alive, uint64_t now)
{
	/* A number is used again, by a server of another start. */
	if (found->server && pid == found->server)
		return start == found->server_start ? FOUND_SERVES : FOUND_GONE;
	if (alive && alive != -ESRCH)
		return FOUND_UNKNOWN;
	return alive || now != start ? FOUND_GONE : FOUND_LEFT_OVER;
}
