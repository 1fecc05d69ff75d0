/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of transports, and what goes over all of them. See transport.h. */
#include "daemon/transport/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static const struct transport *const transports[] = {&nbd_transport, &ublk_transport};

#define N_TRANSPORTS (sizeof transports / sizeof transports[0])

/* ------------------------------------------------------------------ whose a device is */

const struct transport *transport_of(const struct device *device)
{
	for (size_t i = 0; i < N_TRANSPORTS; i++)
		if (device_number(device->path, transports[i]->device_start) >= 0)
			return transports[i];
	return NULL;
}

enum transport_backing transport_backing(const struct device *device, const char *backend)
{
	const struct transport *transport = transport_of(device);

	return transport ? transport->backing(device, backend) : TRANSPORT_BACKING_NONE;
}

bool transport_is_attached(const struct device *device)
{
	const struct transport *transport = transport_of(device);

	return transport && transport->is_attached(device);
}

enum transport_backing transport_hold(const struct device *device, const char *backend, int *held)
{
	*held = device_is_none(device) ? -1 : open(device->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return transport_backing(device, backend);
}

int transport_find(const struct settings *settings, const char *backend, struct device *device)
{
	int found = -ENODEV;

	device_init(device, "");
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		int r = transports[i]->find(settings, backend, device);

		if (!r)
			return 0;
		if (r != -ENODEV)
			found = -EAGAIN;
	}
	return found;
}

int transport_find_instance(const struct settings *settings)
{
	char backend[64];
	struct device device;

	snprintf(backend, sizeof backend, TRANSPORT_BACKEND_START "%s", settings->name);
	return transport_find(settings, backend, &device);
}

bool transport_has_others(const struct settings *settings, const struct device *device)
{
	for (size_t i = 0; i < N_TRANSPORTS; i++)
		if (transports[i]->has_others(settings, device))
			return true;
	return false;
}

int transport_detach(const struct settings *settings, const struct device *device, struct wrong *wrong)
{
	const struct transport *transport = transport_of(device);

	return transport ? transport->detach(settings, device, wrong) : -ENODEV;
}

void transport_remove_leftovers(const struct transport *transport, const struct settings *settings, int segment)
{
	if (transport->remove_leftovers)
		transport->remove_leftovers(settings, segment);
}

/* ------------------------------------------------------------------ a server behind the device */

int transport_open(struct transport_end **end, const struct transport *transport, const struct transport_spec *spec,
		   struct wrong *wrong)
{
	return transport->open(end, spec, wrong);
}

void transport_close(struct transport_end *end)
{
	if (end)
		end->transport->close(end);
}

void transport_reach(struct transport_end *end, const struct transport_server *server, bool adopted)
{
	end->transport->reach(end, server, adopted);
}

int transport_set_size(struct transport_end *end, uint64_t size, struct wrong *wrong)
{
	return end->transport->set_size(end, size, wrong);
}

void transport_let_go(struct transport_end *end)
{
	end->transport->let_go(end);
}

void transport_check(struct transport_end *end)
{
	end->transport->check(end);
}

uint64_t transport_longest_probe_us(const struct transport_end *end)
{
	return end->transport->longest_probe_us(end);
}
