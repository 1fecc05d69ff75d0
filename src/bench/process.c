/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages of a running process.
 *
 * First the addresses of all its resident private anonymous pages are listed, from
 * /proc/PID/maps and pagemap; then as many as wanted are read from /proc/PID/mem. The process
 * is not stopped: what it unmaps or changes meanwhile is left out or read as it is at that
 * moment, and when it ends, what was read so far is used.
 */
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A word of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_FILE    (UINT64_C(1) << 61) /* of a file, or shared */
#define PAGEMAP_BATCH   8192u

struct addresses {
	uint64_t *at;
	uint64_t count, room;
};

static int add_address(struct addresses *list, uint64_t address)
{
	if (list->count == list->room) {
		uint64_t room = list->room ? list->room * 2 : 65536;
		uint64_t *at = realloc(list->at, room * sizeof *at);

		if (!at)
			return -ENOMEM;
		list->at = at;
		list->room = room;
	}
	list->at[list->count++] = address;
	return 0;
}

static int add_mapping(struct addresses *list, int pagemap, uint64_t start, uint64_t end)
{
	static uint64_t words[PAGEMAP_BATCH];

	while (start < end) {
		uint64_t want = (end - start) / BLOCK;
		ssize_t got;

		want = want < PAGEMAP_BATCH ? want : PAGEMAP_BATCH;
		got = pread(pagemap, words, want * 8, (off_t)(start / BLOCK * 8));
		/* Gone meanwhile, or not made of pages. */
		if (got < 8)
			return 0;
		for (uint64_t i = 0; i < (uint64_t)got / 8; i++, start += BLOCK) {
			if ((words[i] & PAGEMAP_PRESENT) && !(words[i] & PAGEMAP_FILE) && add_address(list, start))
				return -ENOMEM;
		}
	}
	return 0;
}

/* "start-end perms offset dev inode name": private and readable, and not one of the kernel's own. */
static bool parse_mapping(const char *line, uint64_t *start, uint64_t *end)
{
	char perms[8], name[16] = "";

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %15s", start, end, perms, name) < 3)
		return false;
	return perms[0] == 'r' && perms[3] == 'p' && strncmp(name, "[v", 2) != 0;
}

static int list_addresses(struct addresses *list, FILE *maps, int pagemap)
{
	char *line = NULL;
	size_t room = 0;
	int r = 0;

	while (!r && getline(&line, &room, maps) > 0) {
		uint64_t start, end;

		progress("looking for pages: %" PRIu64 " found", list->count);
		if (parse_mapping(line, &start, &end))
			r = add_mapping(list, pagemap, start, end);
	}
	free(line);
	return r;
}

/* Neighbouring addresses of one run are read together. */
static void read_run(struct pages *pages, int mem, const uint64_t *at, uint64_t count)
{
	while (count && pages->count < pages->room) {
		uint64_t n = 1;
		ssize_t got;

		while (n < count && pages->count + n < pages->room && at[n] == at[0] + n * BLOCK)
			n++;
		got = pread(mem, pages->data + pages->count * BLOCK, n * BLOCK, (off_t)at[0]);
		if (got >= (ssize_t)BLOCK)
			pages->count += (uint64_t)got / BLOCK;
		at += n;
		count -= n;
	}
}

static int read_addresses(struct pages *pages, int mem, const struct addresses *list, uint64_t limit,
			  struct zsblk_why *why)
{
	uint64_t runs = (list->count + PAGES_RUN - 1) / PAGES_RUN;
	uint64_t wanted = limit < list->count ? limit / PAGES_RUN : runs;
	int r = pages_alloc(pages, list->count < limit ? list->count : limit, why);

	if (r)
		return r;
	pages->available = list->count;
	for (uint64_t run = 0; run < runs; run++) {
		uint64_t first = run * PAGES_RUN, left = list->count - first;

		if (run % 1024 == 0)
			progress("reading page %" PRIu64 " of %" PRIu64, first, list->count);
		if (pages_pick_run(run, runs, wanted))
			read_run(pages, mem, list->at + first, left < PAGES_RUN ? left : PAGES_RUN);
	}
	return 0;
}

static int open_proc(int pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int explain(int pid, int error, struct zsblk_why *why)
{
	if (error == -ENOENT || error == -ESRCH)
		return because(why, error, "--pid %d: there is no such process: see ps -e", pid);
	if (error == -EACCES || error == -EPERM)
		return because(why, error, "--pid %d: no right to read its memory: run as root, or with CAP_SYS_PTRACE",
			       pid);
	return because(why, error, "--pid %d: %s", pid, strerror(-error));
}

static int read_process(struct pages *pages, int pid, uint64_t limit, const int fds[3], struct zsblk_why *why)
{
	struct addresses list = {0};
	FILE *maps = fdopen(dup(fds[0]), "re");
	int r = maps ? list_addresses(&list, maps, fds[1]) : -errno;

	if (maps)
		fclose(maps);
	if (r)
		r = explain(pid, r, why);
	else if (!list.count)
		r = because(why, -ENODATA,
			    "--pid %d has no resident anonymous pages: it is a kernel thread, has ended, or"
			    " is swapped out",
			    pid);
	else
		r = read_addresses(pages, fds[2], &list, limit, why);
	if (!r && !pages->count)
		r = because(why, -ENODATA, "--pid %d: it ended, or none of its %" PRIu64 " pages could be read", pid,
			    list.count);
	free(list.at);
	return r;
}

int pages_from_process(struct pages *pages, int pid, uint64_t limit, struct zsblk_why *why)
{
	static const char *const names[3] = {"maps", "pagemap", "mem"};
	int fds[3] = {-1, -1, -1}, r = 0;

	snprintf(pages->source, sizeof pages->source, "process %d", pid);
	for (unsigned i = 0; i < 3 && !r; i++) {
		fds[i] = open_proc(pid, names[i]);
		if (fds[i] < 0)
			r = explain(pid, fds[i], why);
	}
	if (!r)
		r = read_process(pages, pid, limit, fds, why);
	for (unsigned i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	return r;
}
