/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of instances, as people give them. */
#ifndef NAME_H
#define NAME_H

#include <stdbool.h>

#define NAME_MAX_CHARS 32

/* At most 32 letters, digits, '.', '_' and '-'; neither . nor .., and no .conf.d at the end, since /run/zsblk has such folders, too. */
bool name_is_good(const char *name);

#endif
