/* SPDX-License-Identifier: BSD-3-Clause */
/* Which kernels are refused: releases and versions as uname(2) tells them. */
#include "lib/test.h"

#include "machine/kernels.h"

static void test_table(void **state)
{
	static const struct {
		const char *release, *version, *reason; /* NULL: nothing is known against it */
	} kernels[] = {
		{"6.12.117+deb13-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-01)", NULL},
		{"6.1.0-40-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1 (2026-10-01)", NULL},
		{"6.17.0-34-generic", "#34-Ubuntu SMP PREEMPT_DYNAMIC", NULL},
		{"6.17.0-35-generic", "#35-Ubuntu SMP PREEMPT_DYNAMIC", "crashes"},
		{"6.17.0-40-generic", "#40~24.04.1-Ubuntu SMP PREEMPT_DYNAMIC", "crashes"},
		{"6.17.0-41-generic", "#41-Ubuntu SMP PREEMPT_DYNAMIC", NULL},
		{"6.17.0", "#1 SMP", NULL},
		{"6.17.1-35-generic", "#1 SMP", NULL},
		{"6.18.3", "#1 SMP", NULL},
		{"6.18.4-arch1-1", "#1 SMP", "crashes"},
		{"6.18.5-200.fc43.x86_64", "#1 SMP", "crashes"},
		{"6.18.6", "#1 SMP", NULL},
		{"6.18.39", "#1 SMP", NULL},
		{"6.18.40", "#1 SMP", "never answers"},
		{"6.18.40+deb14-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.18.41-1 (2026-08-01)", NULL},
		{"6.18+unreleased-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.18.5-1~exp1 (2026-01-15)", "crashes"},
		{"6.18.41", "#1 SMP", NULL},
		{"7.0.13", "#1 SMP", NULL},
		{"7.0.14-amd64", "#1 SMP", "never answers"},
		{"7.0.15", "#1 SMP", NULL},
		{"17.0.14", "#1 SMP", NULL},
		{"", "", NULL},
		{"something else", "#1", NULL},
	};

	for (size_t i = 0; i < COUNT_OF(kernels); i++) {
		const char *reason = kernels_verdict(kernels[i].release, kernels[i].version);

		if (!reason != !kernels[i].reason || (reason && !strstr(reason, kernels[i].reason)))
			fail_msg("%s, %s: %s", kernels[i].release, kernels[i].version, reason ? reason : "no reason");
	}
}

/* What cannot be read is taken for an old one. */
static void test_recovery(void **state)
{
	assert_true(kernels_begin_recovery_once("6.12.117+deb13-cloud-amd64",
						"#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-01)"));
	assert_true(kernels_begin_recovery_once("6.14.11-arch1-1", "#1 SMP"));
	assert_false(kernels_begin_recovery_once("6.15.0", "#1 SMP"));
	assert_false(kernels_begin_recovery_once("6.17.0-41-generic", "#41-Ubuntu SMP"));
	assert_false(
		kernels_begin_recovery_once("7.3.4+deb13-cloud-amd64", "#1 SMP PREEMPT(lazy) Debian 7.3.4-1~bpo13+1"));
	assert_true(kernels_begin_recovery_once("something else", "#1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_recovery)};

	return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
