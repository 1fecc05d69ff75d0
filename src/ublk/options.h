/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "host/host_params.h"

struct options {
	struct host_params host;
	uint32_t number; /* of the device; UAPI_ANY_NUMBER: the kernel's choice */
	unsigned queues; /* 0: the default */
	unsigned depth;  /* 0: the default */
	bool recover;
	bool remove;       /* only remove the device `number`, */
	bool served;       /* also while it has a server, */
	uint64_t sequence; /* and only if it is this disk; 0: any */
	bool list;         /* only list devices */
	bool check;        /* only see whether devices can be had here */
	bool trial;        /* do all but make a device */
	const char *ready; /* a link to make once the device is there; NULL: none */
	bool any_kernel;
	bool verbose;
	bool help;
	bool version;
};

/*
 * Take a whole command line. 0, or -EINVAL or -ENOMEM with the reason. Values stay where they are in argv. Release with
 * options_free(), after a failure as well.
 */
int options_parse(struct options *options, int argc, char **argv, struct zsblk_why *why);
void options_free(struct options *options);

/* What --help says, with the algorithms there are, to standard output. */
void options_print_help(void);

#endif
