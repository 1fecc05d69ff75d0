/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether the settings go together, once all are there: keys that depend on each other, and what the plugin will say to its parameters,
 * which the library that the plugin is made of tells. See settings.h.
 */
#include "daemon/settings/mistakes.h"
#include "daemon/settings/settings.h"
#include "text/duration.h"
#include "zsblk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The server's default for cold-after, in seconds. */
#define COLD_AFTER 900u

/* Say what is wrong with a setting, and where it was given. */
__attribute__((format(printf, 4, 5))) static int wrong_at(const struct settings *settings, const char *key,
							  struct wrong *wrong, const char *format, ...)
{
	unsigned line = settings_line(settings, key);
	struct wrong why;
	va_list args;

	va_start(args, format);
	vsnprintf(why.text, sizeof why.text, format, args);
	va_end(args);
	if (!settings->path)
		return wrong_say(wrong, "%s", why.text);
	if (!line)
		return wrong_say(wrong, "%s: %.275s", settings->path, why.text);
	return wrong_say(wrong, "%s:%u: %.265s", settings_file(settings, key), line, why.text);
}

/* Keys that one use has and another has not. */
static int check_use(const struct settings *settings, struct wrong *wrong)
{
	static const char *const uses[] = {[SETTINGS_USE_NOTHING] = "for nothing",
					   [SETTINGS_USE_SWAP] = "for swap",
					   [SETTINGS_USE_MOUNT] = "mounted"};
	bool mount = settings->use == SETTINGS_USE_MOUNT, swap = settings->use == SETTINGS_USE_SWAP;

	if (mount && !settings->mount_point)
		return wrong_at(settings, "use", wrong,
				"use = mount needs a mount-point, such as mount-point = /srv/fast");
	if (settings->mount_point && !mount)
		return wrong_at(settings, "mount-point", wrong,
				"mount-point = %.80s is for use = mount, and this device is %s; leave one of them out",
				settings->mount_point, uses[settings->use]);
	if (settings_given(settings, "swap-priority") && !swap)
		return wrong_at(settings, "swap-priority", wrong,
				"swap-priority = %d is for use = swap, and this device is %s; leave one of them out",
				settings->swap_priority, uses[settings->use]);
	if (settings_given(settings, "tune") && !swap)
		return wrong_at(settings, "tune", wrong,
				"tune = %s is for use = swap, and this device is %s; leave one of them out",
				settings->tune ? "yes" : "no", uses[settings->use]);
	if (mount && strcmp(settings->fs_type, "swap") == 0)
		return wrong_at(
			settings, "fs-type", wrong,
			"fs-type = swap is for use = swap, and this device is mounted; leave the mount-point out");
	if (settings_given(settings, "fs-type") && !mount && !(swap && strcmp(settings->fs_type, "swap") == 0))
		return wrong_at(settings, "fs-type", wrong,
				"fs-type = %.80s is for a device that is mounted; add a mount-point, or leave it out",
				settings->fs_type);
	if (settings_given(settings, "options") && !mount && !(swap && strcmp(settings->mount_options, "discard") == 0))
		return wrong_at(settings, "options", wrong,
				"options = %.80s is for a device that is mounted; swap has discard, and nothing else",
				settings->mount_options);
	return 0;
}

/* A device decides by itself, and keys that one transport has and another has not say so too. */
static int check_transport(const struct settings *settings, struct wrong *wrong)
{
	static const char *const names[] = {[SETTINGS_TRANSPORT_UBLK] = "ublk", [SETTINGS_TRANSPORT_NBD] = "nbd"};
	enum settings_transport of_device = !settings->device                               ? SETTINGS_TRANSPORT_AUTO
					    : strncmp(settings->device, "/dev/nbd", 8) == 0 ? SETTINGS_TRANSPORT_NBD
											    : SETTINGS_TRANSPORT_UBLK;
	enum settings_transport transport = of_device ? of_device : settings->transport;

	if (of_device && settings->transport && of_device != settings->transport)
		return wrong_at(settings, "device", wrong,
				"device = %s is for transport = %s, and transport = %s is given; leave one of them out",
				settings->device, names[of_device], names[settings->transport]);
	if (transport == SETTINGS_TRANSPORT_UBLK && settings_given(settings, "connections"))
		return wrong_at(settings, "connections", wrong,
				"connections = %u is for transport = nbd, and this device is of ublk; leave it out",
				settings->connections);
	if (transport == SETTINGS_TRANSPORT_UBLK && settings_given(settings, "threads"))
		return wrong_at(settings, "threads", wrong,
				"threads = %u is for transport = nbd, and this device is of ublk; leave it out",
				settings->threads);
	return 0;
}

