/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: control groups, and daemons that end programs when memory is short. See doctor.h. */
#include "machine/doctor_parts.h"
#include "machine/needs.h"
#include "process/cgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
/* Of a limit, what each of the two reserves takes by default at most, and the most that both take. */
#define RESERVE_PART  8u
#define RESERVES_MOST (96 * MIB)

/* ------------------------------------------------------------------ limits */

/* `whose`: for people. `remedy`: how to raise it, a command or a remark. */
static void report_limit(struct doctor *doctor, const char *whose, const char *what, uint64_t limit, const char *remedy)
{
	uint64_t reserves = 2 * (limit / RESERVE_PART), needed;

	needed = needs_below_limit(reserves < RESERVES_MOST ? reserves : RESERVES_MOST, 0, limit);
	if (limit < needed)
		doctor_find(doctor, DOCTOR_PROBLEM,
			    "All memory of zsblk, what is stored included, is charged to its group, and a device that "
			    "does not fit is refused.",
			    "%s: %s, and zsblk takes %" PRIu64 " MiB there before anything is stored", whose, what,
			    (needed + MIB - 1) / MIB);
	else
		doctor_find(
			doctor, DOCTOR_NOTE,
			"All memory of zsblk, what is stored included, stays below it. Writes fail before it is "
			"reached, and those pages stay in memory. Choose a size that the limit can hold, or raise it.",
			"%s: %s, which leaves %" PRIu64 " MiB for what is stored", whose, what, (limit - needed) / MIB);
	doctor_remedy(doctor, "%s", remedy);
}

/* Those above this process: of a container, or of a session. */
static void check_own_limit(struct doctor *doctor)
{
	char groups[DOCTOR_PATH_BYTES], mounts[DOCTOR_PATH_BYTES], what[300];
	struct cgroup_found found;
	struct cgroup *cgroup;

	doctor_path(doctor, "/proc/self/cgroup", groups);
	doctor_path(doctor, "/proc/self/mountinfo", mounts);
	cgroup = cgroup_open_from(groups, mounts);
	cgroup_look(cgroup, 0, NULL, &found);
	cgroup_describe(cgroup, &found, what, sizeof what);
	if (found.limit != CGROUP_NO_LIMIT)
		report_limit(
			doctor, "above this process, and a zsblkd that is started here", what, found.limit,
			"# raise it where it was set: MemoryMax= or MemoryHigh= of the unit or its slice, or of the container");
	cgroup_close(cgroup);
}

#define SLICE "/sys/fs/cgroup/system.slice"

/* The smaller of the two limits of a group. */
static void check_group_limit(struct doctor *doctor, const char *group)
{
	static const char *const files[] = {"memory.max", "memory.high"};
	static const char *const properties[] = {"MemoryMax", "MemoryHigh"};
	char path[DOCTOR_PATH_BYTES], what[300], remedy[300];
	int64_t limit = INT64_MAX, one;
	size_t smaller = 0;

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%.400s/%s", group, files[i]);
		/* "max" is no number. */
		if (doctor_number(doctor, path, &one) && one >= 0 && one < limit) {
			limit = one;
			smaller = i;
		}
	}
	if (limit == INT64_MAX)
		return;
	snprintf(what, sizeof what, "%s of control group %.200s is %" PRIu64 " MiB", files[smaller],
		 group + sizeof "/sys/fs/cgroup" - 1, (uint64_t)limit / MIB);
	snprintf(remedy, sizeof remedy, "systemctl set-property %.200s %s=infinity", strrchr(group, '/') + 1,
		 properties[smaller]);
	report_limit(doctor, "above services of zsblkd", what, (uint64_t)limit, remedy);
}

static bool check_service(void *opaque, const char *name)
{
	char path[400];

	if (strncmp(name, "zsblk@", 6) == 0) {
		snprintf(path, sizeof path, SLICE "/system-zsblk.slice/%.200s", name);
		check_group_limit(opaque, path);
	}
	return false;
}

void doctor_check_limit(struct doctor *doctor)
{
	check_own_limit(doctor);
	check_group_limit(doctor, SLICE);
	check_group_limit(doctor, SLICE "/system-zsblk.slice");
	doctor_names(doctor, SLICE "/system-zsblk.slice", check_service, doctor);
}

