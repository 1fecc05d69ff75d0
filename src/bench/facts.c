/* SPDX-License-Identifier: BSD-3-Clause */
/* What the machine is. See facts.h. */
#include "bench/facts.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* What stands behind `key` and `separator` in the first line that begins with `key`. False: there is none. */
static bool find(const char *path, const char *key, char separator, char *value, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[512];
	bool found = false;

	while (file && !found && fgets(line, sizeof line, file)) {
		const char *at = strchr(line, separator);

		if (strncmp(line, key, strlen(key)) != 0 || !at)
			continue;
		at++;
		at += strspn(at, " \t\"");
		snprintf(value, size, "%.*s", (int)strcspn(at, "\"\n"), at);
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

/* x86 tells the processor's name, small boards with a device tree the board's. */
static void get_processor(struct facts *facts, const char *machine)
{
	FILE *board;
	size_t n;

	if (find("/proc/cpuinfo", "model name", ':', facts->processor, sizeof facts->processor))
		return;
	snprintf(facts->processor, sizeof facts->processor, "%s", machine);
	board = fopen("/proc/device-tree/model", "re");
	if (!board)
		return;
	n = fread(facts->processor, 1, sizeof facts->processor - 1, board);
	fclose(board);
	facts->processor[n] = '\0';
	if (!n)
		snprintf(facts->processor, sizeof facts->processor, "%s", machine);
}

void facts_get(struct facts *facts)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	time_t now = time(NULL);
	struct utsname name;
	struct sysinfo info;
	struct tm utc;

	*facts = (struct facts){.processors = processors > 0 ? (unsigned)processors : 0,
				.page_bytes = sysconf(_SC_PAGESIZE)};
	if (uname(&name) == 0) {
		snprintf(facts->kernel, sizeof facts->kernel, "%s %s %s", name.sysname, name.release, name.machine);
		get_processor(facts, name.machine);
	}
	if (sysinfo(&info) == 0) {
		facts->memory_bytes = (uint64_t)info.totalram * info.mem_unit;
		facts->swap_bytes = (uint64_t)info.totalswap * info.mem_unit;
	}
	if (gmtime_r(&now, &utc))
		strftime(facts->date, sizeof facts->date, "%Y-%m-%d %H:%M UTC", &utc);
	if (!find("/etc/os-release", "PRETTY_NAME", '=', facts->system, sizeof facts->system))
		find("/usr/lib/os-release", "PRETTY_NAME", '=', facts->system, sizeof facts->system);
}
