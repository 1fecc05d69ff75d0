/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages of all processes that may be read: a share of each, as large as its share of all anonymous memory. process.c says how one is read.
 */
#include "bench/bench.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
	int pid;
	uint64_t pages; /* that are resident and of no file, as far as can be told */
};

struct processes {
	struct process *all;
	unsigned count, room;
	uint64_t pages;
};

static uint64_t anonymous_pages(int pid)
{
	uint64_t size, resident, shared, found = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/statm", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64 " %" SCNu64 " %" SCNu64, &size, &resident, &shared) == 3 && resident > shared)
		found = resident - shared;
	fclose(file);
	return found * ((uint64_t)sysconf(_SC_PAGESIZE) / BLOCK);
}

static int add(struct processes *list, int pid)
{
	uint64_t pages = anonymous_pages(pid);

	/* We ourselves are no sample of the machine, and threads of the kernel have no pages. */
	if (!pages || pid == getpid())
		return 0;
	if (list->count == list->room) {
		unsigned room = list->room ? list->room * 2 : 256;
		struct process *all = realloc(list->all, room * sizeof *all);

		if (!all)
			return -ENOMEM;
		list->all = all;
		list->room = room;
	}
	list->all[list->count++] = (struct process){.pid = pid, .pages = pages};
	list->pages += pages;
	return 0;
}

static int list_processes(struct processes *list)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int r = proc ? 0 : -errno;

	while (!r && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			r = add(list, atoi(entry->d_name));
	if (proc)
		closedir(proc);
	return r;
}

/* True if something came of it. A process that may not be read, or ends, is left out. */
static bool read_share(struct pages *pages, const struct process *process, uint64_t limit)
{
	struct pages share = {0};
	struct zsblk_why why;
	uint64_t room = pages->room - pages->count;

	if (!limit || pages_from_process(&share, process->pid, limit, &why) != 0) {
		pages_free(&share);
		return false;
	}
	share.count = share.count < room ? share.count : room;
	memcpy(pages->data + pages->count * BLOCK, share.data, share.count * BLOCK);
	pages->count += share.count;
	pages->available += share.available;
	pages_free(&share);
	return true;
}

int pages_from_processes(struct pages *pages, uint64_t limit, struct zsblk_why *why)
{
	struct processes list = {0};
	unsigned done = 0;
	double due = 0; /* runs: what is left of one is the next process's */
	int r = list_processes(&list);

	if (r)
		r = because(why, r, "the processes of this machine cannot be listed: %s", strerror(-r));
	else
		r = pages_alloc(pages, limit, why);
	for (unsigned i = 0; i < list.count && !r; i++) {
		double part = list.pages > limit ? (double)limit / (double)list.pages : 1;
		uint64_t runs;

		due += (double)list.all[i].pages * part / PAGES_RUN;
		runs = (uint64_t)due;
		due -= (double)runs;
		done += read_share(pages, &list.all[i], runs * PAGES_RUN);
	}
	if (!r && !pages->count)
		r = because(why, -ENODATA,
			    "no process of this machine may be read: run as root, or name a file of pages, --pid PID or"
			    " --synthetic");
	snprintf(pages->source, sizeof pages->source, "%u of the %u processes of this machine", done, list.count);
	free(list.all);
	return r;
}
