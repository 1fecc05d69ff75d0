/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where sockets lie, and whether what answers there can be believed. Anybody could make a folder or a socket of a name that zsblkctl looks
 * for, and answer with figures of his own. So a socket is believed only
 *
 *   - in a folder that belongs to root or to the caller, and that nobody else can write to; or,
 *   - in a folder with the sticky bit, such as /tmp, if root or the caller listens on it.
 */
#ifndef PLACE_H
#define PLACE_H

#include "ctl/complain.h"

#include <stdint.h>

#ifndef PLACE_TOP
#define PLACE_TOP "/run/zsblk"
#endif

/*
 * Open the folder of the instance `name`, for place_connect(). The descriptor, or -1 with *code (EXIT_*) and the reason.
 */
int place_open_instance(const char *name, int *code, struct complaint *why);

/* Open the folder that the socket `path` lies in; *file is what the socket is called there, and points into `path`. The same otherwise. */
int place_open_socket(const char *path, const char **file, int *code, struct complaint *why);

/*
 * A connection to the socket `file` of that folder, which does not block. If too many others wait to be accepted, it is tried again until
 * `until_ms` (of place_now_ms()). The descriptor, or a negative errno: -ENOENT or -ECONNREFUSED if nobody listens, -EPERM if who listens cannot be believed.
 */
int place_connect(int folder, const char *file, int64_t until_ms);

/* The monotonic clock. */
int64_t place_now_ms(void);

/*
 * The names of all instances that have a folder, in order: a list that ends with NULL, for place_free_names(). NULL, with *code and the reason;
 * EXIT_DONE if there is no folder of instances at all, since none was ever started then.
 */
char **place_names(int *code, struct complaint *why);
void place_free_names(char **names);

#endif
