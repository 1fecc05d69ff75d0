/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the module. See spill.h. */
#include "spill/spill.h"

__attribute__((visibility("default"))) const struct spill_functions spill_functions = {
	.version = SPILL_VERSION,
	.params_init = spill_params_init,
	.kind_of = spill_kind_of,
	.make = spill_make,
	.open = spill_open,
	.note_live = spill_note_live,
	.start = spill_start,
	.close = spill_close,
	.put = spill_put,
	.flush = spill_flush,
	.drop = spill_drop,
	.clean_step = spill_clean_step,
	.get = spill_get,
	.stats = spill_stats,
	.status = spill_status,
};
