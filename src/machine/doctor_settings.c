/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: the kernel's settings in /proc/sys, and its pages. See doctor.h. */
#include "machine/doctor_parts.h"
#include "machine/needs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)
/* Below the kernel's own default the kernel drops much file cache before it swaps. */
#define SWAPPINESS_USUAL 60

static void check_needed(struct doctor *doctor, const struct needs_sysctl *needed)
{
	uint64_t ram = doctor_ram(doctor);
	char path[100];
	int64_t value;

	snprintf(path, sizeof path, "/proc/sys/vm/%s", needed->name);
	if (!ram || !doctor_number(doctor, path, &value) || needs_sysctl_is_met(needed, ram, (uint64_t)value))
		return;
	/* zsblkd makes them with swapon; in use they should be made by now. */
	if (doctor_is_in_use(doctor))
		doctor_find(doctor, DOCTOR_WARNING, needed->why,
			    "vm.%s is %" PRId64 " while zsblk is swap: tune = no, or somebody has changed it",
			    needed->name, value);
	else
		doctor_find(
			doctor, DOCTOR_NOTE, needed->why,
			"vm.%s is %" PRId64
			"; zsblkd changes it while zsblk is swap, unless there is tune = no. Without zsblkd nobody does",
			needed->name, value);
	doctor_remedy(doctor, "sysctl vm.%s=%" PRIu64, needed->name, needs_sysctl_value(needed, ram));
}

static void check_swappiness(struct doctor *doctor)
{
	int64_t value;

	if (!doctor_number(doctor, "/proc/sys/vm/swappiness", &value) || value >= SWAPPINESS_USUAL)
		return;
	doctor_find(
		doctor, value == 0 ? DOCTOR_WARNING : DOCTOR_NOTE,
		"The kernel drops cached files rather than swap, as is right for a disk. Swap in memory is quicker than reading a file again: up "
		"to 200 makes sense.",
		"vm.swappiness is %" PRId64 "%s", value,
		value == 0 ? ", so the kernel swaps only when hardly any cached file is left" : "");
	doctor_remedy(doctor, "sysctl vm.swappiness=100");
}

void doctor_check_settings(struct doctor *doctor)
{
	for (unsigned i = 0; i < NEEDS_SYSCTLS; i++)
		check_needed(doctor, &needs_sysctls[i]);
	check_swappiness(doctor);
}

/* ------------------------------------------------------------------ segments */

/* A segment has addresses for what its blocks would take raw, and as many again. */
#define ADDRESSES_FACTOR 2u

static void check_segment_limits(struct doctor *doctor)
{
	uint64_t wanted = doctor_ram(doctor) * ADDRESSES_FACTOR;
	char text[32];
	uint64_t most, pages;

	/* Numbers near 2^64. */
	if (doctor_read(doctor, "/proc/sys/kernel/shmmax", text, sizeof text) &&
	    (most = strtoull(text, NULL, 10)) < wanted) {
		doctor_find(
			doctor, DOCTOR_WARNING,
			"What is stored lies in one segment of shared memory, with twice as many addresses as the device has bytes; addresses take "
			"no memory.",
			"kernel.shmmax is %" PRIu64 " MiB, too little for a device as large as memory", most / MIB);
		doctor_remedy(doctor, "sysctl kernel.shmmax=18446744073692774399");
	}
	if (doctor_read(doctor, "/proc/sys/kernel/shmall", text, sizeof text) &&
	    (pages = strtoull(text, NULL, 10)) < wanted / doctor->machine->page_size) {
		doctor_find(doctor, DOCTOR_WARNING,
			    "The addresses of all segments of shared memory count, and those of zsblk are many.",
			    "kernel.shmall is %" PRIu64 " pages, too few for a device as large as memory", pages);
		doctor_remedy(doctor, "sysctl kernel.shmall=18446744073692774399");
	}
}

void doctor_check_segments(struct doctor *doctor)
{
	int64_t forced = 0, most = 0;

	if (!doctor_has(doctor, "/proc/sys/kernel/shmmni")) {
		doctor_find(doctor, DOCTOR_PROBLEM,
			    "What is stored lies in a segment of shared memory, so that it outlives its server.",
			    "the kernel was built without System V shared memory");
		doctor_remedy(doctor, "# use a kernel with CONFIG_SYSVIPC");
		return;
	}
	if (doctor_number(doctor, "/proc/sys/kernel/shm_rmid_forced", &forced) && forced) {
		doctor_find(
			doctor, DOCTOR_PROBLEM,
			"The kernel removes shared memory that no process has attached: what is stored would be lost if server and daemon ended at "
			"once. zsblkd refuses to start.",
			"kernel.shm_rmid_forced is %" PRId64, forced);
		doctor_remedy(doctor, "sysctl kernel.shm_rmid_forced=0");
	}
	if (doctor_number(doctor, "/proc/sys/kernel/shmmni", &most) && most == 0) {
		doctor_find(doctor, DOCTOR_PROBLEM, "What is stored lies in a segment of shared memory.",
			    "kernel.shmmni is 0: there may be no segment at all");
		doctor_remedy(doctor, "sysctl kernel.shmmni=4096");
	}
	check_segment_limits(doctor);
}

/* ------------------------------------------------------------------ addresses */

static uint64_t meminfo(const struct doctor *doctor, const char *key)
{
	char text[40];

	return doctor_field(doctor, "/proc/meminfo", key, text, sizeof text) ? strtoull(text, NULL, 10) * 1024 : 0;
}

void doctor_check_overcommit(struct doctor *doctor)
{
	uint64_t limit = meminfo(doctor, "CommitLimit:"), used = meminfo(doctor, "Committed_AS:");
	int64_t mode;

	if (!doctor_number(doctor, "/proc/sys/vm/overcommit_memory", &mode) || mode != 2)
		return;
	doctor_find(
		doctor, DOCTOR_WARNING,
		"Addresses count as memory then: a device takes its size, an eighth more, and its table out of that, though it has hardly begun to "
		"store. Its swap area adds to the limit only later.",
		"vm.overcommit_memory is 2, and %" PRIu64 " of %" PRIu64 " MiB may still be promised",
		limit > used ? (limit - used) / MIB : 0, limit / MIB);
	doctor_remedy(doctor, "sysctl vm.overcommit_memory=0");
	doctor_remedy(doctor, "# or raise vm.overcommit_ratio");
}

/* ------------------------------------------------------------------ pages */

void doctor_check_page_size(struct doctor *doctor)
{
	unsigned size = doctor->machine->page_size;

	if (size == 4096)
		return;
	if (size < 4096 || size > 65536 || (size & (size - 1))) {
		doctor_find(doctor, DOCTOR_PROBLEM, "A pool begins on 64 KiB, and is made of pages of 4 to 64 KiB.",
			    "the system has pages of %u bytes", size);
		doctor_remedy(doctor, "# use a kernel with pages of 4 to 64 KiB");
		return;
	}
	doctor_find(
		doctor, DOCTOR_NOTE,
		"Blocks have 4 KiB on every system. A page that is swapped out is several of them, and memory comes and goes in whole pages, so that "
		"a little more of it is held.",
		"the system has pages of %u KiB", size / 1024);
	doctor_remedy(doctor, "# nothing, or a kernel with pages of 4 KiB");
}
