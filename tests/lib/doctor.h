/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of the doctor: a machine that is well, as a tree of files, and what is found on it. nbdkit and zsblk-ublk are scripts there. */
#ifndef TEST_DOCTOR_H
#define TEST_DOCTOR_H

#include "lib/files.h"

#include "machine/doctor.h"

#define RELEASE          "6.12.48+deb13-amd64"
#define ALL_CAPABILITIES "000001ffffffffff"

static const struct {
	const char *name, *text;
} well[] = {
	{"/proc/sys/kernel/osrelease", RELEASE "\n"},
	{"/proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2025-09-20)\n"},
	{"/proc/sys/kernel/io_uring_disabled", "0\n"},
	{"/proc/sys/kernel/sched_rt_runtime_us", "950000\n"},
	{"/proc/sys/kernel/sched_rt_period_us", "1000000\n"},
	{"/proc/sys/kernel/shm_rmid_forced", "0\n"},
	{"/proc/sys/kernel/shmmax", "18446744073692774399\n"},
	{"/proc/sys/kernel/shmall", "18446744073692774399\n"},
	{"/proc/sys/kernel/shmmni", "4096\n"},
	{"/proc/sys/vm/page-cluster", "0\n"},
	{"/proc/sys/vm/watermark_boost_factor", "0\n"},
	{"/proc/sys/vm/min_free_kbytes", "65536\n"},
	{"/proc/sys/vm/swappiness", "60\n"},
	{"/proc/sys/vm/overcommit_memory", "0\n"},
	{"/proc/meminfo", "MemTotal:        1048576 kB\nCommitLimit:      524288 kB\nCommitted_AS:     262144 kB\n"},
	{"/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1000 0 -2\n"},
	{"/proc/cmdline", "root=/dev/sda1 quiet\n"},
	{"/proc/self/status",
	 "Name:\tx\nUid:\t0\t0\t0\t0\nCapEff:\t" ALL_CAPABILITIES "\nCapBnd:\t" ALL_CAPABILITIES "\n"},
	{"/proc/self/limits", "Max locked memory         65536                65536                bytes\n"},
	{"/proc/self/uid_map", "         0          0 4294967295\n"},
	{"/proc/self/cgroup", "0::/user.slice\n"},
	{"/proc/1/comm", "systemd\n"},
	{"/proc/77/comm", "cron\n"},
	{"/sys/module/nbd/refcnt", "0\n"},
	{"/sys/module/ublk_drv/refcnt", "0\n"},
	{"/sys/module/zswap/parameters/enabled", "N\n"},
	{"/sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n"},
	{"/sys/fs/cgroup/init.scope/memory.swap.max", "0\n"},
	{"/sys/fs/cgroup/user.slice/memory.max", "max\n"},
	{"/sys/fs/cgroup/user.slice/memory.current", "4096\n"},
	{"/sys/power/state", "freeze mem disk\n"},
	{"/sys/power/disk", "[disabled]\n"},
	{"/run/systemd/system/x", ""},
	{"/etc/initramfs-tools/conf.d/resume", "RESUME=none\n"},
	{"/usr/lib/nbdkit/plugins/nbdkit-zsblk-plugin.so", ""},
};

static inline void put_program(const char *name, const char *text)
{
	files_put(name, text);
	assert_int_equal(chmod(files_path(name), 0700), 0);
}

static inline int make_machine(void **state)
{
	char mountinfo[200];

	if (files_make(state) < 0)
		return -1;
	for (size_t i = 0; i < sizeof well / sizeof well[0]; i++)
		files_put(well[i].name, well[i].text);
	snprintf(mountinfo, sizeof mountinfo, "30 20 0:26 / %s/sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n",
		 files_top);
	files_put("/proc/self/mountinfo", mountinfo);
	put_program("/usr/sbin/nbdkit", "#!/bin/sh\necho version=1.42.3\necho plugindir=/usr/lib/nbdkit/plugins\n");
	put_program("/usr/sbin/zsblk-ublk", "#!/bin/sh\nexit 0\n");
	return 0;
}

/* Bytes, of the machine. */
static unsigned page_size = 4096;

static inline struct doctor_report *look(void)
{
	const struct doctor_machine machine = {.root = files_top, .path = "/usr/sbin:/usr/bin", .page_size = page_size};
	struct doctor_report *report;

	assert_int_equal(doctor_look(&report, &machine), 0);
	return report;
}

/* Every finding that is worse than `well`, as "check: what". */
static inline void say_all(const struct doctor_report *report)
{
	for (unsigned i = 0; i < doctor_count(report); i++) {
		const struct doctor_finding *finding = doctor_finding(report, i);

		if (finding->severity != DOCTOR_WELL)
			print_message("%s %s: %s\n", doctor_severity_name(finding->severity), finding->check,
				      finding->what);
	}
}

/* There are `n` findings. One of them is of this check and severity, and says `what` and, as what to do, `remedy`. */
static inline void expect_among(unsigned n, const char *check, enum doctor_severity severity, const char *what,
				const char *remedy)
{
	struct doctor_report *report = look();
	unsigned found = 0;

	for (unsigned i = 0; i < doctor_count(report); i++) {
		const struct doctor_finding *finding = doctor_finding(report, i);

		if (strcmp(finding->check, check) != 0 || finding->severity != severity)
			continue;
		found += strstr(finding->what, what) && strstr(finding->remedy, remedy) && finding->why[0];
	}
	if (found != 1 || doctor_count(report) - doctor_count_of(report, DOCTOR_WELL) != n)
		say_all(report);
	assert_int_equal(found, 1);
	assert_int_equal(doctor_count(report) - doctor_count_of(report, DOCTOR_WELL), n);
	doctor_free(report);
}

static inline void expect(const char *check, enum doctor_severity severity, const char *what, const char *remedy)
{
	expect_among(1, check, severity, what, remedy);
}

static inline void expect_nothing(void)
{
	struct doctor_report *report = look();

	say_all(report);
	assert_int_equal(doctor_count(report), doctor_count_of(report, DOCTOR_WELL));
	doctor_free(report);
}

static inline void put(const char *name, const char *text)
{
	files_put(name, text);
}

static inline void lose(const char *name)
{
	assert_int_equal(remove(files_path(name)), 0);
}

#define ON_MACHINE(test) cmocka_unit_test_setup_teardown(test, make_machine, files_remove)

#endif
