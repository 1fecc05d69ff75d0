/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of statistics. See stats_list.h. */
#include "host/stats_list.h"

#define FIGURE(name)                                                                                                   \
	{                                                                                                              \
#name, offsetof(struct zsblk_stats, name)                                                              \
	}

const struct stats_list stats_list[] = {
	FIGURE(orig_data_size),   FIGURE(compr_data_size),
	FIGURE(mem_used_total),   FIGURE(mem_limit),
	FIGURE(mem_cap),          FIGURE(mem_used_max),
	FIGURE(same_pages),       FIGURE(pages_compacted),
	FIGURE(huge_pages),       FIGURE(huge_pages_since),
	FIGURE(blocks_stored),    FIGURE(pool_bytes),
	FIGURE(metadata_bytes),   FIGURE(reserved_bytes),
	FIGURE(reserve_misses),   FIGURE(reads),
	FIGURE(writes),           FIGURE(discards),
	FIGURE(zeroes),           FIGURE(read_bytes),
	FIGURE(write_bytes),      FIGURE(discard_bytes),
	FIGURE(failed_reads),     FIGURE(failed_writes),
	FIGURE(failed_discards),  FIGURE(recompressed),
	FIGURE(recompress_saved), FIGURE(groups),
	FIGURE(group_blocks),     FIGURE(group_bytes),
	FIGURE(cold_reads),       FIGURE(cold_decodes),
	FIGURE(regrouped),        {NULL, 0},
};

uint64_t stats_list_value(const struct stats_list *one, const struct zsblk_stats *stats)
{
	return *(const uint64_t *)(const void *)((const char *)stats + one->offset);
}
