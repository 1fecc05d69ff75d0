/* SPDX-License-Identifier: BSD-3-Clause */
/* An owner of objects, and a store in a file: for the tests of src/spill. */
#ifndef TEST_SPILL_FILE_H
#define TEST_SPILL_FILE_H

#include "lib/files.h"
#include "lib/spill_owner.h"

#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)

static struct owner owner;
static struct spill_params params;
static struct spill_why why;
static char path[300];

static inline int set_up(void **state)
{
	if (files_make(state))
		return -1;
	strcpy(path, files_path("store"));
	spill_params_init(&params);
	params.location = path;
	params.limit = 24 * MIB;
	owner_init(&owner, owner_new_table(), 9000);
	return 0;
}

static inline int tear_down(void **state)
{
	owner_close(&owner);
	munmap(owner.table, sizeof *owner.table);
	return files_remove(state);
}

static inline void open_it(void)
{
	int r = owner_open(&owner, &params, &why);

	if (r)
		fail_msg("%s: %s", strerror(-r), why.text);
}

static inline void open_again(void)
{
	owner_close(&owner);
	open_it();
}

static inline struct spill_stats stats_now(void)
{
	struct spill_stats stats;

	spill_stats(owner.store, &stats);
	return stats;
}

/* Is this in the store's file? */
static inline bool is_in_file(const void *bytes, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool is_there;
	void *at;

	must(fd >= 0 && fstat(fd, &st) == 0);
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	must(at != MAP_FAILED);
	is_there = memmem(at, (size_t)st.st_size, bytes, size) != NULL;
	munmap(at, (size_t)st.st_size);
	close(fd);
	return is_there;
}

static inline void change_file(uint64_t offset, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	must(fd >= 0 && pwrite(fd, bytes, size, (off_t)offset) == (ssize_t)size);
	close(fd);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
