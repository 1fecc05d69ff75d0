/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file that stats=FILE names: the device's statistics as text, one "name=value" a line, in the units of struct
 * zsblk_stats. A thread of its own writes the file, so that no request waits for a file: at most once a second, when a
 * figure has changed. The file is replaced, not rewritten, so that a reader always finds a complete one.
 */
#ifndef STATS_FILE_H
#define STATS_FILE_H

#include "zsblk.h"

struct stats_file;

/*
 * Called when the result of writing changes, from the file's thread as well. `error`: an errno; 0: the file is written
 * again.
 */
typedef void stats_file_trouble_fn(void *opaque, const char *path, int error);

/*
 * Write the front end's further lines of the file, "name=value\n" each. Returns their length as snprintf() does. Called by the
 * file's thread.
 */
typedef size_t stats_file_more_fn(char *text, size_t size);

/*
 * Write the file and start its thread. 0 or a negative errno; a file that cannot be written is no error, but told by
 * `trouble`. The caller keeps *dev and `path` until stats_file_stop(). `more` may be NULL.
 */
int stats_file_start(struct stats_file **file, const char *path, struct zsblk *dev, stats_file_more_fn *more,
		     stats_file_trouble_fn *trouble, void *opaque);

/* Stop the thread and write the file a last time. NULL is allowed. */
void stats_file_stop(struct stats_file *file);

#endif
