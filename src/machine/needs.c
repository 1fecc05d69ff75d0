/* SPDX-License-Identifier: BSD-3-Clause */
/* What zsblk needs of a machine. See needs.h; why: tests/vm/README.md, "What it takes not to hang". */
#include "machine/needs.h"

#include "process/cgroup.h"

#include <stdio.h>
#include <string.h>

#include <linux/capability.h>

#define MOST_FREE_KIB (64u << 10)
#define FREE_SHARE    8u

/*
 * Programs, heaps, stacks and libraries of supervisor, daemon and server, locked: 22 MiB were measured on two CPUs
 * (tests/vm/README.md, "Below a limit").
 */
#define OWN_BYTES   (UINT64_C(24) << 20)
#define LEAST_BYTES (UINT64_C(8) << 20)
/* Of the table, for each block. */
#define WORD_BYTES  8u
#define BLOCK_BYTES 4096u

const struct needs_capability needs_capabilities[NEEDS_CAPABILITIES] = {
	{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "attach the device, swapon"},
	{CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", "the I/O flusher flag, and keeping the OOM killer away"},
	{CAP_IPC_LOCK, "CAP_IPC_LOCK", "locking memory"},
	{CAP_SYS_NICE, "CAP_SYS_NICE", "real-time scheduling"},
};

static uint64_t enough_free_kib(uint64_t ram_bytes)
{
	uint64_t share = ram_bytes / 1024 / FREE_SHARE;

	return share < MOST_FREE_KIB ? share : MOST_FREE_KIB;
}

const struct needs_sysctl needs_sysctls[NEEDS_SYSCTLS] = {
	{.name = "page-cluster",
	 .why = "The kernel reads neighbours of each page along, as for disks: in memory that is work for nothing."},
	{.name = "watermark_boost_factor",
	 .why = "The kernel raises its watermarks while memory is fragmented, and what is left then may not be "
		"enough for the server to reply."},
	{.name = "min_free_kbytes",
	 .at_least = true,
	 .why = "Only real-time tasks, as the server is one, may take memory below that mark. With too little of it a "
		"server that died may not come up again, and the machine hangs.",
	 .of_ram = enough_free_kib},
};

uint64_t needs_sysctl_value(const struct needs_sysctl *sysctl, uint64_t ram_bytes)
{
	return sysctl->of_ram ? sysctl->of_ram(ram_bytes) : sysctl->value;
}

bool needs_sysctl_is_met(const struct needs_sysctl *sysctl, uint64_t ram_bytes, uint64_t value)
{
	uint64_t wanted = needs_sysctl_value(sysctl, ram_bytes);

	return value == wanted || (sysctl->at_least && value > wanted);
}

uint64_t needs_below_limit(uint64_t held_back, uint64_t size, uint64_t limit)
{
	return OWN_BYTES + LEAST_BYTES + held_back + size / BLOCK_BYTES * WORD_BYTES + cgroup_margin(limit);
}

bool needs_process_1_is_swappable(const char *hierarchy)
{
	char path[300], limit[24] = "";
	FILE *f;

	snprintf(path, sizeof path, "%s/init.scope/memory.swap.max", hierarchy);
	f = fopen(path, "re");
	if (f && !fgets(limit, sizeof limit, f))
		limit[0] = '\0';
	if (f)
		fclose(f);
	return strcmp(limit, "0\n") != 0;
}
