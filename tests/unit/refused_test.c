/* SPDX-License-Identifier: BSD-3-Clause */
/* Why the system refuses memory: settings as plain files, and the text names each with its value and the one that would do. */
#include "lib/files.h"
#include "lib/test.h"

#include "segment/refused.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static void explained(int error, const char *step, uint64_t bytes, const char *one, const char *two, const char *three)
{
	char text[256];

	refused_explain(error, step, bytes, text, sizeof text);
	if (!strstr(text, one) || !strstr(text, two) || !strstr(text, three))
		fail_msg("\"%s\" has not %s, %s and %s", text, one, two, three);
}

static void not_explained(int error, const char *step, uint64_t bytes)
{
	char text[256] = "?";

	refused_explain(error, step, bytes, text, sizeof text);
	assert_string_equal(text, "");
}

static void test_shmmax(void **state)
{
	files_put("sys/kernel/shmmax", "33554432\n");
	explained(-EINVAL, "shmget", 33554433, "kernel.shmmax is 33554432", "33554433 are needed",
		  "kernel.shmmax=33554433");
	not_explained(-EINVAL, "shmget", 33554432);
	not_explained(-EINVAL, "shmat", 33554433);
	files_put("sys/kernel/shmmax", "18446744073692774399\n");
	not_explained(-EINVAL, "shmget", UINT64_C(1) << 50);
}

static void test_shmall(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char text[200];

	files_put("sys/kernel/shmall", "1000\n");
	files_put("sys/kernel/shmmni", "2\n");
	snprintf(text, sizeof text,
		 "       key      shmid perms                  size  cpid\n"
		 "         0          3  1600 %20llu     1\n",
		 (unsigned long long)page * 900 - 1);
	files_put("sysvipc/shm", text);
	explained(-ENOSPC, "shmget", 101 * page, "kernel.shmall is 1000 pages", "1001 are needed", "raise");
	not_explained(-ENOSPC, "shmget", 100 * page);
	snprintf(text + strlen(text), sizeof text - strlen(text),
		 "      1234          4   600                 4096     1\n");
	files_put("sysvipc/shm", text);
	explained(-ENOSPC, "shmget", page, "kernel.shmmni is 2", "ipcs -m", "raise");
}

static void test_overcommit(void **state)
{
	files_put("sys/vm/overcommit_memory", "0\n");
	files_put("sys/vm/overcommit_ratio", "50\n");
	files_put("meminfo", "MemTotal: 1 kB\nCommitLimit:      204800 kB\nCommitted_AS:     102400 kB\n");
	assert_false(refused_address_space_counts());
	not_explained(-ENOMEM, "mmap", 150 * MIB);
	files_put("sys/vm/overcommit_memory", "2\n");
	assert_true(refused_address_space_counts());
	explained(-ENOMEM, "shmget", 150 * MIB, "vm.overcommit_memory is 2", "250 MiB instead of 200",
		  "vm.overcommit_ratio (now 50)");
	not_explained(-ENOMEM, "shmat", 100 * MIB);
	files_put("sys/vm/overcommit_memory", "0\n");
}

static void test_address_space(void **state)
{
	struct rlimit was, limit;

	files_put("self/status", "Name:\tx\nVmSize:\t   10240 kB\n");
	assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
	limit = was;
	limit.rlim_cur = UINT64_C(1) << 40;
	if (setrlimit(RLIMIT_AS, &limit) < 0)
		SKIP_BECAUSE("RLIMIT_AS cannot be set here");
	/* qemu's emulation of a process says yes, and sets nothing. */
	if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur != UINT64_C(1) << 40) {
		printf("# RLIMIT_AS cannot be set here\n");
		skip();
	}
	explained(-ENOMEM, "shmat", UINT64_C(1) << 40, "ulimit -v", "is 1073741824 KiB", "1073752064 are needed");
	not_explained(-ENOMEM, "shmat", MIB);
	setrlimit(RLIMIT_AS, &was);
}

/* Where nothing can be read, nothing is claimed. */
static void test_nothing_there(void **state)
{
	refused_use_folder("/nonexistent");
	not_explained(-EINVAL, "shmget", UINT64_MAX);
	not_explained(-ENOSPC, "shmget", MIB);
	not_explained(-ENOMEM, "mmap", MIB);
	not_explained(-EACCES, "shmget", MIB);
	assert_false(refused_address_space_counts());
	refused_use_folder(files_top);
}

static int set_up(void **state)
{
	if (files_make(state) < 0)
		return -1;
	refused_use_folder(files_top);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shmmax),        cmocka_unit_test(test_shmall),
		cmocka_unit_test(test_overcommit),    cmocka_unit_test(test_address_space),
		cmocka_unit_test(test_nothing_there),
	};

	return cmocka_run_group_tests(tests, set_up, files_remove);
}
