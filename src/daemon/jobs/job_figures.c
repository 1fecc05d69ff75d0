/* SPDX-License-Identifier: BSD-3-Clause */
/* The figures of a server. See job_figures.h. */
#include "daemon/jobs/job_figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static double statistic(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && line[length] == '=')
			return (double)strtoull(line + length + 1, NULL, 10);
	}
	return 0;
}

void job_figures_describe(const char *stats, struct wrong *text)
{
	const double mib = 1024.0 * 1024.0;
	double data = statistic(stats, "orig_data_size"), used = statistic(stats, "mem_used_total");

	snprintf(text->text, sizeof text->text, "%.0f MiB, %.1f MiB of data in %.1f MiB of memory (ratio %.2f)",
		 statistic(stats, "disksize") / mib, data / mib, used / mib, used > 0 ? data / used : 0);
}

int job_figures_read(const void *what, struct wrong *text)
{
	const struct job_figures *figures = what;
	FILE *f = fopen(figures->stats, "re");
	char stats[4096];
	struct stat st = {0};
	struct tm when;
	size_t length;

	if (!f)
		return -errno;
	fstat(fileno(f), &st);
	stats[fread(stats, 1, sizeof stats - 1, f)] = '\0';
	fclose(f);
	job_figures_describe(stats, text);
	/*
	 * Say how old the figures are: the server leaves the file alone while memory is short, and systemd shows what it
	 * was told last.
	 */
	length = strlen(text->text);
	if (st.st_mtime && localtime_r(&st.st_mtime, &when))
		strftime(text->text + length, sizeof text->text - length, " at %H:%M:%S", &when);
	return 0;
}
