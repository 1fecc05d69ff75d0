/* SPDX-License-Identifier: BSD-3-Clause */
/* One file of a configuration: who may have written it, and what its lines say. The language is in zsblk.conf(5). */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

struct mistakes;
struct wrong;

/* What is shown of a path; of a long one the end, since the message needs room too. Within `path`. */
const char *config_file_shown(const char *path);

/* A line with a key and a value, which may be empty. 0, or a negative errno with the reason, which need not name file and line. */
typedef int config_pair_fn(void *opaque, const char *key, const char *value, unsigned line, struct wrong *wrong);

/*
 * Call `pair` for each line that says something. What is wrong is noted in `mistakes`, with file and line in front; after
 * the first mistake nothing more is read, unless each of them is asked for. May block for the disk.
 */
void config_file_read(const char *path, config_pair_fn *pair, void *opaque, struct mistakes *mistakes);

#endif
