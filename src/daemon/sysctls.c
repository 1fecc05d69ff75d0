/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's settings for swap in memory. See sysctls.h. */
#include "daemon/sysctls.h"

#include "daemon/say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST_FREE_KIB (64u << 10)
#define FREE_SHARE    8u

static const char *folder = "/proc/sys/vm";

void sysctls_use_folder(const char *other)
{
	folder = other;
}

static bool read_setting(const char *name, uint64_t *value)
{
	char path[200];
	FILE *f;
	bool got;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "re");
	got = f && fscanf(f, "%" SCNu64, value) == 1;
	if (f)
		fclose(f);
	return got;
}

static bool write_setting(const char *name, uint64_t value)
{
	char path[200];
	FILE *f;
	bool put;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "we");
	put = f && fprintf(f, "%" PRIu64 "\n", value) > 0;
	/* The kernel answers when it gets it. */
	put = f && fclose(f) == 0 && put;
	if (!put)
		say(SAY_WARNING, "vm.%s cannot be set to %" PRIu64 ": %s", name, value, strerror(errno));
	return put;
}

static uint64_t enough_free_kib(void)
{
	uint64_t share = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024 / FREE_SHARE;

	return share < MOST_FREE_KIB ? share : MOST_FREE_KIB;
}

static void make(const char *name, uint64_t wanted, bool at_least, FILE *record)
{
	uint64_t was;

	if (!read_setting(name, &was) || was == wanted || (at_least && was > wanted))
		return;
	/* First, lest it is changed and nobody knows what it was. */
	fprintf(record, "%s %" PRIu64 " %" PRIu64 "\n", name, was, wanted);
	fflush(record);
	if (write_setting(name, wanted))
		say(SAY_NOTICE, "vm.%s is set to %" PRIu64 " while this is swap; it was %" PRIu64, name, wanted, was);
}

void sysctls_make(const char *file)
{
	/* x: another daemon before us has done it. */
	FILE *record = fopen(file, "wxe");

	if (!record)
		return;
	make("page-cluster", 0, false, record);
	make("watermark_boost_factor", 0, false, record);
	make("min_free_kbytes", enough_free_kib(), true, record);
	fclose(record);
}

void sysctls_undo(const char *file)
{
	FILE *record = fopen(file, "re");
	uint64_t was, made, now;
	char name[40];

	if (!record)
		return;
	while (fscanf(record, "%39s %" SCNu64 " %" SCNu64, name, &was, &made) == 3)
		if (read_setting(name, &now) && now == made)
			write_setting(name, was);
	fclose(record);
	unlink(file);
}
