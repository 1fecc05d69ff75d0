/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: zram-generator and zramswap, which set up swap on zram at each boot. See doctor.h. */
#include "machine/doctor_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWAPS_MOST 32u
/* Of both, by default. */
#define USUAL_PRIORITY 100

#define GENERATOR "zram-generator.conf"
#define ZRAMSWAP  "/etc/default/zramswap"

/* ------------------------------------------------------------------ priorities */

/* That of the swap on zram that there is; the highest one. */
static bool find_active(const struct doctor *doctor, struct doctor_swap *found)
{
	struct doctor_swap swaps[SWAPS_MOST];
	unsigned n = doctor_swaps(doctor, swaps, SWAPS_MOST);
	bool is_there = false;

	for (unsigned i = 0; i < n; i++)
		if (strncmp(swaps[i].name, "/dev/zram", 9) == 0 && (!is_there || swaps[i].priority > found->priority)) {
			*found = swaps[i];
			is_there = true;
		}
	return is_there;
}

/* `who` sets up swap on zram, with this priority unless there is some already. `where`: the file that says so. */
static void report(struct doctor *doctor, const char *who, const char *where, int priority)
{
	struct doctor_swap active = {.priority = priority};
	bool is_active = find_active(doctor, &active);
	char own_name[sizeof active.name];
	int own = doctor_own_priority(doctor, own_name);

	doctor_find(
		doctor, active.priority < own ? DOCTOR_NOTE : DOCTOR_WARNING,
		active.priority < own
			? "zram gets what zsblk has no room for. Two pools of compressed memory are one too many: each "
			  "holds back memory of its own, and only one of them packs what is cold."
		: active.priority == own
			? "The kernel takes turns between both, so that every other page goes to zram, which zsblk can neither "
			  "pack nor limit."
			: "The kernel fills zram first, and zsblk gets what zram has no room for.",
		"%s sets up swap on zram at boot (%s), with priority %d%s, and %s has %d", who, where, active.priority,
		is_active ? "" : "; none is active now", own_name, own);
	doctor_remedy(doctor, "zsblkctl convert %s", where);
}

static void remedy_active(struct doctor *doctor)
{
	struct doctor_swap active;

	if (find_active(doctor, &active))
		doctor_remedy(doctor, "swapoff %s", active.name);
	doctor_remedy(doctor, "# or leave it, with a priority below that of zsblk");
}

/* ------------------------------------------------------------------ zram-generator */

static bool is_section(void *opaque, char *line)
{
	(void)opaque;
	line += strspn(line, " \t");
	return strncmp(line, "[zram", 5) == 0 && line[5 + strspn(line + 5, "0123456789")] == ']' && line[5] != ']';
}

static bool is_priority(void *opaque, char *line)
{
	return sscanf(line, " swap-priority = %d", (int *)opaque) == 1;
}

/* Where its files are: the one that counts most comes first. */
static const char *const tops[] = {"/run/systemd/", "/etc/systemd/", "/usr/local/lib/systemd/", "/usr/lib/systemd/"};
#define TOPS (sizeof tops / sizeof tops[0])

struct folder {
	const struct doctor *doctor;
	size_t top;
	char *found; /* DOCTOR_PATH_BYTES */
};

static void drop_in_path(char path[DOCTOR_PATH_BYTES], size_t top, const char *name)
{
	snprintf(path, DOCTOR_PATH_BYTES, "%s" GENERATOR ".d/%.200s", tops[top], name);
}

static bool is_drop_in_with_device(void *opaque, const char *name)
{
	const struct folder *folder = opaque;
	const char *end = strrchr(name, '.');

	if (!end || strcmp(end, ".conf") != 0)
		return false;
	/* One of the same name takes its place, and /dev/null is one, too. */
	for (size_t i = 0; i < folder->top; i++) {
		drop_in_path(folder->found, i, name);
		if (doctor_has(folder->doctor, folder->found))
			return false;
	}
	drop_in_path(folder->found, folder->top, name);
	return doctor_lines(folder->doctor, folder->found, is_section, NULL);
}

/* The file in which zram-generator finds a device. The first main file counts, and drop-ins of all folders. */
static bool find_device(const struct doctor *doctor, char path[DOCTOR_PATH_BYTES])
{
	char folder[100];

	for (size_t i = 0; i < TOPS; i++) {
		snprintf(folder, sizeof folder, "%s" GENERATOR ".d", tops[i]);
		if (doctor_names(doctor, folder, is_drop_in_with_device, &(struct folder){doctor, i, path}))
			return true;
	}
	for (size_t i = 0; i < TOPS; i++) {
		snprintf(path, DOCTOR_PATH_BYTES, "%s" GENERATOR, tops[i]);
		if (doctor_has(doctor, path))
			return doctor_lines(doctor, path, is_section, NULL);
	}
	return false;
}

static bool is_installed(const struct doctor *doctor)
{
	return doctor_has(doctor, "/usr/lib/systemd/system-generators/zram-generator") ||
	       doctor_has(doctor, "/lib/systemd/system-generators/zram-generator") ||
	       doctor_has(doctor, "/usr/local/lib/systemd/system-generators/zram-generator");
}

/* A file of a package would come back; one in /etc takes its place. */
static void remedy_file(struct doctor *doctor, const char *path)
{
	const char *drop_in = strstr(path, GENERATOR ".d/");

	if (strncmp(path, "/usr/", 5) != 0) {
		doctor_remedy(doctor, "mv %s %s.off", path, path);
	} else if (drop_in) {
		doctor_remedy(doctor, "mkdir -p /etc/systemd/" GENERATOR ".d");
		doctor_remedy(doctor, "ln -s /dev/null /etc/systemd/%s", drop_in);
	} else {
		doctor_remedy(doctor, "touch /etc/systemd/" GENERATOR);
	}
}

static void check_generator(struct doctor *doctor)
{
	char path[DOCTOR_PATH_BYTES], command_line[2048];
	int priority = USUAL_PRIORITY;

	if (!is_installed(doctor) || !find_device(doctor, path))
		return;
	if (doctor_read(doctor, "/proc/cmdline", command_line, sizeof command_line) &&
	    doctor_has_word(command_line, "systemd.zram=0"))
		return;
	doctor_lines(doctor, path, is_priority, &priority);
	report(doctor, "zram-generator", path, priority);
	remedy_file(doctor, path);
	doctor_remedy(doctor, "systemctl daemon-reload");
	remedy_active(doctor);
}

/* ------------------------------------------------------------------ zramswap */

static bool is_shell_priority(void *opaque, char *line)
{
	return sscanf(line, " PRIORITY=%*[\"']%d", (int *)opaque) == 1 ||
	       sscanf(line, " PRIORITY=%d", (int *)opaque) == 1;
}

static void check_zramswap(struct doctor *doctor)
{
	int priority = USUAL_PRIORITY;

	if (!doctor_has(doctor, "/etc/systemd/system/multi-user.target.wants/zramswap.service"))
		return;
	doctor_lines(doctor, ZRAMSWAP, is_shell_priority, &priority);
	report(doctor, "zramswap", ZRAMSWAP, priority);
	doctor_remedy(doctor, "systemctl disable --now zramswap");
	doctor_remedy(doctor, "# or leave it, with a priority below that of zsblk");
}

void doctor_check_zram(struct doctor *doctor)
{
	check_generator(doctor);
	check_zramswap(doctor);
}
