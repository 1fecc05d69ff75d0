/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings of the server that were changed in use and are not the engine's. They are lines of the segment's memo (zsblk_set_memo()), so that the
 * next server of the segment goes on with them: KEY=NOW, a tab, and GIVEN, what the parameter KEY was when the setting was changed. As with the
 * engine's settings, a change holds as long as that parameter is what it was: docs/format.md.
 *
 * Each call keeps the lines of other keys. Calls of one process run one after the other. Nothing here waits for memory.
 */
#ifndef MEMO_H
#define MEMO_H

#include <stdbool.h>

struct zsblk;

/* Bytes of a value, with its NUL. */
#define MEMO_VALUE_MAX 64u

/*
 * Was this setting changed, while its parameter was `given`? Then *now has its value. A change under another parameter is dropped: somebody has
 * decided anew since. After zsblk_start().
 */
bool memo_adopt(struct zsblk *dev, const char *key, const char *given, char now[MEMO_VALUE_MAX]);

/* Note a change. Neither text has a tab or a newline. 0, or -E2BIG: there is no room, and the next server does not know of it. */
int memo_note(struct zsblk *dev, const char *key, const char *given, const char *now);

#endif
