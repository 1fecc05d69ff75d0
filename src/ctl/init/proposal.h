/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration for swap on this machine, from what was found out about it. Pure: the same facts give the same text.
 *
 *   mem-limit   half of the memory: the other half is for programs, whatever is swapped out
 *   size        what fits into that, as the pages that were measured compress; between half and twice the memory
 *   algorithm   zstd where it takes a fifth less than lz4 and there are processors for it: the way to the server takes longer than either
 *   priority    above that of all other swap
 *   cold        on where there is a second processor: what nobody uses takes half of that then
 */
#ifndef PROPOSAL_H
#define PROPOSAL_H

#include "ctl/init/machine_pages.h"

#include <stddef.h>

struct proposal_facts {
	struct machine_pages pages;
	unsigned processors;
	int highest_priority; /* of swap in use that is not zsblk's; -1: there is none */
};

#define PROPOSAL_BYTES 2000
/* The text of the file. */
void proposal_write(char text[PROPOSAL_BYTES], const struct proposal_facts *facts);

#endif
