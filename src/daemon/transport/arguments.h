/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arguments of the servers to come. A transport makes them once, since a recovery is not the time to allocate; each server's own are
 * put into their places when it is started (server/server_command.c). One thread.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "daemon/settings/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGUMENTS_MAX (SETTINGS_MAX_PARAMS + 16)
/* No argument has this place. */
#define ARGUMENTS_NONE 0u
/* Room for the start of the argument by which a server is told its contact. */
#define ARGUMENTS_CONTACT_START 16

struct arguments {
	char *list[ARGUMENTS_MAX + 1]; /* ends with NULL */
	unsigned n;
	unsigned module;  /* the place of the file that the server loads; ARGUMENTS_NONE: none */
	unsigned size;    /* the place of the device's size, which may change; ARGUMENTS_NONE: there is none */
	unsigned contact; /* the place of an argument that ends with the path by which the server is met */
	unsigned
		device; /* the place of one that says which device a server is for, and is left out where it is empty */
};

/* Zeroed before. 0, -E2BIG or -ENOMEM, as all that follow. `format` has one %s. */
int arguments_add(struct arguments *arguments, const char *format, const char *value);
/* The file that the server loads. */
int arguments_add_module(struct arguments *arguments, const char *value);
/* What each server's own argument begins with ("--unix="); shorter than ARGUMENTS_CONTACT_START. */
int arguments_add_contact(struct arguments *arguments, const char *start);
/* Where each server is told its device, by an argument that begins with "--". */
int arguments_add_device(struct arguments *arguments);
/* The parameters that were given, and those that swap needs unless they were given. */
int arguments_add_params(struct arguments *arguments, const struct settings *settings, const char *memory,
			 const char *stats);
/* The size that servers are started with from now on, in bytes. Allocates nothing. */
void arguments_set_size(struct arguments *arguments, uint64_t bytes);
/* The parameters for the trial of a server: on a little memory of its own, and without what only one server may have. */
int arguments_add_trial_params(struct arguments *arguments, const struct settings *settings);
void arguments_free(struct arguments *arguments);

/*
 * Are these the bytes of /proc/PID/cmdline (arguments, each ended by a NUL) of a server with these arguments? These may differ: its name,
 * what is each server's own, the size, which a device changes in use, and the module, which may be `module` as well.
 */
bool arguments_match(const struct arguments *arguments, const char *module, const char *text, size_t bytes);

#endif
