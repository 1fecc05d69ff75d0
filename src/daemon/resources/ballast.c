/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for bad times. See ballast.h. */
#include "daemon/resources/ballast.h"

#include "daemon/kernel/maps.h"
#include "process/spare.h"
#include "process/system_page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* A multiple of every system page there is. */
#define PIECE     (256u << 10)
#define MAX_FILES 64u
/* Larger files are tables of which next to nothing is used. */
#define MAX_FILE_BYTES (8u << 20)

struct file {
	dev_t device;
	ino_t inode;
	void *start;
	size_t bytes;
	bool seen;
};

/* The first system page of the mapping: true for all who share it. */
struct shared {
	size_t bytes;
	size_t held; /* from the start on */
};

struct ballast {
	struct shared *shared;
	char *start; /* the next page */
	struct cgroup *cgroup;
	struct spare spare;
	struct file files[MAX_FILES];
};

static int populate(void *start, size_t bytes)
{
	if (madvise(start, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -ENOMEM;
	for (size_t at = 0; at < bytes; at += (size_t)system_page())
		((volatile char *)start)[at] = 0;
	return 0;
}

int ballast_create(struct ballast **result, size_t bytes, bool fill)
{
	struct ballast *ballast = calloc(1, sizeof *ballast);
	size_t head = (size_t)system_page();
	void *map;

	if (!ballast)
		return -ENOMEM;
	bytes = (bytes + PIECE - 1) / PIECE * PIECE;
	ballast->cgroup = cgroup_open();
	spare_open(&ballast->spare, ballast->cgroup);
	map = mmap(NULL, head + bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (map != MAP_FAILED) {
		madvise(map, head + bytes, MADV_NOHUGEPAGE);
		ballast->shared = map;
		ballast->start = (char *)map + head;
		ballast->shared->bytes = bytes;
	}
	if (map == MAP_FAILED || populate(map, head + (fill ? bytes : 0))) {
		ballast_free(ballast);
		return -ENOMEM;
	}
	ballast->shared->held = fill ? bytes : 0;
	*result = ballast;
	return 0;
}

static void let_go(struct file *file)
{
	if (file->start)
		munmap(file->start, file->bytes);
	*file = (struct file){0};
}

void ballast_free(struct ballast *ballast)
{
	if (!ballast)
		return;
	for (unsigned i = 0; i < MAX_FILES; i++)
		let_go(&ballast->files[i]);
	if (ballast->shared)
		munmap(ballast->shared, (size_t)system_page() + ballast->shared->bytes);
	spare_close(&ballast->spare);
	cgroup_close(ballast->cgroup);
	free(ballast);
}

void ballast_drop(struct ballast *ballast, size_t bytes)
{
	struct shared *shared = ballast->shared;
	size_t drop = bytes < shared->held ? (bytes + PIECE - 1) / PIECE * PIECE : shared->held;

	if (!drop)
		return;
	shared->held -= drop;
	/* Ranges of a locked mapping of shared memory are not given back. */
	munlock(ballast->start + shared->held, drop);
	madvise(ballast->start + shared->held, drop, MADV_REMOVE);
}

bool ballast_refill(struct ballast *ballast)
{
	struct shared *shared = ballast->shared;

	if (shared->held == shared->bytes)
		return false;
	/* Take memory as an ordinary process would. What only real-time tasks may take is left to the server. */
	if (!spare_memory_for(&ballast->spare, false))
		return true;
	mlock2(ballast->start + shared->held, PIECE, MLOCK_ONFAULT);
	if (populate(ballast->start + shared->held, PIECE) == 0)
		shared->held += PIECE;
	return shared->held < shared->bytes;
}

size_t ballast_held(const struct ballast *ballast)
{
	return ballast->shared->held;
}

bool ballast_is_whole(struct ballast *ballast)
{
	return ballast->shared->held == ballast->shared->bytes && spare_memory_for(&ballast->spare, false);
}

/* ------------------------------------------------------------------ files */

static struct file *find_file(struct ballast *ballast, const struct stat *st)
{
	for (unsigned i = 0; i < MAX_FILES; i++)
		if (ballast->files[i].start && ballast->files[i].device == st->st_dev &&
		    ballast->files[i].inode == st->st_ino)
			return &ballast->files[i];
	return NULL;
}

/* Hold a file in memory. Its mapping is locked page by page as pages are touched (MCL_ONFAULT), so all of it is touched. */
static void hold_file(struct ballast *ballast, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct file *file = NULL;
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > MAX_FILE_BYTES) {
		close(fd);
		return;
	}
	file = find_file(ballast, &st);
	for (unsigned i = 0; i < MAX_FILES && !file; i++)
		if (!ballast->files[i].start)
			file = &ballast->files[i];
	if (file && !file->start) {
		void *start = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);

		if (start != MAP_FAILED)
			*file = (struct file){st.st_dev, st.st_ino, start, (size_t)st.st_size, false};
		for (size_t at = 0; start != MAP_FAILED && at < (size_t)st.st_size; at += (size_t)system_page())
			(void)((volatile char *)start)[at];
	}
	if (file)
		file->seen = true;
	close(fd);
}

void ballast_hold_files(struct ballast *ballast, const char *programs)
{
	char line[MAPS_LINE_MAX];
	struct mapping mapping;

	for (unsigned i = 0; i < MAX_FILES; i++)
		ballast->files[i].seen = false;
	for (size_t length; *programs; programs += length) {
		length = strcspn(programs, "\n");
		length += programs[length] == '\n';
		snprintf(line, sizeof line, "%.*s", (int)length, programs);
		if (maps_parse(line, &mapping) && mapping.is_program)
			hold_file(ballast, mapping.path);
	}
	for (unsigned i = 0; i < MAX_FILES; i++)
		if (!ballast->files[i].seen)
			let_go(&ballast->files[i]);
}
