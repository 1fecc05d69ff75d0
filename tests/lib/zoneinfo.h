/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device sees of the system's memory, made up. */
#ifndef TEST_ZONEINFO_H
#define TEST_ZONEINFO_H

#include "lib/base.h"

#include "process/spare.h"

#include <sys/mman.h>

/* From now on `spare` sees one zone, of whose pages so many are free. */
static inline void zoneinfo_set_free(struct spare *spare, unsigned pages)
{
	char text[128];
	int fd = memfd_create("zoneinfo", MFD_CLOEXEC);
	int len = snprintf(text, sizeof text,
			   "Node 0, zone Normal\n  pages free %8u\n min 100\n low 200\n protection: (0, 0)\n", pages);

	must(fd >= 0 && write(fd, text, (size_t)len) == len && dup2(fd, spare->fd) >= 0);
	close(fd);
}

#endif
