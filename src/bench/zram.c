/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's zram, to compare: what do the same pages take there? Only root can ask. The device is one that the kernel
 * makes for us, and it is removed again. No other one is touched.
 *
 * zram counts what its allocator has (mem_used_total), and not its table, which has 16 bytes for each page.
 */
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CONTROL    "/sys/class/zram-control"
#define TABLE_WORD 16u
#define PIECE      (128u << 10)

/* Read a file of sysfs. False: there is none, or it cannot be read. */
static bool get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

struct zram {
	int number;
	char folder[64]; /* in sysfs */
};

static bool get_of(const struct zram *zram, const char *name, char *text, size_t size)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", zram->folder, name);
	return get(path, text, size);
}

static bool set_of(const struct zram *zram, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", zram->folder, name);
	return set(path, text);
}

static int add(struct zram *zram, struct zsblk_why *why)
{
	char text[32];

	if (geteuid() != 0)
		return because(why, -EPERM, "only root can make a zram device");
	/* To read this file makes a device. */
	if (!get(CONTROL "/hot_add", text, sizeof text))
		return because(why, -ENODEV, "this kernel has no zram, or its module zram is not loaded");
	zram->number = atoi(text);
	snprintf(zram->folder, sizeof zram->folder, "/sys/block/zram%d", zram->number);
	return 0;
}

static void take_away(const struct zram *zram)
{
	char text[32];

	snprintf(text, sizeof text, "%d", zram->number);
	set_of(zram, "reset", "1");
	set(CONTROL "/hot_remove", text);
}

/* A node of our own, which lasts for a moment: /dev need not be the kernel's. */
static int open_node(const struct zram *zram)
{
	char folder[] = "/tmp/zsblk-bench-XXXXXX", path[64], text[32];
	unsigned major, minor;
	int fd = -1;

	if (!get_of(zram, "dev", text, sizeof text) || sscanf(text, "%u:%u", &major, &minor) != 2 || !mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/zram", folder);
	if (mknod(path, S_IFBLK | 0600, makedev(major, minor)) == 0) {
		fd = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
		unlink(path);
	}
	rmdir(folder);
	return fd;
}

static bool write_all(int fd, const struct pages *pages)
{
	uint64_t bytes = pages->count * BLOCK;

	for (uint64_t at = 0; at < bytes; at += PIECE) {
		size_t len = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;

		if (pwrite(fd, pages->data + at, len, (off_t)at) != (ssize_t)len)
			return false;
	}
	return true;
}

/* A kernel that lacks the algorithm refuses the name, or lists it nowhere. */
static bool choose(const struct zram *zram, const char *algorithm)
{
	char text[256];
	const char *chosen;

	if (!set_of(zram, "comp_algorithm", algorithm) || !get_of(zram, "comp_algorithm", text, sizeof text))
		return false;
	chosen = strchr(text, '[');
	return chosen && !strncmp(chosen + 1, algorithm, strlen(algorithm)) && chosen[1 + strlen(algorithm)] == ']';
}

static int fill(const struct zram *zram, const char *algorithm, const struct pages *pages, struct zsblk_why *why)
{
	char text[32];
	bool done;
	int fd;

	if (!choose(zram, algorithm))
		return because(why, -EOPNOTSUPP, "this kernel's zram has no %s", algorithm);
	snprintf(text, sizeof text, "%" PRIu64, pages->count * BLOCK);
	if (!set_of(zram, "disksize", text))
		return because(why, -EIO, "the zram device does not take its size");
	fd = open_node(zram);
	done = fd >= 0 && write_all(fd, pages);
	if (fd >= 0)
		close(fd);
	return done ? 0 : because(why, -EIO, "the zram device does not take the pages");
}

/* 0: see *why. */
static uint64_t bytes_with(const char *algorithm, const struct pages *pages, struct zsblk_why *why)
{
	uint64_t original, compressed, used = 0;
	struct zram zram;
	char text[256];
	int r = add(&zram, why);

	if (r)
		return 0;
	progress("zram with %s: storing", algorithm);
	r = fill(&zram, algorithm, pages, why);
	if (!r && (!get_of(&zram, "mm_stat", text, sizeof text) ||
		   sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &original, &compressed, &used) != 3))
		r = because(why, -EIO, "the zram device does not tell what it takes");
	take_away(&zram);
	return r ? 0 : used + pages->count * TABLE_WORD;
}

void measure_zram(const struct pages *pages, struct zram_memory *zram)
{
	*zram = (struct zram_memory){0};
	zram->lz4 = bytes_with("lz4", pages, &zram->lz4_why);
	zram->zstd = bytes_with("zstd", pages, &zram->zstd_why);
}