/* ------------------------------------------------------------------ who may swap */

/* Groups that most programs are in. */
void doctor_check_swap_limit(struct doctor *doctor)
{
	static const char *const groups[] = {"user.slice", "system.slice", "machine.slice"};
	char path[100];
	int64_t limit;

	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s/memory.swap.max", groups[i]);
		if (!doctor_number(doctor, path, &limit) || limit)
			continue;
		doctor_find(doctor, DOCTOR_WARNING,
			    "No program below that group is ever swapped out, whatever swap there is.",
			    "memory.swap.max of control group /%s is 0", groups[i]);
		doctor_remedy(doctor, "systemctl set-property %s MemorySwapMax=infinity", groups[i]);
	}
}

/* ------------------------------------------------------------------ process 1 */

static bool has_memory_controller(const struct doctor *doctor)
{
	char text[200];

	return doctor_read(doctor, "/sys/fs/cgroup/cgroup.controllers", text, sizeof text) &&
	       doctor_has_word(text, "memory");
}

void doctor_check_controller(struct doctor *doctor)
{
	static const char why[] =
		"When all processes of zsblk are killed at once, process 1 starts them again. If process 1 is swapped out then, the machine hangs.";
	char path[DOCTOR_PATH_BYTES], command[2000];

	/* Without systemd there is nobody who would start them. */
	if (!doctor_has(doctor, "/run/systemd/system"))
		return;
	doctor_path(doctor, "/sys/fs/cgroup", path);
	if (has_memory_controller(doctor)) {
		if (!needs_process_1_is_swappable(path))
			return;
		doctor_find(doctor, DOCTOR_WARNING, why,
			    "process 1 can be swapped out: memory.swap.max of control group init.scope is not 0");
		doctor_remedy(doctor, "# zsblk brings init.scope.d/10-zsblk.conf along; once it is installed:");
		doctor_remedy(doctor, "systemctl daemon-reexec");
		return;
	}
	doctor_find(doctor, DOCTOR_WARNING, why, "process 1 can be swapped out: %s",
		    doctor_has(doctor, "/sys/fs/cgroup/memory")
			    ? "control groups are of version 1, which have no memory.swap.max"
			    : "the kernel has no memory controller of control groups");
	doctor_read(doctor, "/proc/cmdline", command, sizeof command);
	if (doctor_has_word(command, "cgroup_disable=memory"))
		doctor_remedy(doctor, "# take cgroup_disable=memory off the kernel's command line, and boot");
	else
		doctor_remedy(doctor, "# boot with %s",
			      doctor_has(doctor, "/sys/fs/cgroup/memory") ? "systemd.unified_cgroup_hierarchy=1"
									  : "cgroup_enable=memory");
}

/* ------------------------------------------------------------------ who ends programs */

struct killers {
	const struct doctor *doctor;
	char found[100];
};

static bool is_killer(void *opaque, const char *name)
{
	/* The kernel shows 15 characters of a name. */
	static const char *const killers[] = {"systemd-oomd", "earlyoom", "nohang", "oomd", "bustd"};
	struct killers *all = opaque;
	char path[100], comm[40];

	if (name[0] < '0' || name[0] > '9')
		return false;
	snprintf(path, sizeof path, "/proc/%.20s/comm", name);
	if (!doctor_read(all->doctor, path, comm, sizeof comm))
		return false;
	for (size_t i = 0; i < sizeof killers / sizeof killers[0]; i++)
		if (strcmp(comm, killers[i]) == 0) {
			snprintf(all->found, sizeof all->found, "%s (process %.20s)", killers[i], name);
			return true;
		}
	return false;
}

void doctor_check_killers(struct doctor *doctor)
{
	struct killers all = {doctor, ""};

	if (!doctor_names(doctor, "/proc", is_killer, &all))
		return;
	doctor_find(
		doctor, DOCTOR_NOTE,
		"It ends programs while there is free swap, by its own idea of pressure. zsblk's own processes it leaves alone: their OOM score is "
		"-1000, and the service has ManagedOOMPreference=omit.",
		"%s runs", all.found);
	doctor_remedy(
		doctor,
		"# set its limits for swap in memory: systemd-oomd: SwapUsedLimit= in oomd.conf(5); earlyoom: -s");
}
