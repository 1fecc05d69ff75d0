/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file that stats=FILE names: the device's statistics as text, one "name=value" a line, for
 * people, scripts and tests. A thread of its own writes it, at most once a second and only when a
 * figure has changed, so that no request ever waits for a file. Readers always find a whole one: it
 * is replaced, not rewritten.
 */
#ifndef STATS_FILE_H
#define STATS_FILE_H

#include "zsblk.h"

struct stats_file;

/* Said once for each kind of trouble; `error` is an errno, 0 when the file could be written again. */
typedef void stats_file_trouble_fn(void *opaque, const char *path, int error);

/*
 * Write the file now and start its thread. 0 or a negative errno; trouble with the file is no error. *dev and `path` must stay
 * until stats_file_stop().
 */
int stats_file_start(struct stats_file **file, const char *path, struct zsblk *dev, stats_file_trouble_fn *trouble,
		     void *opaque);

/* Stop the thread and write the file a last time. NULL is allowed. */
void stats_file_stop(struct stats_file *file);

#endif
