/* SPDX-License-Identifier: BSD-3-Clause */
/* How well the memory of this machine compresses. See machine_pages.h. */
#include "ctl/init/machine_pages.h"

#include "ctl/member.h"
#include "machine/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES  6u
#define LIMIT      "8M"
#define LIMIT_S    20u
#define BLOCK      4096u
#define JSON_BYTES (256u << 10)
/* Less is not worth a look. */
#define LEAST_KIB 1024u
/* Of a device: table word, back-reference, rounding and the like, for each block. A sample is too small to show that of a large device. */
#define OVERHEAD 24u

struct process {
	int pid;
	uint64_t kib; /* anonymous memory */
};

/* ------------------------------------------------------------------ processes */

/* Anonymous memory in KiB; 0: none, or it is gone. */
static uint64_t anonymous_kib(int pid)
{
	char path[40], line[200];
	uint64_t kib = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* May the caller read its memory? */
static bool is_readable(int pid)
{
	char path[40];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Keep the largest, in order. */
static void keep(struct process largest[PROCESSES + 1], unsigned *n, struct process one)
{
	unsigned i = *n;

	for (; i > 0 && largest[i - 1].kib < one.kib; i--)
		largest[i] = largest[i - 1];
	largest[i] = one;
	if (*n < PROCESSES)
		++*n;
}

/* `seen`: how many are large enough, whether they are readable or not. */
static unsigned find_largest(struct process largest[PROCESSES + 1], unsigned *seen)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	unsigned n = 0;

	*seen = 0;
	while (dir && (entry = readdir(dir))) {
		struct process one = {.pid = atoi(entry->d_name)};

		if (one.pid <= 0 || one.pid == getpid())
			continue;
		one.kib = anonymous_kib(one.pid);
		*seen += one.kib >= LEAST_KIB;
		if (one.kib >= LEAST_KIB && (n < PROCESSES || one.kib > largest[n - 1].kib) && is_readable(one.pid))
			keep(largest, &n, one);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* ------------------------------------------------------------------ measurement */

static uint64_t bytes_of(struct json_object *result)
{
	return member_number(result, "compressed_bytes") + OVERHEAD * member_number(result, "pages");
}

/* False: it says nothing of both algorithms. */
static bool add_results(struct machine_pages *pages, const char *text)
{
	struct json_object *all = json_tokener_parse(text), *results = all ? member_array(all, "results") : NULL;
	bool is_good = results && json_object_array_length(results) == 2 && member_number(all, "pages");

	if (is_good) {
		pages->processes++;
		pages->bytes += member_number(all, "pages") * BLOCK;
		pages->lz4_bytes += bytes_of(json_object_array_get_idx(results, 0));
		pages->zstd_bytes += bytes_of(json_object_array_get_idx(results, 1));
	}
	json_object_put(all);
	return is_good;
}

static void note_nobody(struct machine_pages *pages, unsigned seen)
{
	if (!seen)
		snprintf(pages->why_not, sizeof pages->why_not, "no process here has a MiB of memory of its own");
	else
		snprintf(pages->why_not, sizeof pages->why_not, "you may look into none of %u large process%s%s", seen,
			 seen == 1 ? "" : "es", geteuid() ? "; root may" : "");
}

static void note_failure(struct machine_pages *pages, const char *bench, int r, int status)
{
	if (r == -ETIMEDOUT)
		snprintf(pages->why_not, sizeof pages->why_not, "%s took too long", bench);
	else if (status == PROGRAM_NOT_FOUND)
		snprintf(pages->why_not, sizeof pages->why_not, "there is no %s", bench);
	else
		snprintf(pages->why_not, sizeof pages->why_not, "%s could not measure a process", bench);
}

static void measure(struct machine_pages *pages, const char *bench, int pid, uint64_t until, char *buffer)
{
	char number[16], algorithms[24];
	const char *const arguments[] = {bench,         "--json",   "--repeat", "1",    "--limit", LIMIT,
					 "--algorithm", algorithms, "--pid",    number, NULL};
	struct program_text output = {buffer, JSON_BYTES, 0};
	int status = 0, r;

	snprintf(number, sizeof number, "%d", pid);
	snprintf(algorithms, sizeof algorithms, "lz4,zstd:%d", MACHINE_PAGES_ZSTD_LEVEL);
	r = program_run(arguments, &output, NULL, until, &status);
	if (r || !add_results(pages, buffer))
		note_failure(pages, bench, r, status);
}

void machine_pages_measure(struct machine_pages *pages, const char *bench)
{
	struct process largest[PROCESSES + 1];
	uint64_t until = program_clock_us() + UINT64_C(1000000) * LIMIT_S;
	unsigned seen, n = find_largest(largest, &seen);
	char *buffer = malloc(JSON_BYTES);

	*pages = (struct machine_pages){0};
	if (!n)
		note_nobody(pages, seen);
	if (!buffer)
		snprintf(pages->why_not, sizeof pages->why_not, "no memory");
	for (unsigned i = 0; buffer && i < n && program_clock_us() < until; i++)
		measure(pages, bench, largest[i].pid, until, buffer);
	free(buffer);
	if (pages->processes)
		pages->why_not[0] = '\0';
}
