/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of nbdkit. See nbdkit.h. */
#include "daemon/transport/nbd/nbdkit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *nbdkit_program(const struct settings *settings)
{
	return settings->nbdkit;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* nbdkit makes a file's name of a plugin's; a path stays one (nbdkit(1)), and its links are followed. */
void nbdkit_module_file(const char *module, char *name, size_t size)
{
	char path[PATH_MAX];

	if (strpbrk(module, "/."))
		snprintf(name, size, "%.*s", NAME_MAX, last_part(realpath(module, path) ? path : module));
	else
		snprintf(name, size, "nbdkit-%s-plugin.so", module);
}

int nbdkit_arguments(struct arguments *arguments, const struct settings *settings, const char *memory,
		     const char *stats)
{
	char threads[16];
	int r;

	snprintf(threads, sizeof threads, "%u", settings->threads);
	/*
	 * The first character of its name keeps systemd from ending it when everything else ends, since what is
	 * swapped out to it must come back before (systemd's "root storage daemons").
	 */
	r = arguments_add(arguments, "@%s", "nbdkit");
	r = r ? r : arguments_add(arguments, "%s", "--foreground");
	r = r ? r : arguments_add(arguments, "--threads=%s", threads);
	r = r ? r : arguments_add_contact(arguments, "--unix=");
	r = r ? r : arguments_add_module(arguments, settings->plugin);
	return r ? r : arguments_add_params(arguments, settings, memory, stats);
}
