/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: nbdkit, which is the server over NBD, and its plugin. See doctor.h. */
#include "machine/doctor_parts.h"
#include "machine/program.h"

#include <stdio.h>
#include <string.h>

#define ASK_LIMIT_US (10u * 1000000u)
#define PLUGIN_FILE  "nbdkit-zsblk-plugin.so"
/* nbdkit 1.34 has mended a crash when a client is killed. */
#define GOOD_MAJOR 1u
#define GOOD_MINOR 34u

/* Its configuration, lines of KEY=VALUE. False: there is no nbdkit, or it does not say. */
static bool ask_nbdkit(const struct doctor *doctor, char *text, size_t size)
{
	char program[DOCTOR_PATH_BYTES];
	const char *const arguments[] = {program, "--dump-config", NULL};
	struct program_text output = {text, size, 0};

	text[0] = '\0';
	return doctor_program(doctor, "nbdkit", program) &&
	       program_run(arguments, &output, NULL, program_clock_us() + ASK_LIMIT_US, NULL) == 0;
}

/* The value of a key; false if it is not there. */
static bool value_of(const char *text, const char *key, char *value, size_t size)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
		if (strncmp(line, key, length) == 0 && line[length] == '=') {
			line += length + 1;
			snprintf(value, size, "%.*s", (int)strcspn(line, "\n"), line);
			return true;
		}
	return false;
}

void doctor_check_nbdkit(struct doctor *doctor)
{
	char text[4096], version[40];
	unsigned major, minor;

	if (!ask_nbdkit(doctor, text, sizeof text) || !value_of(text, "version", version, sizeof version)) {
		doctor_find(doctor, DOCTOR_NOTE,
			    "nbdkit is the server over NBD. Over ublk zsblk-ublk is, which needs no nbdkit.",
			    "nbdkit is not installed, or does not run (nbdkit --dump-config)");
		doctor_remedy(doctor, "apt install nbdkit");
		doctor->nbd_is_usable = false;
		return;
	}
	if (sscanf(version, "%u.%u", &major, &minor) == 2 &&
	    (major < GOOD_MAJOR || (major == GOOD_MAJOR && minor < GOOD_MINOR))) {
		doctor_find(
			doctor, DOCTOR_NOTE,
			"nbdkit before 1.34 can crash when a client is killed. The kernel's client is not, and zsblkd replaces a server that "
			"crashed; a disk for other clients (zsblk-disk@.service) is gone then unless it has memory=shm:KEY.",
			"nbdkit is version %s", version);
		doctor_remedy(doctor, "# upgrade nbdkit to 1.34 or later, where that matters");
	}
}

void doctor_check_plugin(struct doctor *doctor)
{
	char text[4096], folder[300], file[400];

	if (!ask_nbdkit(doctor, text, sizeof text) || !value_of(text, "plugindir", folder, sizeof folder))
		return;
	snprintf(file, sizeof file, "%s/" PLUGIN_FILE, folder);
	if (doctor_has(doctor, file))
		return;
	doctor_find(doctor, DOCTOR_NOTE,
		    "nbdkit zsblk looks for the plugin there. A key plugin in /etc/zsblk can name another file.",
		    "the plugin is not installed: there is no %s", file);
	doctor_remedy(doctor, "# install zsblk's plugin for nbdkit");
	doctor->nbd_is_usable = false;
}
