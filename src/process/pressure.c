/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pressure stall information. See pressure.h. A file of it:
 *
 *   some avg10=0.32 avg60=0.10 avg300=0.02 total=183402
 *   full avg10=0.00 avg60=0.00 avg300=0.00 total=91022
 */
#include "process/pressure.h"

#include "process/cgroup.h"
#include "process/proc.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRESSURE_TEXT 256u
#define WHOLE         10000u /* all of the time */

static int open_file(const char *path)
{
	return path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

void pressure_open_from(struct pressure *pressure, const char *system, const char *group)
{
	*pressure = (struct pressure){.system = open_file(system), .group = open_file(group)};
}

void pressure_open(struct pressure *pressure)
{
	pressure_open_from(pressure, "/proc/pressure/memory", NULL);
	pressure->group = cgroup_open_file("memory.pressure");
}

void pressure_close(struct pressure *pressure)
{
	if (pressure->system >= 0)
		close(pressure->system);
	if (pressure->group >= 0)
		close(pressure->group);
	*pressure = (struct pressure){.system = -1, .group = -1};
}

/* "12.34" is 1234; at most WHOLE. */
static unsigned hundredths(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (n > WHOLE)
		return WHOLE;
	n *= 100;
	if (*end == '.' && isdigit((unsigned char)end[1])) {
		n += 10ul * (unsigned long)(end[1] - '0');
		if (isdigit((unsigned char)end[2]))
			n += (unsigned long)(end[2] - '0');
	}
	return n > WHOLE ? WHOLE : (unsigned)n;
}

/* Raise *some to what a file says. False: it does not tell. */
static bool take_file(int fd, unsigned *some)
{
	static const char start[] = "some avg10=";
	char text[PRESSURE_TEXT];
	unsigned found;

	/* The kernel has this line first. */
	if (fd < 0 || proc_read(fd, text, sizeof text) <= 0 || strncmp(text, start, sizeof start - 1) != 0)
		return false;
	found = hundredths(text + sizeof start - 1);
	if (found > *some)
		*some = found;
	return true;
}

bool pressure_look(const struct pressure *pressure, unsigned *some)
{
	bool system, group;

	*some = 0;
	system = take_file(pressure->system, some);
	group = take_file(pressure->group, some);
	return system || group;
}
