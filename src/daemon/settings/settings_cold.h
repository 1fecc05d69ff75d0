/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys that say what servers do with cold blocks. The daemon has no use for them but to find mistakes before there is a server: it passes
 * them on, in settings->cold.
 */
#ifndef SETTINGS_COLD_H
#define SETTINGS_COLD_H

struct settings;
struct wrong;

/*
 * Take one of cold, cold-after, cold-algorithm, frozen-after, frozen-algorithm, cold-rate and cold-budget. 0, -EINVAL with the reason, or
 * -ENOMEM.
 */
int settings_cold_set(struct settings *settings, const char *key, const char *value, struct wrong *wrong);

#endif
