/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder with files of our own, in place of the system's. One for a test program. */
#ifndef TEST_FILES_H
#define TEST_FILES_H

#include "lib/test.h"

#include <sys/stat.h>

/* Its path, between files_make() and files_remove(): for cmocka's set-up and tear-down of a group, or of a test. */
static char files_top[sizeof "/tmp/zsblk-test-XXXXXX"];

static inline int files_make(void **state)
{
	(void)state;
	strcpy(files_top, "/tmp/zsblk-test-XXXXXX");
	return mkdtemp(files_top) ? 0 : -1;
}

static inline int files_remove(void **state)
{
	char command[sizeof files_top + 10];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", files_top);
	return system(command);
}

/* A path below it, in a buffer that the next call uses again. */
static inline const char *files_path(const char *name)
{
	static char path[400];

	must((size_t)snprintf(path, sizeof path, "%s/%s", files_top, name) < sizeof path);
	return path;
}

/* Go there: for what is compiled with paths that are relative. files_leave() for tear-down. */
static inline int files_enter(void **state)
{
	return files_make(state) < 0 || chdir(files_top) < 0 ? -1 : 0;
}

static inline int files_leave(void **state)
{
	return chdir("/") < 0 || files_remove(state) ? -1 : 0;
}

/* Make a file, with the folders on the way to it, or replace what it says. */
static inline void files_put(const char *name, const char *text)
{
	char path[400];
	FILE *f;

	strcpy(path, files_path(name));
	for (char *slash = path + strlen(files_top) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* That is what a file says. */
static inline void files_expect(const char *name, const char *wanted)
{
	char text[400];
	FILE *f = fopen(files_path(name), "re");

	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	assert_string_equal(text, wanted);
}

#endif
