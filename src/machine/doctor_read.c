/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of the machine that is looked at, below its root. See doctor_parts.h. */
#include "machine/doctor_parts.h"

#include "process/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SWAPS_MOST 32u
/* swap-priority of zsblk.conf(5), by default. */
#define USUAL_PRIORITY 100

void doctor_path(const struct doctor *doctor, const char *name, char path[DOCTOR_PATH_BYTES])
{
	snprintf(path, DOCTOR_PATH_BYTES, "%s%s", doctor->machine->root, name);
}

bool doctor_has(const struct doctor *doctor, const char *name)
{
	char path[DOCTOR_PATH_BYTES];

	doctor_path(doctor, name, path);
	return access(path, F_OK) == 0;
}

bool doctor_read(const struct doctor *doctor, const char *name, char *text, size_t size)
{
	char path[DOCTOR_PATH_BYTES];
	ssize_t got = -1;
	int fd;

	doctor_path(doctor, name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		got = proc_read(fd, text, size);
		close(fd);
	}
	if (got <= 0) {
		text[0] = '\0';
		return false;
	}
	if (text[got - 1] == '\n')
		text[got - 1] = '\0';
	return true;
}

bool doctor_number(const struct doctor *doctor, const char *name, int64_t *number)
{
	char text[32];

	return doctor_read(doctor, name, text, sizeof text) && sscanf(text, "%" SCNd64, number) == 1;
}

bool doctor_lines(const struct doctor *doctor, const char *name, doctor_line_fn *line, void *opaque)
{
	char path[DOCTOR_PATH_BYTES], *text = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f;

	doctor_path(doctor, name, path);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getline(&text, &size, f) > 0) {
		text[strcspn(text, "\n")] = '\0';
		found = line(opaque, text);
	}
	free(text);
	fclose(f);
	return found;
}

bool doctor_names(const struct doctor *doctor, const char *folder, doctor_name_fn *each, void *opaque)
{
	char path[DOCTOR_PATH_BYTES];
	bool found = false;
	struct dirent *entry;
	DIR *stream;

	doctor_path(doctor, folder, path);
	stream = opendir(path);
	if (!stream)
		return false;
	while (!found && (entry = readdir(stream)))
		if (entry->d_name[0] != '.')
			found = each(opaque, entry->d_name);
	closedir(stream);
	return found;
}

struct field {
	const char *key;
	char *text;
	size_t size;
};

static bool field_line(void *opaque, char *line)
{
	const struct field *field = opaque;
	size_t length = strlen(field->key);

	if (strncmp(line, field->key, length) != 0)
		return false;
	line += length;
	snprintf(field->text, field->size, "%s", line + strspn(line, " \t"));
	return true;
}

bool doctor_field(const struct doctor *doctor, const char *name, const char *key, char *text, size_t size)
{
	text[0] = '\0';
	return doctor_lines(doctor, name, field_line, &(struct field){key, text, size});
}

bool doctor_has_word(const char *text, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += length)
		if ((at == text || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
			return true;
	return false;
}

uint64_t doctor_ram(const struct doctor *doctor)
{
	char text[40];

	return doctor_field(doctor, "/proc/meminfo", "MemTotal:", text, sizeof text) ? strtoull(text, NULL, 10) * 1024
										     : 0;
}

bool doctor_program(const struct doctor *doctor, const char *name, char path[DOCTOR_PATH_BYTES])
{
	for (const char *folder = doctor->machine->path; *folder;) {
		int length = (int)strcspn(folder, ":");

		/* An empty folder is the present one, from which a doctor of root runs nothing. */
		if (folder[0] == '/') {
			snprintf(path, DOCTOR_PATH_BYTES, "%s%.*s/%s", doctor->machine->root, length, folder, name);
			if (access(path, X_OK) == 0)
				return true;
		}
		folder += length;
		folder += *folder == ':';
	}
	return false;
}

/* ------------------------------------------------------------------ swap */

struct owner {
	const struct doctor *doctor;
	const char *device; /* "ublkb0" */
};

/* The note that zsblkd leaves of a disk is a link to "ublkb0 SEQUENCE". */
static bool is_noted(void *opaque, const char *name)
{
	const struct owner *owner = opaque;
	char path[DOCTOR_PATH_BYTES], noted[60];
	size_t length = strlen(owner->device);
	ssize_t got;

	snprintf(path, sizeof path, "%s/run/zsblk/%s/disk", owner->doctor->machine->root, name);
	got = readlink(path, noted, sizeof noted - 1);
	noted[got < 0 ? 0 : got] = '\0';
	return strncmp(noted, owner->device, length) == 0 && noted[length] == ' ';
}

/* The nbd driver tells the identifier that zsblkd gave the device; of ublk's, zsblkd has a note. */
static bool is_ours(const struct doctor *doctor, const char *device)
{
	const char *name = strrchr(device, '/');
	char path[100], backend[100];

	name = name ? name + 1 : device;
	snprintf(path, sizeof path, "/sys/block/%.40s/backend", name);
	if (doctor_read(doctor, path, backend, sizeof backend))
		return strncmp(backend, "zsblk:", 6) == 0;
	return doctor_names(doctor, "/run/zsblk", is_noted, &(struct owner){doctor, name});
}

struct swaps {
	const struct doctor *doctor;
	struct doctor_swap *swaps;
	unsigned n, most;
};

static bool swaps_line(void *opaque, char *line)
{
	struct swaps *all = opaque;
	struct doctor_swap swap = {.priority = 0};

	/* The line above the others has no numbers. */
	if (sscanf(line, "%63s %*s %*u %*u %d", swap.name, &swap.priority) == 2) {
		proc_unescape(swap.name);
		swap.is_ours = is_ours(all->doctor, swap.name);
		all->swaps[all->n++] = swap;
	}
	return all->n == all->most;
}

unsigned doctor_swaps(const struct doctor *doctor, struct doctor_swap *swaps, unsigned most)
{
	struct swaps all = {doctor, swaps, 0, most};

	doctor_lines(doctor, "/proc/swaps", swaps_line, &all);
	return all.n;
}

int doctor_own_priority(const struct doctor *doctor, char name[64])
{
	struct doctor_swap swaps[SWAPS_MOST];
	unsigned n = doctor_swaps(doctor, swaps, SWAPS_MOST);

	for (unsigned i = 0; i < n; i++)
		if (swaps[i].is_ours) {
			snprintf(name, 64, "%s", swaps[i].name);
			return swaps[i].priority;
		}
	snprintf(name, 64, "zsblk (by default)");
	return USUAL_PRIORITY;
}

int doctor_other_priority(const struct doctor_machine *machine)
{
	const struct doctor doctor = {.machine = machine};
	struct doctor_swap swaps[SWAPS_MOST];
	unsigned n = doctor_swaps(&doctor, swaps, SWAPS_MOST);
	int highest = -1;

	for (unsigned i = 0; i < n; i++)
		if (!swaps[i].is_ours && swaps[i].priority > highest)
			highest = swaps[i].priority;
	return highest;
}

bool doctor_is_in_use(const struct doctor *doctor)
{
	struct doctor_swap swaps[SWAPS_MOST];
	unsigned n = doctor_swaps(doctor, swaps, SWAPS_MOST);

	for (unsigned i = 0; i < n; i++)
		if (swaps[i].is_ours)
			return true;
	return false;
}
