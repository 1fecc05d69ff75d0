/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why the system refused memory. See refused.h.
 *
 *   shmget   EINVAL   kernel.shmmax, bytes of one segment
 *            ENOSPC   kernel.shmall, pages of all segments; kernel.shmmni, their number
 *   any      ENOMEM   RLIMIT_AS, address space of the process (ulimit -v)
 *                     vm.overcommit_memory = 2: CommitLimit of /proc/meminfo, for all processes together
 *
 * Source: shmget(2), proc(5), setrlimit(2), and the kernel's documentation on overcommit accounting.
 */
#include "segment/refused.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *folder = "/proc";

void refused_use_folder(const char *other)
{
	folder = other;
}

static FILE *open_file(const char *name)
{
	char path[300];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return fopen(path, "re");
}

/* The number in a file of /proc; `otherwise` if it cannot be read. */
static uint64_t setting(const char *name, uint64_t otherwise)
{
	FILE *f = open_file(name);
	uint64_t value;
	bool got = f && fscanf(f, "%" SCNu64, &value) == 1;

	if (f)
		fclose(f);
	return got ? value : otherwise;
}

/* The bytes that a line "NAME: N kB" of a file names; 0 if there is no such line. */
static uint64_t kib_line(const char *file, const char *name)
{
	char line[200];
	uint64_t kib = 0;
	size_t length = strlen(name);
	FILE *f = open_file(file);

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, name, length) == 0 && line[length] == ':' &&
		    sscanf(line + length + 1, "%" SCNu64, &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

/* Count all System V segments of the system, and their pages. */
static void count_segments(uint64_t *segments, uint64_t *pages)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), bytes;
	FILE *f = open_file("sysvipc/shm");
	char line[400];

	*segments = *pages = 0;
	while (f && fgets(line, sizeof line, f))
		/* key, identifier, mode, size */
		if (sscanf(line, "%*d %*d %*o %" SCNu64, &bytes) == 1) {
			*segments += 1;
			*pages += (bytes + page - 1) / page;
		}
	if (f)
		fclose(f);
}

static void explain_shmall(uint64_t bytes, char *text, size_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), wanted = (bytes + page - 1) / page, segments, pages;
	uint64_t all = setting("sys/kernel/shmall", UINT64_MAX), most = setting("sys/kernel/shmmni", UINT64_MAX);

	count_segments(&segments, &pages);
	if (pages + wanted > all)
		snprintf(text, size,
			 "kernel.shmall is %" PRIu64 " pages, and %" PRIu64
			 " are needed, with those of all segments there are; "
			 "raise it, or make size smaller",
			 all, pages + wanted);
	else if (segments >= most)
		snprintf(text, size,
			 "kernel.shmmni is %" PRIu64
			 ", and there are as many segments (ipcs -m); raise it, or remove some",
			 most);
}

static void explain_no_memory(uint64_t bytes, char *text, size_t size)
{
	uint64_t own = kib_line("self/status", "VmSize"), limit = kib_line("meminfo", "CommitLimit"),
		 committed = kib_line("meminfo", "Committed_AS");
	struct rlimit as;

	if (getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_cur != RLIM_INFINITY && own + bytes > as.rlim_cur)
		snprintf(text, size,
			 "the limit on address space (RLIMIT_AS, ulimit -v) is %" PRIu64 " KiB, and at least %" PRIu64
			 " are needed; raise it, or make size smaller",
			 (uint64_t)as.rlim_cur / 1024, (own + bytes) / 1024);
	else if (refused_address_space_counts() && committed + bytes > limit)
		snprintf(text, size,
			 "vm.overcommit_memory is 2, and CommitLimit would have to be %" PRIu64
			 " MiB instead of %" PRIu64 "; raise vm.overcommit_ratio (now %" PRIu64
			 "), set vm.overcommit_memory to 0, or make size smaller",
			 (committed + bytes + (1 << 20) - 1) >> 20, limit >> 20, setting("sys/vm/overcommit_ratio", 0));
}

void refused_explain(int error, const char *step, uint64_t bytes, char *text, size_t size)
{
	bool by_shmget = strcmp(step, "shmget") == 0;
	uint64_t most;

	text[0] = '\0';
	if (by_shmget && error == -EINVAL) {
		most = setting("sys/kernel/shmmax", UINT64_MAX);
		if (bytes > most)
			snprintf(text, size,
				 "kernel.shmmax is %" PRIu64 ", and %" PRIu64
				 " are needed; raise it (sysctl kernel.shmmax=%" PRIu64 "), or make size smaller",
				 most, bytes, bytes);
	} else if (by_shmget && error == -ENOSPC) {
		explain_shmall(bytes, text, size);
	} else if (error == -ENOMEM) {
		explain_no_memory(bytes, text, size);
	}
}

bool refused_address_space_counts(void)
{
	return setting("sys/vm/overcommit_memory", 0) == 2;
}
