/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: what the caller may do, and what surrounds him. See doctor.h. */
#include "machine/doctor_parts.h"
#include "machine/needs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/capability.h>

/* A set of capabilities in /proc/self/status; all of them if it is not told. */
static uint64_t capabilities(const struct doctor *doctor, const char *key)
{
	char text[40];

	return doctor_field(doctor, "/proc/self/status", key, text, sizeof text) ? strtoull(text, NULL, 16)
										 : UINT64_MAX;
}

static bool has_capability(uint64_t set, unsigned number)
{
	return set & UINT64_C(1) << number;
}

/* Names and purposes of those that zsblkd needs and `set` lacks. Returns how many. */
static unsigned missing(uint64_t set, char *text, size_t size)
{
	unsigned n = 0;
	size_t length = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < NEEDS_CAPABILITIES; i++) {
		const struct needs_capability *needed = &needs_capabilities[i];

		if (has_capability(set, needed->number))
			continue;
		if (length < size)
			length += (size_t)snprintf(text + length, size - length, "%s%s (%s)", n ? ", " : "",
						   needed->name, needed->purpose);
		n++;
	}
	return n;
}

/* All users of a namespace of its own are ordinary ones outside of it. */
static bool is_own_user_namespace(const struct doctor *doctor)
{
	uint64_t inside, outside, count;
	char text[100];

	return doctor_read(doctor, "/proc/self/uid_map", text, sizeof text) &&
	       sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &count) == 3 &&
	       (inside != 0 || outside != 0 || count != UINT32_MAX);
}

void doctor_check_rights(struct doctor *doctor)
{
	char text[320];

	if (is_own_user_namespace(doctor)) {
		doctor_find(
			doctor, DOCTOR_PROBLEM,
			"Root of a user namespace is an ordinary user for the kernel: swapon and the drivers refuse him.",
			"this is a user namespace (/proc/self/uid_map), as in a rootless container");
		doctor_remedy(doctor, "# run zsblkd on the host");
		return;
	}
	if (missing(capabilities(doctor, "CapBnd:"), text, sizeof text)) {
		doctor_find(doctor, DOCTOR_PROBLEM,
			    "zsblkd refuses to start without them, and nobody here can have them.",
			    "rights that no process here can have: %s", text);
		doctor_remedy(doctor, "# run zsblkd on the host, or in a container that has these capabilities");
		return;
	}
	if (missing(capabilities(doctor, "CapEff:"), text, sizeof text)) {
		doctor_find(
			doctor, DOCTOR_NOTE,
			"What zsblkd runs with is another matter: systemd starts it as root. As an ordinary user the doctor cannot look at "
			"everything.",
			"you have not all rights that zsblkd needs: %s", text);
		doctor_remedy(doctor, "sudo zsblkctl doctor");
	}
}

/* ------------------------------------------------------------------ locks */

void doctor_check_locking(struct doctor *doctor)
{
	char soft[40], text[80];

	/* Who has one of these rights may lock what he wants, or raise the limit himself, as zsblkd does. */
	if (has_capability(capabilities(doctor, "CapEff:"), CAP_IPC_LOCK) ||
	    has_capability(capabilities(doctor, "CapEff:"), CAP_SYS_RESOURCE) ||
	    !doctor_field(doctor, "/proc/self/limits", "Max locked memory", text, sizeof text) ||
	    sscanf(text, "%39s", soft) != 1 || strcmp(soft, "unlimited") == 0)
		return;
	doctor_find(
		doctor, DOCTOR_NOTE,
		"A server of this user is refused with lock=yes. With lock=auto its pages can be swapped out, to its own device if that is "
		"swap. zsblkd runs as root, and is not limited.",
		"this user may lock %s bytes of memory (RLIMIT_MEMLOCK)", soft);
	doctor_remedy(doctor, "# in the unit of a server: LimitMEMLOCK=infinity");
	doctor_remedy(doctor, "ulimit -l unlimited");
}

/* ------------------------------------------------------------------ the real-time class */

void doctor_check_realtime(struct doctor *doctor)
{
	int64_t runtime = 0, period = 0, group = 0;

	if (doctor_number(doctor, "/proc/sys/kernel/sched_rt_runtime_us", &runtime) && runtime == 0) {
		doctor_find(
			doctor, DOCTOR_PROBLEM,
			"Servers run in a real-time class, which gets no processor time then: the machine hangs once it swaps.",
			"kernel.sched_rt_runtime_us is 0");
		doctor_remedy(doctor, "sysctl kernel.sched_rt_runtime_us=950000");
	} else if (runtime > 0 && doctor_number(doctor, "/proc/sys/kernel/sched_rt_period_us", &period) &&
		   runtime < period / 2) {
		doctor_find(
			doctor, DOCTOR_WARNING,
			"Servers run in a real-time class, and wait for the rest of each period when there is much to do.",
			"kernel.sched_rt_runtime_us is %" PRId64 " of a period of %" PRId64 " us", runtime, period);
		doctor_remedy(doctor, "sysctl kernel.sched_rt_runtime_us=950000");
	}
	/* CONFIG_RT_GROUP_SCHED, with control groups of version 1. */
	if (doctor_number(doctor, "/sys/fs/cgroup/cpu/system.slice/cpu.rt_runtime_us", &group) && group == 0) {
		doctor_find(
			doctor, DOCTOR_PROBLEM,
			"This kernel (CONFIG_RT_GROUP_SCHED) gives services no time in a real-time class, and zsblkd refuses to start.",
			"cpu.rt_runtime_us of control group system.slice is 0");
		doctor_remedy(doctor, "# boot with rt_group_sched=0, or use a kernel without CONFIG_RT_GROUP_SCHED");
	}
}

/* ------------------------------------------------------------------ sandboxes */

/* systemd, Docker and Podman say it, each in its own way. */
static bool is_container(const struct doctor *doctor, char *kind, size_t size)
{
	if (doctor_read(doctor, "/run/systemd/container", kind, size))
		return true;
	if (doctor_has(doctor, "/.dockerenv"))
		return snprintf(kind, size, "docker") > 0;
	if (doctor_has(doctor, "/run/.containerenv"))
		return snprintf(kind, size, "podman") > 0;
	return false;
}

void doctor_check_sandbox(struct doctor *doctor)
{
	char kind[40];

	if (strstr(doctor->release, "-Microsoft")) {
		doctor_find(doctor, DOCTOR_PROBLEM,
			    "It only looks like Linux: there are neither block devices nor swap.", "this is WSL 1 (%s)",
			    doctor->release);
		doctor_remedy(doctor, "# wsl --set-version DISTRIBUTION 2");
	} else if (strcasestr(doctor->release, "microsoft")) {
		doctor_find(
			doctor, DOCTOR_NOTE,
			"Its kernel may lack nbd and ublk (see there), and it has swap of its own on a disk, which .wslconfig switches off.",
			"this is WSL 2 (%s)", doctor->release);
		doctor_remedy(doctor, "# in .wslconfig: [wsl2] swap=0");
	}
	if (is_container(doctor, kind, sizeof kind)) {
		doctor_find(
			doctor, DOCTOR_WARNING,
			"Swap belongs to the whole machine: modules, devices and swapon are the host's, and so are the settings of its kernel.",
			"this is a container (%s)", kind);
		doctor_remedy(
			doctor,
			"# run zsblkd on the host; in a container use a disk (zsblk-disk@.service, nbdkit zsblk)");
	}
}
