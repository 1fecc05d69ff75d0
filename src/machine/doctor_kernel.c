/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: the kernel, and the two ways from there to a server. See doctor.h. */
#include "machine/doctor_parts.h"
#include "machine/kernels.h"
#include "machine/program.h"

#include <stdio.h>
#include <string.h>

/* Linux 5.14 tells whose an nbd device is, and populates memory in one call. */
#define OLDEST_MAJOR 5u
#define OLDEST_MINOR 14u
/* A driver that never answers is one of the things that the program looks for, for 20 s. */
#define CHECK_LIMIT_US (25u * 1000000u)

void doctor_check_kernel(struct doctor *doctor)
{
	unsigned major, minor;

	doctor_read(doctor, "/proc/sys/kernel/osrelease", doctor->release, sizeof doctor->release);
	if (sscanf(doctor->release, "%u.%u", &major, &minor) == 2 &&
	    (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR))) {
		doctor_find(
			doctor, DOCTOR_PROBLEM,
			"Linux tells since 5.14 whose an nbd device is, and zsblkd touches none that may be somebody else's.",
			"the kernel is Linux %.60s", doctor->release);
		doctor_remedy(doctor, "# use Linux 5.14 or later");
	}
	if (!doctor_has(doctor, "/proc/swaps")) {
		doctor_find(doctor, DOCTOR_PROBLEM, "Without it there is no swap of any kind.",
			    "the kernel was built without swap (there is no /proc/swaps)");
		doctor_remedy(doctor, "# use a kernel with CONFIG_SWAP");
	}
}

/* ------------------------------------------------------------------ modules */

/* "kernel/drivers/block/nbd.ko.xz: ..." in modules.dep, or the same without a colon in modules.builtin. */
static bool is_module_line(void *opaque, char *line)
{
	const char *name = opaque, *slash;
	size_t length = strlen(name);

	line[strcspn(line, ":")] = '\0';
	slash = strrchr(line, '/');
	slash = slash ? slash + 1 : line;
	return strncmp(slash, name, length) == 0 && strncmp(slash + length, ".ko", 3) == 0;
}

static enum doctor_module module_state(struct doctor *doctor, const char *name)
{
	static const char *const lists[] = {"builtin", "dep"};
	char path[200];

	snprintf(path, sizeof path, "/sys/module/%s", name);
	if (doctor_has(doctor, path))
		return DOCTOR_MODULE_LOADED;
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "/lib/modules/%.99s/modules.%s", doctor->release, lists[i]);
		if (doctor_lines(doctor, path, is_module_line, (void *)name))
			return i == 0 ? DOCTOR_MODULE_LOADED : DOCTOR_MODULE_LOADABLE;
	}
	return DOCTOR_MODULE_ABSENT;
}

static enum doctor_module check_module(struct doctor *doctor, const char *name, const char *configuration)
{
	enum doctor_module state = module_state(doctor, name);

	if (state == DOCTOR_MODULE_LOADABLE) {
		doctor_find(doctor, DOCTOR_NOTE, "zsblk@.service loads it. zsblkd that is started by hand does not.",
			    "the module %s is not loaded", name);
		doctor_remedy(doctor, "modprobe %s", name);
	} else if (state == DOCTOR_MODULE_ABSENT) {
		doctor_find(doctor, DOCTOR_NOTE, "One of nbd and ublk_drv is needed, and the other one is not.",
			    "there is no module %s for this kernel (%s)", name,
			    doctor->release[0] ? doctor->release : "of an unknown release");
		doctor_remedy(
			doctor,
			"# install the kernel's package of further modules, or use a kernel with %s; a container has those of its "
			"host",
			configuration);
	}
	return state;
}

void doctor_check_nbd(struct doctor *doctor)
{
	doctor->nbd_is_usable = check_module(doctor, "nbd", "CONFIG_BLK_DEV_NBD") != DOCTOR_MODULE_ABSENT;
}

