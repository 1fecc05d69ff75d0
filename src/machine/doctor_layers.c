/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: files of a configuration that are read one after the other, as systemd.syntax(7) has it. See doctor_parts.h. */
#include "machine/doctor_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DROP_INS_MOST 32u
#define NAME_BYTES    200u

struct drop_in {
	size_t top;
	char name[NAME_BYTES];
};

struct drop_ins {
	struct drop_in all[DROP_INS_MOST];
	unsigned n;
	size_t top; /* of the folder that is looked at */
};

/* One of the same name in a folder that counts more takes its place; there /dev/null is one, too. */
static bool note_drop_in(void *opaque, const char *name)
{
	struct drop_ins *drop_ins = opaque;
	const char *end = strrchr(name, '.');

	if (!end || strcmp(end, ".conf") != 0 || strlen(name) >= NAME_BYTES)
		return false;
	for (unsigned i = 0; i < drop_ins->n; i++)
		if (strcmp(drop_ins->all[i].name, name) == 0)
			return false;
	if (drop_ins->n == DROP_INS_MOST)
		return true;
	drop_ins->all[drop_ins->n].top = drop_ins->top;
	snprintf(drop_ins->all[drop_ins->n++].name, NAME_BYTES, "%s", name);
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct drop_in *)a)->name, ((const struct drop_in *)b)->name);
}

void doctor_layers(const struct doctor *doctor, const char *const tops[DOCTOR_TOPS], const char *name,
		   doctor_file_fn *file, void *opaque)
{
	struct drop_ins drop_ins = {.n = 0};
	char path[DOCTOR_PATH_BYTES];

	for (size_t i = 0; i < DOCTOR_TOPS; i++) {
		snprintf(path, sizeof path, "%s%s", tops[i], name);
		if (doctor_has(doctor, path)) {
			file(opaque, path);
			break;
		}
	}
	for (drop_ins.top = 0; drop_ins.top < DOCTOR_TOPS; drop_ins.top++) {
		snprintf(path, sizeof path, "%s%s.d", tops[drop_ins.top], name);
		doctor_names(doctor, path, note_drop_in, &drop_ins);
	}
	qsort(drop_ins.all, drop_ins.n, sizeof drop_ins.all[0], by_name);
	for (unsigned i = 0; i < drop_ins.n; i++) {
		snprintf(path, sizeof path, "%s%s.d/%s", tops[drop_ins.all[i].top], name, drop_ins.all[i].name);
		file(opaque, path);
	}
}
