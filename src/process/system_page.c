/* SPDX-License-Identifier: BSD-3-Clause */
/* The system page. See system_page.h. */
#include "process/system_page.h"

#include <unistd.h>

uint64_t system_page(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t system_page_floor(uint64_t bytes)
{
	return bytes & ~(system_page() - 1);
}

uint64_t system_page_ceil(uint64_t bytes)
{
	return system_page_floor(bytes + system_page() - 1);
}