/* ------------------------------------------------------------------ ublk */

/* What zsblkd asks as well before it takes ublk. */
static bool ask_program(struct doctor *doctor, const char *program)
{
	const char *const arguments[] = {program, "--check", NULL};
	static const char prefix[] = "zsblk-ublk: ";
	char said[300];
	struct program_text errors = {said, sizeof said, 0};
	int r = program_run(arguments, NULL, &errors, program_clock_us() + CHECK_LIMIT_US, NULL);

	if (!r)
		return true;
	said[strcspn(said, "\n")] = '\0';
	doctor_find(doctor, DOCTOR_WARNING, "Swap goes over NBD then, which is slower.", "ublk cannot be used: %s",
		    !said[0]                                        ? "zsblk-ublk --check has failed"
		    : strncmp(said, prefix, sizeof prefix - 1) == 0 ? said + sizeof prefix - 1
								    : said);
	doctor_remedy(doctor, "zsblk-ublk --check");
	return false;
}

static bool is_kernel_good(struct doctor *doctor)
{
	char version[200];
	const char *reason;

	doctor_read(doctor, "/proc/sys/kernel/version", version, sizeof version);
	reason = kernels_verdict(doctor->release, version);
	if (!reason)
		return true;
	doctor_find(doctor, DOCTOR_WARNING, "zsblkd takes NBD on such a kernel, which is slower.",
		    "this kernel, %.60s, is not to be used for ublk: %s", doctor->release, reason);
	doctor_remedy(doctor, "# use another kernel");
	return false;
}

static bool is_io_uring_allowed(struct doctor *doctor)
{
	int64_t disabled = 0;

	/* 1 leaves it to root. */
	if (!doctor_number(doctor, "/proc/sys/kernel/io_uring_disabled", &disabled) || disabled < 2)
		return true;
	doctor_find(doctor, DOCTOR_WARNING, "ublk works by io_uring only. zsblkd takes NBD then, which is slower.",
		    "kernel.io_uring_disabled is %lld", (long long)disabled);
	doctor_remedy(doctor, "sysctl kernel.io_uring_disabled=1");
	return false;
}

static bool is_root(const struct doctor *doctor)
{
	char text[60];
	unsigned real, effective;

	return doctor_field(doctor, "/proc/self/status", "Uid:", text, sizeof text) &&
	       sscanf(text, "%u %u", &real, &effective) == 2 && effective == 0;
}

void doctor_check_ublk(struct doctor *doctor)
{
	enum doctor_module state = check_module(doctor, "ublk_drv", "CONFIG_BLK_DEV_UBLK (Linux 6.0)");
	char program[DOCTOR_PATH_BYTES];
	bool good;

	if (state == DOCTOR_MODULE_ABSENT)
		return;
	good = is_kernel_good(doctor);
	good = is_io_uring_allowed(doctor) && good;
	if (!doctor_program(doctor, "zsblk-ublk", program)) {
		doctor_find(doctor, DOCTOR_NOTE,
			    "It is the server over ublk. Without it swap goes over NBD, which is slower.",
			    "zsblk-ublk is not installed, and the kernel has ublk");
		doctor_remedy(doctor, "# install zsblk-ublk (build zsblk with -Dublk=enabled)");
		return;
	}
	/* The driver's device is root's. What was said above is what the program would say. */
	if (good && state == DOCTOR_MODULE_LOADED && is_root(doctor))
		good = ask_program(doctor, program);
	doctor->ublk_is_usable = good;
}

/* ------------------------------------------------------------------ one of them */

void doctor_check_transport(struct doctor *doctor)
{
	if (doctor->nbd_is_usable || doctor->ublk_is_usable)
		return;
	doctor_find(doctor, DOCTOR_PROBLEM, "The kernel reaches a server by nbd or by ublk, and here by neither.",
		    "neither NBD nor ublk can be used: see nbd, nbdkit, plugin and ublk");
	doctor_remedy(doctor, "# make one of them work");
}
