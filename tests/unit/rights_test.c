/* SPDX-License-Identifier: BSD-3-Clause */
/* Rights: which are missing, and what comes of those that are there. Each in a process of its own. */
#include "lib/test.h"

#include "daemon/resources/rights.h"
#include "daemon/settings/settings.h"
#include "process/self.h"
#include "process/system_page.h"

#include <errno.h>
#include <json-c/json.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <linux/capability.h>

static struct wrong wrong;

static const struct {
	unsigned capability;
	const char *name;
} needed[] = {
	{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
	{CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE"},
	{CAP_IPC_LOCK, "CAP_IPC_LOCK"},
	{CAP_SYS_NICE, "CAP_SYS_NICE"},
};

/* As nobody: all that user 65534 has not. */
static void drop_all(void)
{
	if (geteuid() == 0 && setresuid(65534, 65534, 65534))
		_exit(2);
}

/* 42 if the message names just those that are missing. */
static void check(void *opaque)
{
	bool right = true, all = true;
	int r;

	if (opaque)
		drop_all();
	r = rights_check(&wrong);
	for (size_t i = 0; i < COUNT_OF(needed); i++) {
		bool has = self_has_capability(needed[i].capability);

		all &= has;
		right &= has == !strstr(wrong.text, needed[i].name);
	}
	right &= r == (all ? 0 : -EPERM);
	right &= all || (strncmp(wrong.text, "missing rights: ", 16) == 0 && strstr(wrong.text, "run it as root"));
	_exit(right ? 42 : 1);
}

static void test_missing(void **state)
{
	assert_int_equal(WEXITSTATUS(test_in_child(check, NULL)), 42);
	assert_int_equal(WEXITSTATUS(test_in_child(check, &wrong)), 42);
}

static void take_without(void *opaque)
{
	const struct rlimit none = {0, 0};
	int r;

	drop_all();
	setrlimit(RLIMIT_MEMLOCK, &none);
	r = rights_take(&wrong);
	_exit((r == -EPERM || r == -ENOMEM) && strstr(wrong.text, "memory cannot be locked") ? 42 : 1);
}

static void test_none(void **state)
{
	/* There mlockall() does nothing, and says that it did. */
	if (RUNNING_UNDER_SANITIZER) {
		print_message("# under a sanitizer memory is not locked\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(test_in_child(take_without, NULL)), 42);
}

static bool scheduled(int policy, int priority)
{
	struct sched_param param = {0};

	return sched_getscheduler(0) == policy && sched_getparam(0, &param) == 0 && param.sched_priority == priority;
}

/* A daemon, then its server and its helper: 42. What is missing for it here: 43. */
static void take(void *opaque)
{
	struct wrong why = {""};
	bool may = rights_check(&why) == 0;
	int r = rights_take(&wrong);

	if (!may)
		_exit(r < 0 && wrong.text[0] ? 43 : 1);
	if (r || !scheduled(SCHED_RR, 2) || self_oom_score_adj() != -1000)
		_exit(2);
	rights_let_servers_end();
	if (!scheduled(SCHED_RR, 1))
		_exit(5);
	rights_go_on();
	if (!scheduled(SCHED_RR, 2))
		_exit(6);
	rights_for_server();
	if (!scheduled(SCHED_RR, 1))
		_exit(3);
	rights_drop();
	rights_let_servers_end();
	rights_go_on();
	_exit(scheduled(SCHED_OTHER, 0) && self_oom_score_adj() == 0 ? 42 : 4);
}

static void test_taken(void **state)
{
	int status = WEXITSTATUS(test_in_child(take, NULL));

	/* 43: without the rights there is a message, at least. (cmocka's skip() reads as a failure in its TAP.) */
	assert_true(status == 42 || status == 43);
}

#define TOUCHED  (1ul << 20)
#define RESERVED (64ul << 20)
#define HUGE     (2ul << 30) /* larger than what the daemon has */

static size_t resident(void *start, size_t bytes)
{
	size_t page = (size_t)system_page(), pages = bytes / page, n = 0;
	unsigned char *is_there = malloc(pages);

	must(is_there && mincore(start, bytes, is_there) == 0);
	for (size_t i = 0; i < pages; i++)
		n += is_there[i] & 1;
	free(is_there);
	return n;
}

/* Ranges of different flags stay two where they are neighbours. */
static char *reserve(size_t bytes, int flags)
{
	void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	must(start != MAP_FAILED);
	/* A large page would be in memory as a whole. */
	madvise(start, bytes, MADV_NOHUGEPAGE);
	return start;
}

static long faults(void)
{
	struct rusage usage;

	must(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_minflt;
}

/* 42 if what is shared with a child is ours at once, and what is only reserved still is. Before Linux 5.14: 43. */
static void own(void *opaque)
{
	char *small = reserve(RESERVED, 0), *huge = reserve(HUGE, MAP_NORESERVE);
	long before;
	pid_t child;

	memset(small, 1, TOUCHED);
	huge[0] = 1;
	child = fork();
	must(child >= 0);
	if (child == 0) {
		pause();
		_exit(1);
	}
	rights_own_memory();
	before = faults();
	memset(small, 2, TOUCHED);
	before = faults() - before;
	kill(child, SIGKILL);
	must(waitpid(child, NULL, 0) == child);
	must(resident(small, RESERVED) == TOUCHED / system_page());
	must(resident(huge, HUGE) == 1);
	if (madvise(small, TOUCHED, 23) && errno == EINVAL) /* MADV_POPULATE_WRITE */
		_exit(43);
	/* Sanitizers have faults of their own. */
	must(before < 3 || RUNNING_UNDER_SANITIZER);
	_exit(42);
}

static void test_own_memory(void **state)
{
	int status = WEXITSTATUS(test_in_child(own, NULL));

	assert_true(status == 42 || status == 43);
}

/* True if every page of the library is in memory. The lines of /proc/self/smaps are those of maps, each followed by figures. */
static bool is_in_memory(const char *library)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start, end, size = 0, rss;
	bool is_of_it = false, found = false, all = true;
	char line[512];

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			is_of_it = strstr(line, library);
			found |= is_of_it;
			size = (end - start) / 1024;
		} else if (is_of_it && sscanf(line, "Rss: %lu", &rss) == 1) {
			all &= rss == size;
		}
	}
	if (f)
		fclose(f);
	return found && all;
}

/* Memory is locked before rights are asked for that may be missing here. */
static void take_memory(void *opaque)
{
	/* For the linker, which leaves out what is not used. */
	json_object_put(NULL);
	if (rights_take(&wrong) && strstr(wrong.text, "memory cannot be locked"))
		_exit(43);
	_exit(is_in_memory("/libjson-c.") ? 42 : 1);
}

/* What answers are made by, also while there is no memory to read it again. */
static void test_answers(void **state)
{
	int status = WEXITSTATUS(test_in_child(take_memory, NULL));

	if (status == 43)
		print_message("# memory cannot be locked here\n");
	else
		assert_int_equal(status, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing), cmocka_unit_test(test_none),       cmocka_unit_test(test_taken),
		cmocka_unit_test(test_answers), cmocka_unit_test(test_own_memory),
	};

	return cmocka_run_group_tests_name("rights", tests, NULL, NULL);
}
