/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkd's command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "daemon/settings/settings.h"

/* Of --check: there is no such configuration, or it cannot be read. */
#define OPTIONS_EXIT_NO_FILE 2

struct options {
	/* A request to the daemon of this instance (control.h), or NULL: be a daemon. */
	const char *request;
	const char *request_name;
	bool check; /* only say whether the settings are right */
	bool verbose;
	struct settings settings;
};

/* Parse it. Returns 0; exits after --help and --version, and after saying what is wrong. */
void options_parse(struct options *options, int argc, char **argv);

#endif
