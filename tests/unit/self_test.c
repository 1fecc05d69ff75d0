/* SPDX-License-Identifier: BSD-3-Clause */
/* What a process asks for itself: with what right it is had, and without. Each in a process of its own. */
#include "lib/test.h"

#include "process/self.h"

#include <linux/capability.h>

static void become_nobody(void)
{
	if (geteuid() == 0)
		must(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
}

/* Against what the system says in /proc, for every capability there is. */
static void capabilities(void *opaque)
{
	unsigned long long effective = 0;
	char line[200];
	FILE *f;

	if (opaque)
		become_nobody();
	f = fopen("/proc/self/status", "re");
	must(f);
	while (fgets(line, sizeof line, f))
		sscanf(line, "CapEff: %llx", &effective);
	fclose(f);
	for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
		must(self_has_capability(capability) == (effective >> capability & 1));
	must(!opaque || !self_has_capability(CAP_SYS_ADMIN));
	_exit(42);
}

static void test_capabilities(void **state)
{
	bool as_nobody = true;

	assert_int_equal(WEXITSTATUS(test_in_child(capabilities, NULL)), 42);
	assert_int_equal(WEXITSTATUS(test_in_child(capabilities, &as_nobody)), 42);
}

static void write_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, score, strlen(score)) > 0);
	close(fd);
}

static void oom_killer(void *opaque)
{
	bool may = self_has_capability(CAP_SYS_RESOURCE);

	/* Towards the killer takes no right. */
	write_score("500");
	must(self_oom_score_adj() == 500);
	must(self_avoid_oom_killer() == may);
	must(self_oom_score_adj() == (may ? -1000 : 500));
	_exit(42);
}

static void oom_killer_without_right(void *opaque)
{
	write_score("600");
	become_nobody();
	must(!self_avoid_oom_killer() && self_oom_score_adj() == 600);
	_exit(42);
}

static void test_oom_killer(void **state)
{
	assert_int_equal(WEXITSTATUS(test_in_child(oom_killer, NULL)), 42);
	assert_int_equal(WEXITSTATUS(test_in_child(oom_killer_without_right, NULL)), 42);
}

static void io_flusher(void *opaque)
{
	bool had = self_become_io_flusher();

	/* The flag is taken for what it is, whoever set it; without the right to ask, from /proc. */
	if (!had)
		_exit(self_has_capability(CAP_SYS_RESOURCE) ? 1 : 42);
	become_nobody();
	must(self_become_io_flusher());
	_exit(42);
}

static void io_flusher_ends(void *opaque)
{
	bool may = self_has_capability(CAP_SYS_RESOURCE), had = self_become_io_flusher();

	self_end_io_flusher();
	become_nobody();
	must(self_become_io_flusher() == (had && !may));
	_exit(42);
}

static void test_io_flusher(void **state)
{
	assert_int_equal(WEXITSTATUS(test_in_child(io_flusher, NULL)), 42);
	assert_int_equal(WEXITSTATUS(test_in_child(io_flusher_ends, NULL)), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_oom_killer),
		cmocka_unit_test(test_io_flusher),
	};

	return cmocka_run_group_tests_name("self", tests, NULL, NULL);
}
