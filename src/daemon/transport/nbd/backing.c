/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose /dev/nbdN is. See backing.h.
 *
 * The driver has a file `pid` for a device that is attached, and a file `backend` with the identifier, if one was given (since Linux 5.14).
 */
#include "daemon/transport/nbd/backing.h"

#include <errno.h>
#include <string.h>

bool backing_is_attached(const struct device *device)
{
	char text[32];

	/* A file that cannot be read just now (no memory) says nothing. */
	return !device_is_none(device) && device_attribute(device, "pid", text, sizeof text) != -ENOENT;
}

enum transport_backing backing_of(const struct device *device, const char *backend)
{
	char text[80], pid[32];
	int r;

	if (device_is_none(device))
		return TRANSPORT_BACKING_NONE;
	r = device_attribute(device, "backend", text, sizeof text);
	if (!r)
		return strcmp(text, backend) == 0 ? TRANSPORT_BACKING_OURS : TRANSPORT_BACKING_OTHER;
	if (!device_is_absent(r))
		return TRANSPORT_BACKING_UNKNOWN;
	r = device_attribute(device, "pid", pid, sizeof pid);
	return !r                    ? TRANSPORT_BACKING_UNNAMED
	       : device_is_absent(r) ? TRANSPORT_BACKING_NONE
				     : TRANSPORT_BACKING_UNKNOWN;
}

/* The first device that answers the question with "ours", and whether all could be asked. */
struct search {
	enum transport_backing (*ask)(const struct search *search, const struct device *device);
	const char *backend;
	const struct device *own;
	struct device *found;
	bool is_unsure;
};

/* Non-zero: found. */
static int look_at(void *opaque, const struct device *device)
{
	struct search *search = opaque;
	enum transport_backing backing = search->ask(search, device);

	search->is_unsure |= backing == TRANSPORT_BACKING_UNKNOWN;
	if (backing != TRANSPORT_BACKING_OURS)
		return 0;
	device_init(search->found, device->path);
	return 1;
}

/* 0, -ENODEV or -EAGAIN: there is none among those that could be asked. */
static int look_for(struct search *search)
{
	int r = device_each(BACKING_START, look_at, search);

	return r == 1 ? 0 : r || search->is_unsure ? -EAGAIN : -ENODEV;
}

static enum transport_backing has_backend(const struct search *search, const struct device *device)
{
	return backing_of(device, search->backend);
}

int backing_find(const char *backend, struct device *device)
{
	return look_for(&(struct search){.ask = has_backend, .backend = backend, .found = device});
}

static enum transport_backing is_other(const struct search *search, const struct device *device)
{
	char text[64];
	int r = strcmp(device->path, search->own->path) == 0 ? -ENOENT
							     : device_attribute(device, "backend", text, sizeof text);

	if (r)
		return device_is_absent(r) ? TRANSPORT_BACKING_NONE : TRANSPORT_BACKING_UNKNOWN;
	return strncmp(text, TRANSPORT_BACKEND_START, strlen(TRANSPORT_BACKEND_START)) == 0 ? TRANSPORT_BACKING_OURS
											    : TRANSPORT_BACKING_OTHER;
}

bool backing_has_others(const struct device *device)
{
	struct device other;

	return look_for(&(struct search){.ask = is_other, .own = device, .found = &other}) != -ENODEV;
}
