/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's settings for swap in memory. See sysctls.h. */
#include "daemon/kernel/sysctls.h"

#include "daemon/base/say.h"
#include "machine/needs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than what is written down of three settings. */
#define RECORD_BYTES 512

/* A setting in the record. */
struct entry {
	char name[40];
	uint64_t was, made;
};

static const char *folder = "/proc/sys/vm";

void sysctls_use_folder(const char *other)
{
	folder = other;
}

/* 0 or a negative errno. */
static int read_setting(const char *name, uint64_t *value)
{
	char path[200];
	FILE *f;
	int r;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	r = fscanf(f, "%" SCNu64, value) == 1 ? 0 : -EINVAL;
	fclose(f);
	return r;
}

static int write_setting(const char *name, uint64_t value)
{
	char path[200];
	FILE *f;
	int r;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "we");
	r = f && fprintf(f, "%" PRIu64 "\n", value) > 0 ? 0 : -errno;
	/* The kernel takes or refuses the value when it is written out, here. */
	if (f && fclose(f) != 0 && !r)
		r = -errno;
	if (r)
		say(SAY_WARNING, "vm.%s cannot be set to %" PRIu64 ": %s", name, value, strerror(-r));
	return r;
}

/* ------------------------------------------------------------------ the record */

static bool is_same_file(int fd, const char *path)
{
	struct stat locked, named;

	return fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino &&
	       locked.st_dev == named.st_dev;
}

/* The record, locked: the file that has the name now, and not one that was removed while we waited for the lock. */
static int record_open(const char *file, int flags)
{
	struct stat st;

	for (;;) {
		int fd = open(file, flags | O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600), r;

		if (fd < 0)
			return -errno;
		r = fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) ? -EINVAL : flock(fd, LOCK_EX) < 0 ? -errno : 0;
		if (!r && is_same_file(fd, file))
			return fd;
		close(fd);
		if (r && r != -EINTR)
			return r;
	}
}

static void record_read(int fd, char *text, size_t size)
{
	ssize_t got = fd < 0 ? 0 : pread(fd, text, size - 1, 0);

	text[got < 0 ? 0 : got] = '\0';
}

/* The next line of it: "NAME WAS MADE". */
static bool record_next(const char **text, struct entry *entry)
{
	int length = 0;

	if (sscanf(*text, "%39s %" SCNu64 " %" SCNu64 "%n", entry->name, &entry->was, &entry->made, &length) != 3)
		return false;
	*text += length;
	return true;
}

static bool record_has(const char *text, const char *name)
{
	struct entry entry;

	while (record_next(&text, &entry))
		if (strcmp(entry.name, name) == 0)
			return true;
	return false;
}

/* Add a line, whole or not at all. */
static int record_add(int fd, const char *name, uint64_t was, uint64_t made)
{
	char line[100];
	int length = snprintf(line, sizeof line, "%s %" PRIu64 " %" PRIu64 "\n", name, was, made);
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t put = end < 0 ? -1 : write(fd, line, (size_t)length);

	if (put == length)
		return 0;
	if (put >= 0)
		errno = ENOSPC;
	put = -errno;
	if (end >= 0)
		(void)!ftruncate(fd, end);
	return (int)put;
}

/* ------------------------------------------------------------------ settings */

/* `fd` and `recorded`: the record, and what is in it already; -1: there is none. */
static void make(const struct needs_sysctl *needed, int fd, const char *recorded)
{
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t was, wanted = needs_sysctl_value(needed, ram);
	const char *name = needed->name;
	int r = record_has(recorded, name) ? -EEXIST : read_setting(name, &was);

	/* The setting was made before, or this kernel does not have it. */
	if (r == -EEXIST || r == -ENOENT)
		return;
	if (r)
		say(SAY_WARNING, "vm.%s cannot be read, and is not set to %" PRIu64 ": %s", name, wanted, strerror(-r));
	if (r || needs_sysctl_is_met(needed, ram, was))
		return;
	/* The record comes first: nothing is changed without the record of what it was. */
	r = fd < 0 ? 0 : record_add(fd, name, was, wanted);
	if (r)
		say(SAY_WARNING, "what vm.%s was cannot be written down: %s", name, strerror(-r));
	if (write_setting(name, wanted) == 0)
		say(SAY_NOTICE, "vm.%s is set to %" PRIu64 " %s; it was %" PRIu64, name, wanted,
		    fd < 0 || r ? "and stays so" : "while this is swap", was);
}

void sysctls_make(const char *file)
{
	int fd = record_open(file, O_CREAT);
	char recorded[RECORD_BYTES];

	/* Without the settings the machine may hang, so they are made all the same. */
	if (fd < 0)
		say(SAY_WARNING, "%s: %s; the kernel's settings cannot be undone", file, strerror(-fd));
	record_read(fd, recorded, sizeof recorded);
	for (unsigned i = 0; i < NEEDS_SYSCTLS; i++)
		make(&needs_sysctls[i], fd, recorded);
	if (fd >= 0)
		close(fd);
}

static void undo(const struct entry *entry)
{
	uint64_t now;
	int r = read_setting(entry->name, &now);

	if (r)
		say(SAY_WARNING, "vm.%s cannot be read, and is not set back to %" PRIu64 ": %s", entry->name,
		    entry->was, strerror(-r));
	else if (now == entry->made)
		write_setting(entry->name, entry->was);
	else
		say(SAY_NOTICE, "vm.%s was changed to %" PRIu64 " by somebody, and stays so", entry->name, now);
}

void sysctls_undo(const char *file, bool (*is_needed)(const void *opaque), const void *opaque)
{
	int fd = record_open(file, 0);
	char recorded[RECORD_BYTES];
	const char *text = recorded;
	struct entry entry;

	if (fd < 0) {
		if (fd != -ENOENT)
			say(SAY_WARNING, "%s: %s; the kernel's settings are not undone", file, strerror(-fd));
		return;
	}
	/* All this is done under the lock: an instance that begins to need the settings now waits, and makes them again. */
	if (!is_needed(opaque)) {
		record_read(fd, recorded, sizeof recorded);
		while (record_next(&text, &entry))
			undo(&entry);
		unlink(file);
	}
	close(fd);
}
