/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of a daemon have in common: the instance that they all work on. Each part (status, stop, use, upgrade) keeps its own
 * state to itself, and what it decides is not here. start.c fills this in; daemon.c frees it.
 */
#ifndef INSTANCE_H
#define INSTANCE_H

#include "daemon/state/folder.h"
#include "daemon/state/own_segment.h"

#include <stdbool.h>
#include <sys/types.h>

struct ballast;
struct control;
struct job;
struct keeper;
struct sd_event;
struct server_command;
struct settings;
struct transport;

struct instance {
	struct settings *settings;
	struct sd_event *loop;
	struct folder folder;
	struct own_segment segment;
	const struct transport *transport;
	char fallback[200]; /* why it is not another transport, which would be better; empty: none would */
	char backend[48];   /* the device's identifier */
	char stats[FOLDER_PATH_MAX + 60];        /* path of the server's statistics */
	char control_path[FOLDER_PATH_MAX + 60]; /* of the server's control socket */
	struct server_command *command;
	struct ballast *ballast;
	struct keeper *keeper;
	struct job *job; /* whatever changes the device: one at a time */
	struct control *control;
	gid_t control_group; /* whose members may look; (gid_t)-1: nobody's */
	bool in_service;     /* the device is or was swap, mounted, or ready for use: what is stored is somebody's */
};

#endif
