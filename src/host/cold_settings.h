/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the policy of cold blocks was told: what is cold, when, how it is packed, and how much work that may be. The same
 * keys and values everywhere: parameters of a server, keys of zsblk.conf, the memo in the segment, zsblkctl.
 *
 * Functions allocate nothing. One thread at a time for one struct.
 */
#ifndef COLD_SETTINGS_H
#define COLD_SETTINGS_H

#include "zsblk.h"

/* An algorithm, and its level. */
struct cold_codec {
	char algorithm[16];
	int level;
};

struct cold_settings {
	bool on;
	uint64_t cold_after_s; /* a block that nobody has used for so long goes into a group */
	struct cold_codec cold;
	uint64_t frozen_after_s; /* and into one that is packed more tightly; 0: never */
	struct cold_codec frozen;
	uint64_t rate;   /* bytes of data that are packed in a second at most; 0: as fast as it goes */
	uint64_t budget; /* bytes of data that are packed in 24 hours at most; 0: any */
};

/* Off, 15 minutes, zstd:9, 4 hours, lzma:1, no bounds. */
void cold_settings_init(struct cold_settings *settings);

/* Nobody has given frozen_after_s: 16 times cold_after_s, or never if there is no such algorithm. */
void cold_settings_default_frozen(struct cold_settings *settings);

/* The keys, in their order: "cold", "cold-after" and so on; NULL past the last one. */
const char *cold_settings_key(unsigned index);

/*
 * Set one. 0, -ENOENT (there is no such key), or -EINVAL with the reason: what was wrong, with which value, and what would
 * be right. The whole is cold_settings_check()'s to judge.
 */
int cold_settings_set(struct cold_settings *settings, const char *key, const char *value, struct zsblk_why *why);

/* For messages: the algorithms that groups can be made with, as "zstd or lzma". Returns `text`. */
const char *cold_settings_algorithms(char text[80]);

/* Enough for any value. */
#define COLD_VALUE_BYTES 32u

/* The value of the key at `index`, as cold_settings_set() takes it. Returns `text`. */
const char *cold_settings_value(const struct cold_settings *settings, unsigned index, char text[COLD_VALUE_BYTES]);

/* Copy the one at `index`. */
void cold_settings_copy(struct cold_settings *to, const struct cold_settings *from, unsigned index);

/* 0, or -EINVAL with the reason: settings that contradict each other, or an algorithm that there is not. */
int cold_settings_check(const struct cold_settings *settings, struct zsblk_why *why);

#endif
