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
}

static void remedy_active(struct doctor *doctor)
{
	struct doctor_swap active;

	if (find_active(doctor, &active))
		doctor_remedy(doctor, "swapoff %s", active.name);
	doctor_remedy(doctor, "# or leave it, with a priority below that of zsblk");
}

/* ------------------------------------------------------------------ zram-generator */

#define DEVICES_MOST 16u

/* Where its files are: the one that counts most comes first. */
static const char *const tops[DOCTOR_TOPS] = {"/run/systemd/", "/etc/systemd/", "/usr/local/lib/systemd/",
					      "/usr/lib/systemd/"};

/* What the sections [zramN] of one number say in all files. The last value of a key counts. */
struct device {
	char name[16]; /* "zram0" */
	int priority;
	bool is_mounted; /* has a mount-point */
	bool has_type;   /* an fs-type other than swap */
	bool is_empty;   /* a size of 0: it is not made */
	bool has_limit;  /* one of the older keys, which take the place of the size */
};

struct generator {
	const struct doctor *doctor;
	struct device devices[DEVICES_MOST];
	unsigned n;
	struct device *current;        /* whose section is read; NULL: nobody's */
	const char *path;              /* of the file that is read */
	char where[DOCTOR_PATH_BYTES]; /* the last file with a device; empty: there is none */
};

static struct device *device_of(struct generator *generator, const char *name)
{
	for (unsigned i = 0; i < generator->n; i++)
		if (strcmp(generator->devices[i].name, name) == 0)
			return &generator->devices[i];
	if (generator->n == DEVICES_MOST)
		return NULL;
	generator->devices[generator->n] = (struct device){.priority = USUAL_PRIORITY};
	snprintf(generator->devices[generator->n].name, sizeof generator->devices->name, "%s", name);
	return &generator->devices[generator->n++];
}

static void take_heading(struct generator *generator, const char *line)
{
	char name[sizeof generator->devices->name];

	generator->current = NULL;
	if (sscanf(line, "[%15[^]]]", name) != 1 || strncmp(name, "zram", 4) != 0 || !name[4] ||
	    name[4 + strspn(name + 4, "0123456789")])
		return;
	generator->current = device_of(generator, name);
	snprintf(generator->where, sizeof generator->where, "%s", generator->path);
}

static bool is_zero(const char *value)
{
	char *end;

	return strtod(value, &end) == 0 && end != value && !end[strspn(end, " \t\r")];
}

static bool take_line(void *opaque, char *line)
{
	struct generator *generator = opaque;
	struct device *device = generator->current;
	char key[30], value[100] = "";

	line += strspn(line, " \t");
	if (*line == '[') {
		take_heading(generator, line);
		return false;
	}
	if (!device || sscanf(line, "%29[a-z-] = %99[^\r]", key, value) < 1)
		return false;
	if (strcmp(key, "swap-priority") == 0)
		(void)sscanf(value, "%d", &device->priority);
	else if (strcmp(key, "mount-point") == 0)
		device->is_mounted = *value;
	else if (strcmp(key, "fs-type") == 0)
		device->has_type = *value && strncmp(value, "swap", 4) != 0;
	else if (strcmp(key, "zram-size") == 0)
		device->is_empty = is_zero(value);
	else if (strcmp(key, "zram-fraction") == 0 || strcmp(key, "max-zram-size") == 0)
		device->has_limit = true;
	return false;
}

static void read_file(void *opaque, const char *path)
{
	struct generator *generator = opaque;

	generator->path = path;
	generator->current = NULL;
	doctor_lines(generator->doctor, path, take_line, generator);
}

/* The highest priority of swap that it sets up. False: it sets up none. */
static bool find_priority(const struct generator *generator, int *priority)
{
	bool is_there = false;

	for (unsigned i = 0; i < generator->n; i++) {
		const struct device *device = &generator->devices[i];

		if (device->is_mounted || device->has_type || (device->is_empty && !device->has_limit))
			continue;
		if (!is_there || device->priority > *priority)
			*priority = device->priority;
		is_there = true;
	}
	return is_there;
}

/* ------------------------------------------------------------------ the kernel's command line */

enum kernel_option { OPTION_NONE, OPTION_OFF, OPTION_ON };

static enum kernel_option option_of(const char *value)
{
	static const char *const off[] = {"0", "no", "false", "off"};
	static const char *const on[] = {"1", "yes", "true", "on"};

	for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
		if (strcmp(value, off[i]) == 0)
			return OPTION_OFF;
		if (strcmp(value, on[i]) == 0)
			return OPTION_ON;
	}
	return OPTION_NONE;
}

/* systemd.zram: zram-generator makes zram0, whatever its files say, or no device at all. The last one counts. */
static enum kernel_option find_option(const struct doctor *doctor)
{
	enum kernel_option option = OPTION_NONE;
	char text[4096], *rest = text, *word;

	doctor_read(doctor, "/proc/cmdline", text, sizeof text);
	while ((word = strsep(&rest, " \t\n"))) {
		if (strcmp(word, "systemd.zram") == 0)
			option = OPTION_ON;
		else if (strncmp(word, "systemd.zram=", 13) == 0)
			option = option_of(word + 13);
	}
	return option;
}

/* ------------------------------------------------------------------ what zram-generator does */

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

static void report_files(struct doctor *doctor, const char *where, int priority)
{
	report(doctor, "zram-generator", where, priority);
	doctor_remedy(doctor, "zsblkctl convert %s", where);
	remedy_file(doctor, where);
	doctor_remedy(doctor, "systemctl daemon-reload");
	remedy_active(doctor);
}

static void report_option(struct doctor *doctor, int priority)
{
	report(doctor, "zram-generator", "systemd.zram on the kernel's command line", priority);
	doctor_remedy(doctor, "# take systemd.zram off the kernel's command line, or write systemd.zram=0");
	remedy_active(doctor);
}

static void check_generator(struct doctor *doctor)
{
	struct generator generator = {.doctor = doctor};
	enum kernel_option option = find_option(doctor);
	int priority = USUAL_PRIORITY;
	bool is_in_files;

	if (!is_installed(doctor) || option == OPTION_OFF)
		return;
	doctor_layers(doctor, tops, GENERATOR, read_file, &generator);
	is_in_files = find_priority(&generator, &priority);
	if (option == OPTION_ON)
		(void)device_of(&generator, "zram0");
	if (!find_priority(&generator, &priority))
		return;
	if (is_in_files)
		report_files(doctor, generator.where, priority);
	else
		report_option(doctor, priority);
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
	doctor_remedy(doctor, "zsblkctl convert " ZRAMSWAP);
	doctor_remedy(doctor, "systemctl disable --now zramswap");
	doctor_remedy(doctor, "# or leave it, with a priority below that of zsblk");
}

void doctor_check_zram(struct doctor *doctor)
{
	check_generator(doctor);
	check_zramswap(doctor);
}
