/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: what else swaps, or uses swap. See doctor.h. */
#include "machine/doctor_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SWAPS_MOST 32u

void doctor_check_zswap(struct doctor *doctor)
{
	char enabled[8];

	if (!doctor_read(doctor, "/sys/module/zswap/parameters/enabled", enabled, sizeof enabled) ||
	    (enabled[0] != 'Y' && enabled[0] != '1'))
		return;
	doctor_find(
		doctor, DOCTOR_WARNING,
		"zswap keeps pages compressed in front of every swap device. Pages are compressed twice then, and reach zsblk only when zswap is full, "
		"whole.",
		"zswap is on (/sys/module/zswap/parameters/enabled is %s)", enabled);
	doctor_remedy(doctor, "echo N >/sys/module/zswap/parameters/enabled");
	doctor_remedy(doctor, "# for good: zswap.enabled=0 on the kernel's command line");
}

/* ------------------------------------------------------------------ other swap */

void doctor_check_other_swap(struct doctor *doctor)
{
	struct doctor_swap swaps[SWAPS_MOST];
	unsigned n = doctor_swaps(doctor, swaps, SWAPS_MOST);
	char name[sizeof swaps->name];
	int own = doctor_own_priority(doctor, name);

	for (unsigned i = 0; i < n; i++) {
		const struct doctor_swap *swap = &swaps[i];

		if (swap->is_ours || swap->priority < own)
			continue;
		if (swap->priority == own)
			doctor_find(
				doctor, DOCTOR_WARNING,
				"The kernel takes turns between areas of the same priority, so every other page goes to the other one.",
				"%s has priority %d, as %s has", swap->name, swap->priority, name);
		else
			doctor_find(doctor, DOCTOR_WARNING, "The kernel fills the area of the highest priority first.",
				    "%s has priority %d, and %s has %d: it is filled first", swap->name, swap->priority,
				    name, own);
		doctor_remedy(doctor, "swapoff %s", swap->name);
		doctor_remedy(doctor, "swapon --priority %d %s", own > 0 ? own - 1 : 0, swap->name);
		doctor_remedy(doctor, "# for good: pri= in /etc/fstab, or swap-priority in /etc/zsblk/NAME.conf");
	}
}

/* ------------------------------------------------------------------ hibernation */

/* The settings of sleep.conf(5); what is read last counts. */
struct sleep_settings {
	const struct doctor *doctor;
	bool is_forbidden;
};

static bool take_sleep_line(void *opaque, char *line)
{
	static const char *const no[] = {"no", "n", "false", "f", "0", "off"};
	struct sleep_settings *settings = opaque;
	char key[40], value[10] = "";

	if (sscanf(line, " %39[A-Za-z] = %9s", key, value) < 1 || strcmp(key, "AllowHibernation") != 0)
		return false;
	settings->is_forbidden = false;
	for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
		if (strcasecmp(value, no[i]) == 0)
			settings->is_forbidden = true;
	return false;
}

static void read_sleep_file(void *opaque, const char *path)
{
	struct sleep_settings *settings = opaque;

	doctor_lines(settings->doctor, path, take_sleep_line, settings);
}

static bool is_forbidden(const struct doctor *doctor)
{
	static const char *const tops[DOCTOR_TOPS] = {"/etc/systemd/", "/run/systemd/", "/usr/local/lib/systemd/",
						      "/usr/lib/systemd/"};
	struct sleep_settings settings = {.doctor = doctor};

	doctor_layers(doctor, tops, "sleep.conf", read_sleep_file, &settings);
	return settings.is_forbidden;
}

void doctor_check_hibernation(struct doctor *doctor)
{
	char states[60], modes[100];

	/* A kernel that cannot hibernate, or is told not to, has no "disk" here, or says so there. */
	if (!doctor_read(doctor, "/sys/power/state", states, sizeof states) || !doctor_has_word(states, "disk") ||
	    (doctor_read(doctor, "/sys/power/disk", modes, sizeof modes) && strstr(modes, "[disabled]")) ||
	    is_forbidden(doctor))
		return;
	doctor_find(
		doctor, DOCTOR_WARNING,
		"Hibernation would write its image to the swap area of the highest priority: to zsblk, which is in memory. systemd knows that of zram "
		"only.",
		"this machine can hibernate");
	doctor_remedy(doctor, "mkdir -p /etc/systemd/sleep.conf.d");
	doctor_remedy(doctor, "printf '[Sleep]\\nAllowHibernation=no\\n' >/etc/systemd/sleep.conf.d/zsblk.conf");
}

static bool is_resume_line(void *opaque, char *line)
{
	line += strspn(line, " \t");
	return strncmp(line, "RESUME=", 7) == 0;
}

static bool is_resume_file(void *opaque, const char *name)
{
	char path[300];

	snprintf(path, sizeof path, "/etc/initramfs-tools/conf.d/%.200s", name);
	return doctor_lines(opaque, path, is_resume_line, NULL);
}

void doctor_check_resume(struct doctor *doctor)
{
	if (!doctor_has(doctor, "/etc/initramfs-tools") ||
	    doctor_lines(doctor, "/etc/initramfs-tools/initramfs.conf", is_resume_line, NULL) ||
	    doctor_names(doctor, "/etc/initramfs-tools/conf.d", is_resume_file, doctor))
		return;
	doctor_find(
		doctor, DOCTOR_NOTE,
		"initramfs-tools looks for the largest swap area when it makes an initial RAM disk. If that is zsblk's, each boot waits 30 seconds "
		"for a device that is not there yet.",
		"initramfs-tools is not told where to resume from (RESUME=)");
	doctor_remedy(doctor, "echo RESUME=none >/etc/initramfs-tools/conf.d/resume");
	doctor_remedy(doctor, "update-initramfs -u");
}
