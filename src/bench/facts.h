/* SPDX-License-Identifier: BSD-3-Clause */
/* What the machine is that figures are of. All texts are as the machine tells them: any bytes. */
#ifndef FACTS_H
#define FACTS_H

#include <stdint.h>

struct facts {
	char processor[128]; /* such as "AMD EPYC 7B13"; the architecture where nobody tells more */
	char system[128];    /* such as "Debian GNU/Linux 12 (bookworm)"; empty: it is not known */
	char kernel[196];    /* name, release and architecture */
	char date[32];       /* of now, in UTC */
	unsigned processors; /* that are in use */
	uint64_t memory_bytes, swap_bytes;
	long page_bytes; /* of the system */
};

/* What cannot be found out is empty or 0. */
void facts_get(struct facts *facts);

#endif