/* With one connection the kernel sends nothing again by itself. */
static int check_connections(const struct settings *settings, struct wrong *wrong)
{
	if (settings->connections > 1 || !settings_given(settings, "request-timeout"))
		return 0;
	return wrong_at(
		settings, "request-timeout", wrong,
		"request-timeout = %u is for several connections, and there is one; leave it out, or add connections = 2",
		settings->request_timeout);
}

/* Ask the library what the plugin will say to its parameters. A size that is not understood here is left to the plugin. */
static int check_params(const struct settings *settings, struct wrong *wrong)
{
	struct zsblk_params params;
	struct zsblk_why why = {""};
	const char *level = settings_param(settings, "level"), *key = "size";
	char first[24], *end;

	if (!settings_param(settings, "size"))
		return wrong_at(settings, "size", wrong,
				"there is no size; say how much is to be stored, for example %s",
				settings->path ? "size = ram / 2" : "size=2G");
	zsblk_params_init(&params);
	params.size = settings_param_bytes(settings, "size");
	if (!params.size && strcmp(settings_param(settings, "size"), "0") != 0)
		params.size = ZSBLK_BLOCK_SIZE;
	params.max_size = settings_param_bytes(settings, "max-size");
	params.mem_limit = settings_param_bytes(settings, "mem-limit");
	params.reserve = settings_param_bytes(settings, "reserve");
	if (settings_param(settings, "algorithm"))
		params.algorithm = settings_param(settings, "algorithm");
	if (settings_param(settings, "memory"))
		params.memory = settings_param(settings, "memory");
	if (level) {
		params.level = (int)strtol(level, &end, 10);
		params.has_level = *level && !*end;
	}
	if (!zsblk_params_check(&params, &why))
		return 0;
	snprintf(first, sizeof first, "%.*s", (int)strcspn(why.text, "= "), why.text);
	if (settings_has_key(first))
		key = first;
	/* zstd(level=3) */
	if (strcmp(key, "level") == 0 && !settings_given(settings, "level"))
		key = "algorithm";
	return wrong_at(settings, key, wrong, "%s", why.text);
}

static int check_cold(const struct settings *settings, struct wrong *wrong)
{
	uint64_t cold_after = settings->cold_after ? settings->cold_after : COLD_AFTER;
	char cold[DURATION_BYTES], frozen[DURATION_BYTES];

	if (!settings->frozen_after || settings->frozen_after > cold_after)
		return 0;
	return wrong_at(settings, "frozen-after", wrong,
			"frozen-after = %s is not later than cold-after = %s; give a later one, or never",
			duration_text(settings->frozen_after, frozen), duration_text(cold_after, cold));
}

static int check_presence(const struct settings *settings, struct wrong *wrong)
{
	if (!settings->fs_type || !settings->mount_options || !settings->nbdkit || !settings->plugin ||
	    !settings->ublk_server)
		return wrong_say(wrong, "no memory");
	if (!settings->name)
		return wrong_say(wrong, "there is no name; give the device one, such as swap0");
	return 0;
}

int settings_check_all(const struct settings *settings, struct mistakes *mistakes)
{
	static int (*const checks[])(const struct settings *settings, struct wrong *wrong) = {
		check_presence, check_params, check_cold, check_transport, check_connections, check_use,
	};
	struct wrong wrong = {""};

	for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
		if (checks[i](settings, &wrong) && !mistakes_add(mistakes, -EINVAL, wrong.text))
			break;
	return mistakes->error;
}

int settings_check(const struct settings *settings, struct wrong *wrong)
{
	struct mistakes mistakes = {.tell = NULL};
	int r = settings_check_all(settings, &mistakes);

	if (r)
		wrong_say(wrong, "%s", mistakes.first.text);
	return r;
}
