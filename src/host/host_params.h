/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parameters of a server: what people give as KEY=VALUE, the same behind every front end. One table in
 * host_params.c has each key, its parser and its lines of help.
 *
 * A front end takes parameters like this, and shows people what is in `why`:
 *
 *   host_params_init()
 *   host_params_set()        for each KEY=VALUE
 *   host_params_complete()   defaults that depend on other parameters, and the check of the whole
 *   host_prepare() ...       host.h
 *   host_params_free()
 *
 * Functions that return int give 0, or a negative errno with the reason in *why, which is then never empty: what was
 * wrong, with which value, and what would be right. One thread at a time for one struct; none of them waits for
 * anything but the file system.
 */
#ifndef HOST_PARAMS_H
#define HOST_PARAMS_H

#include "host/cold_settings.h"
#include "zsblk.h"

#include <sys/types.h>

/* How much of protect.h is wanted, so that the process never waits for memory that only it can free. */
enum host_lock {
	HOST_LOCK_AUTO, /* what the rights permit */
	HOST_LOCK_YES,  /* what swap needs, or fail */
	HOST_LOCK_NO,   /* nothing */
};

struct host_params {
	struct zsblk_params engine;
	enum host_lock lock;
	char *stats_path;          /* absolute, owned by this struct; NULL: no statistics file */
	char *control_path;        /* absolute, owned by this struct; NULL: no control socket */
	gid_t control_group;       /* who may look there; -1: no group */
	unsigned background_cpu;   /* share of one processor for jobs (jobs.h), in percent: 1 to 100 */
	struct cold_settings cold; /* what the policy of cold blocks does: cold.h */
	char *inherited; /* a copy of HOST_PARAMS_VARIABLE, which some of the values are in; owned by this struct */
	unsigned given;  /* a bit for each key of the table that host_params_set() has taken */
};

/*
 * Further parameters in the environment: lines of KEY=VALUE. Keys that this version does not know are ignored. So whoever starts
 * servers of several versions, as zsblkd does, can give the newer ones what the older ones would refuse on the command line.
 */
#define HOST_PARAMS_VARIABLE "ZSBLK_PARAMETERS"

/* Every default that depends on nothing. */
void host_params_init(struct host_params *params);
/* Release what host_params_set() has made. The host must be closed. */
void host_params_free(struct host_params *params);

/*
 * Take one KEY=VALUE. `value` must stay valid as long as *params is used. A relative path is taken from the current
 * folder, so before the process leaves that.
 *
 * -ENOENT: there is no such key; -EINVAL: the value is wrong, or the key was given before; -ENOMEM, or what the system
 * says of a path.
 */
int host_params_set(struct host_params *params, const char *key, const char *value, struct zsblk_why *why);

/*
 * After the last host_params_set(): take what HOST_PARAMS_VARIABLE has of keys that were not given, fill in the defaults that depend
 * on other parameters, and check all of them together.
 * -EINVAL: they contradict each other; or an error of host_params_set().
 */
int host_params_complete(struct host_params *params, struct zsblk_why *why);

/*
 * The text of --help on the parameters: lines of the form "key=...", each with a newline, with the algorithms and
 * levels of the engine. The text is static. The first call makes it, and must not run at the same time as another.
 */
const char *host_params_help(void);

#endif
