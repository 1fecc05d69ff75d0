/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The doctor: a machine that is well, as a tree of files; then one thing after another is made wrong, and that has to be found, and nothing
 * else. nbdkit and zsblk-ublk are scripts there.
 */
#include "lib/doctor.h"

/* ------------------------------------------------------------------ all is well */

static void test_well(void **state)
{
	expect_nothing();
}

/* Files that are not there at all: no crash, and some findings. */
static void test_empty(void **state)
{
	struct doctor_report *report;

	assert_int_equal(files_remove(NULL), 0);
	assert_int_equal(files_make(NULL), 0);
	report = look();
	assert_true(doctor_count_of(report, DOCTOR_PROBLEM) > 0);
	assert_null(doctor_finding(report, doctor_count(report)));
	doctor_free(report);
}

/* ------------------------------------------------------------------ kernel */

static void test_old_kernel(void **state)
{
	put("/proc/sys/kernel/osrelease", "5.13.19\n");
	expect("kernel", DOCTOR_PROBLEM, "5.13.19", "5.14");
}

static void test_no_swap(void **state)
{
	lose("/proc/swaps");
	expect("kernel", DOCTOR_PROBLEM, "/proc/swaps", "CONFIG_SWAP");
}

static void test_bad_kernel(void **state)
{
	put("/proc/sys/kernel/osrelease", "6.18.4\n");
	put("/proc/sys/kernel/version", "#1 SMP\n");
	expect("ublk", DOCTOR_WARNING, "6.18.4", "another kernel");
}

static void test_module_not_loaded(void **state)
{
	lose("/sys/module/nbd/refcnt");
	lose("/sys/module/nbd");
	put("/lib/modules/" RELEASE "/modules.dep",
	    "kernel/drivers/block/xnbd.ko.xz:\nkernel/drivers/block/nbd.ko.xz:\n");
	expect("nbd", DOCTOR_NOTE, "nbd is not loaded", "modprobe nbd");
}

static void test_module_built_in(void **state)
{
	lose("/sys/module/nbd/refcnt");
	lose("/sys/module/nbd");
	put("/lib/modules/" RELEASE "/modules.builtin", "kernel/drivers/block/nbd.ko\n");
	expect_nothing();
}

static void test_no_module(void **state)
{
	lose("/sys/module/ublk_drv/refcnt");
	lose("/sys/module/ublk_drv");
	put("/lib/modules/" RELEASE "/modules.dep", "kernel/drivers/block/nbd.ko.xz:\n");
	expect("ublk", DOCTOR_NOTE, "no module ublk_drv", "CONFIG_BLK_DEV_UBLK");
	lose("/sys/module/nbd/refcnt");
	lose("/sys/module/nbd");
	lose("/lib/modules/" RELEASE "/modules.dep");
	expect_among(3, "transport", DOCTOR_PROBLEM, "neither NBD nor ublk", "work");
}

static void test_io_uring(void **state)
{
	put("/proc/sys/kernel/io_uring_disabled", "1\n");
	expect_nothing();
	put("/proc/sys/kernel/io_uring_disabled", "2\n");
	expect("ublk", DOCTOR_WARNING, "io_uring_disabled is 2", "sysctl kernel.io_uring_disabled=1");
}

static void test_ublk_program(void **state)
{
	put_program("/usr/sbin/zsblk-ublk", "#!/bin/sh\necho 'zsblk-ublk: the driver is too old' >&2\nexit 1\n");
	expect("ublk", DOCTOR_WARNING, "ublk cannot be used: the driver is too old", "zsblk-ublk --check");
	lose("/usr/sbin/zsblk-ublk");
	expect("ublk", DOCTOR_NOTE, "zsblk-ublk is not installed", "install");
	/* Nor does it matter which way is left. */
	lose("/usr/sbin/nbdkit");
	expect_among(3, "transport", DOCTOR_PROBLEM, "neither NBD nor ublk", "work");
}

/* ------------------------------------------------------------------ rights */

static void test_rights(void **state)
{
	put("/proc/self/status", "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0\nCapBnd:\t" ALL_CAPABILITIES "\n");
	put("/proc/self/limits", "Max locked memory         unlimited            unlimited            bytes\n");
	expect("rights", DOCTOR_NOTE, "CAP_SYS_ADMIN", "sudo");
	/* Without CAP_SYS_NICE, which is 23. */
	put("/proc/self/status", "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffff7fffff\nCapBnd:\t000001ffff7fffff\n");
	expect("rights", DOCTOR_PROBLEM, "CAP_SYS_NICE (real-time scheduling)", "on the host");
}

static void test_user_namespace(void **state)
{
	put("/proc/self/uid_map", "         0     100000      65536\n");
	expect("rights", DOCTOR_PROBLEM, "user namespace", "on the host");
}

static void test_locking(void **state)
{
	put("/proc/self/status", "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0\nCapBnd:\t" ALL_CAPABILITIES "\n");
	expect_among(2, "memory locks", DOCTOR_NOTE, "65536 bytes", "LimitMEMLOCK=infinity");
}

static void test_realtime(void **state)
{
	put("/proc/sys/kernel/sched_rt_runtime_us", "0\n");
	expect("real-time class", DOCTOR_PROBLEM, "sched_rt_runtime_us is 0", "sysctl");
	put("/proc/sys/kernel/sched_rt_runtime_us", "100000\n");
	expect("real-time class", DOCTOR_WARNING, "100000 of a period of 1000000", "sysctl");
	put("/proc/sys/kernel/sched_rt_runtime_us", "-1\n");
	expect_nothing();
	put("/sys/fs/cgroup/cpu/system.slice/cpu.rt_runtime_us", "0\n");
	expect("real-time class", DOCTOR_PROBLEM, "cpu.rt_runtime_us", "rt_group_sched=0");
}

static void test_sandbox(void **state)
{
	put("/run/systemd/container", "lxc\n");
	expect("sandbox", DOCTOR_WARNING, "container (lxc)", "host");
	lose("/run/systemd/container");
	put("/.dockerenv", "");
	expect("sandbox", DOCTOR_WARNING, "container (docker)", "host");
	lose("/.dockerenv");
	put("/proc/sys/kernel/osrelease", "6.6.87.2-microsoft-standard-WSL2\n");
	expect("sandbox", DOCTOR_NOTE, "WSL 2", ".wslconfig");
	put("/proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n");
	expect_among(2, "sandbox", DOCTOR_PROBLEM, "WSL 1", "--set-version");
}

/* ------------------------------------------------------------------ control groups */

static void test_limit(void **state)
{
	put("/sys/fs/cgroup/user.slice/memory.max", "1073741824\n");
	expect("memory limit", DOCTOR_NOTE, "memory.max of control group /user.slice is 1024 MiB", "MemoryMax=");
	put("/sys/fs/cgroup/user.slice/memory.max", "33554432\n");
	expect("memory limit", DOCTOR_PROBLEM, "is 32 MiB, and zsblk takes 44 MiB", "MemoryMax=");
}

static void test_limit_of_service(void **state)
{
	static const char group[] = "/sys/fs/cgroup/system.slice/system-zsblk.slice/zsblk@swap0.service";
	char path[200];

	snprintf(path, sizeof path, "%s/memory.max", group);
	put(path, "max\n");
	expect_nothing();
	snprintf(path, sizeof path, "%s/memory.high", group);
	put(path, "524288000\n");
	expect("memory limit", DOCTOR_NOTE, "/system.slice/system-zsblk.slice/zsblk@swap0.service is 500 MiB",
	       "systemctl set-property zsblk@swap0.service MemoryHigh=infinity");
	/* The smaller one counts. */
	snprintf(path, sizeof path, "%s/memory.max", group);
	put(path, "419430400\n");
	expect("memory limit", DOCTOR_NOTE, "zsblk@swap0.service is 400 MiB",
	       "systemctl set-property zsblk@swap0.service MemoryMax=infinity");
}

static void test_swap_limit(void **state)
{
	put("/sys/fs/cgroup/system.slice/memory.swap.max", "max\n");
	expect_nothing();
	put("/sys/fs/cgroup/system.slice/memory.swap.max", "0\n");
	expect("swap limit", DOCTOR_WARNING, "memory.swap.max of control group /system.slice is 0",
	       "systemctl set-property system.slice MemorySwapMax=infinity");
}

static void test_process_1(void **state)
{
	put("/sys/fs/cgroup/init.scope/memory.swap.max", "max\n");
	expect("process 1", DOCTOR_WARNING, "memory.swap.max of control group init.scope", "daemon-reexec");
	put("/sys/fs/cgroup/cgroup.controllers", "cpu io pids\n");
	expect("process 1", DOCTOR_WARNING, "no memory controller", "cgroup_enable=memory");
	put("/proc/cmdline", "quiet cgroup_disable=memory\n");
	expect("process 1", DOCTOR_WARNING, "no memory controller", "take cgroup_disable=memory off");
	lose("/sys/fs/cgroup/cgroup.controllers");
	put("/sys/fs/cgroup/memory/tasks", "");
	put("/proc/cmdline", "quiet\n");
	expect("process 1", DOCTOR_WARNING, "version 1", "unified_cgroup_hierarchy=1");
	/* Without systemd there is no such process 1. */
	lose("/run/systemd/system/x");
	lose("/run/systemd/system");
	expect_nothing();
}

static void test_killers(void **state)
{
	put("/proc/77/comm", "earlyoom\n");
	expect("OOM daemons", DOCTOR_NOTE, "earlyoom (process 77)", "-s");
	put("/proc/77/comm", "systemd-oomd\n");
	expect("OOM daemons", DOCTOR_NOTE, "systemd-oomd (process 77)", "SwapUsedLimit=");
}

/* ------------------------------------------------------------------ settings */

static void test_needed_settings(void **state)
{
	put("/proc/sys/vm/min_free_kbytes", "16384\n");
	expect("kernel settings", DOCTOR_NOTE, "vm.min_free_kbytes is 16384", "sysctl vm.min_free_kbytes=65536");
	/* Where zsblk is swap now, it should be so by now. */
	put("/proc/swaps", "Filename Type Size Used Priority\n/dev/nbd3 partition 1000 0 100\n");
	put("/sys/block/nbd3/backend", "zsblk:swap0\n");
	expect("kernel settings", DOCTOR_WARNING, "vm.min_free_kbytes is 16384 while",
	       "sysctl vm.min_free_kbytes=65536");
	put("/proc/sys/vm/min_free_kbytes", "65536\n");
	put("/proc/sys/vm/page-cluster", "3\n");
	expect("kernel settings", DOCTOR_WARNING, "vm.page-cluster is 3", "sysctl vm.page-cluster=0");
	put("/proc/sys/vm/page-cluster", "0\n");
	put("/proc/sys/vm/watermark_boost_factor", "15000\n");
	expect("kernel settings", DOCTOR_WARNING, "vm.watermark_boost_factor is 15000",
	       "sysctl vm.watermark_boost_factor=0");
}

static void test_swappiness(void **state)
{
	put("/proc/sys/vm/swappiness", "10\n");
	expect("kernel settings", DOCTOR_NOTE, "vm.swappiness is 10", "sysctl vm.swappiness=100");
	put("/proc/sys/vm/swappiness", "0\n");
	expect("kernel settings", DOCTOR_WARNING, "vm.swappiness is 0", "sysctl vm.swappiness=100");
	put("/proc/sys/vm/swappiness", "200\n");
	expect_nothing();
}

static void test_segments(void **state)
{
	put("/proc/sys/kernel/shm_rmid_forced", "1\n");
	expect("shared memory", DOCTOR_PROBLEM, "shm_rmid_forced is 1", "sysctl kernel.shm_rmid_forced=0");
	put("/proc/sys/kernel/shm_rmid_forced", "0\n");
	put("/proc/sys/kernel/shmmax", "1073741824\n");
	expect("shared memory", DOCTOR_WARNING, "kernel.shmmax is 1024 MiB", "sysctl kernel.shmmax=");
	put("/proc/sys/kernel/shmmax", "18446744073692774399\n");
	put("/proc/sys/kernel/shmall", "1000\n");
	expect("shared memory", DOCTOR_WARNING, "kernel.shmall is 1000 pages", "sysctl kernel.shmall=");
	put("/proc/sys/kernel/shmall", "18446744073692774399\n");
	put("/proc/sys/kernel/shmmni", "0\n");
	expect("shared memory", DOCTOR_PROBLEM, "shmmni is 0", "sysctl kernel.shmmni=4096");
	lose("/proc/sys/kernel/shmmni");
	expect("shared memory", DOCTOR_PROBLEM, "without System V shared memory", "CONFIG_SYSVIPC");
}

static void test_overcommit(void **state)
{
	put("/proc/sys/vm/overcommit_memory", "2\n");
	expect("overcommit", DOCTOR_WARNING, "256 of 512 MiB", "sysctl vm.overcommit_memory=0");
}

static void test_page_size(void **state)
{
	page_size = 16384;
	expect("page size", DOCTOR_NOTE, "16 KiB", "4 KiB");
	page_size = 131072;
	expect("page size", DOCTOR_PROBLEM, "131072 bytes", "4 to 64 KiB");
	page_size = 4096;
}

/* ------------------------------------------------------------------ swap */

static void test_zswap(void **state)
{
	put("/sys/module/zswap/parameters/enabled", "Y\n");
	expect("zswap", DOCTOR_WARNING, "zswap is on", "echo N >/sys/module/zswap/parameters/enabled");
}

static void test_other_swap(void **state)
{
	put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1000 0 100\n");
	expect("other swap", DOCTOR_WARNING, "/dev/sda2 has priority 100, as zsblk (by default) has",
	       "swapon --priority 99 /dev/sda2");
	/* Another program's device of the same kind. */
	put("/proc/swaps", "Filename Type Size Used Priority\n/dev/nbd9 partition 1000 0 100\n");
	put("/sys/block/nbd9/backend", "somebody\n");
	expect("other swap", DOCTOR_WARNING, "/dev/nbd9 has priority 100, as zsblk (by default) has",
	       "swapoff /dev/nbd9");
	put("/run/zsblk/swap0/lock", "");
	assert_int_equal(symlink("ublkb0 7", files_path("/run/zsblk/swap0/disk")), 0);
	put("/proc/swaps",
	    "Filename Type Size Used Priority\n/dev/zram0 partition 1000 0 100\n/dev/ublkb0 partition 1000 0 50\n");
	expect("other swap", DOCTOR_WARNING, "/dev/zram0 has priority 100, and /dev/ublkb0 has 50",
	       "swapoff /dev/zram0");
	put("/proc/swaps",
	    "Filename Type Size Used Priority\n/dev/zram0 partition 1000 0 49\n/dev/ublkb0 partition 1000 0 50\n");
	expect_nothing();
}

static int other_priority(void)
{
	const struct doctor_machine machine = {.root = files_top, .path = "", .page_size = page_size};

	return doctor_other_priority(&machine);
}

static void test_other_priority(void **state)
{
	assert_int_equal(other_priority(), -1);
	put("/proc/swaps",
	    "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 7\n/dev/ublkb0 partition 1 0 100\n"
	    "/dev/nbd3 partition 1 0 90\n/dev/sdb partition 1 0 5\n");
	assert_int_equal(other_priority(), 100);
	/* Those of instances. */
	put("/run/zsblk/swap0/lock", "");
	assert_int_equal(symlink("ublkb0 7", files_path("/run/zsblk/swap0/disk")), 0);
	assert_int_equal(other_priority(), 90);
	put("/sys/block/nbd3/backend", "zsblk:work\n");
	assert_int_equal(other_priority(), 7);
	lose("/proc/swaps");
	assert_int_equal(other_priority(), -1);
}

static void test_hibernation(void **state)
{
	put("/sys/power/disk", "[platform] shutdown\n");
	expect("hibernation", DOCTOR_WARNING, "can hibernate", "AllowHibernation=no");
	put("/etc/systemd/sleep.conf", "[Sleep]\n#AllowHibernation=no\n");
	expect("hibernation", DOCTOR_WARNING, "can hibernate", "AllowHibernation=no");
	put("/etc/systemd/sleep.conf.d/zsblk.conf", "[Sleep]\nAllowHibernation=no\n");
	expect_nothing();
	lose("/etc/systemd/sleep.conf.d/zsblk.conf");
	/* The last of several files counts. */
	put("/etc/systemd/sleep.conf", "[Sleep]\nAllowHibernation=no\n");
	expect_nothing();
	put("/usr/lib/systemd/sleep.conf.d/10-x.conf", "[Sleep]\nAllowHibernation=yes\n");
	expect("hibernation", DOCTOR_WARNING, "can hibernate", "AllowHibernation=no");
	put("/run/systemd/sleep.conf.d/20-x.conf", "[Sleep]\nAllowHibernation=off\n");
	expect_nothing();
	put("/etc/systemd/sleep.conf.d/20-x.conf", "");
	put("/etc/systemd/sleep.conf.d/30-x.conf.off", "[Sleep]\nAllowHibernation=no\n");
	expect("hibernation", DOCTOR_WARNING, "can hibernate", "AllowHibernation=no");
	put("/sys/power/state", "freeze mem\n");
	expect_nothing();
}

static void test_resume(void **state)
{
	put("/etc/initramfs-tools/conf.d/resume", "# RESUME=none\n");
	expect("resume", DOCTOR_NOTE, "RESUME=", "RESUME=none");
	put("/etc/initramfs-tools/initramfs.conf", "MODULES=most\nRESUME=UUID=1-2\n");
	expect_nothing();
}

/* ------------------------------------------------------------------ nbdkit */

static void test_nbdkit(void **state)
{
	put_program("/usr/sbin/nbdkit", "#!/bin/sh\necho version=1.32.5\necho plugindir=/usr/lib/nbdkit/plugins\n");
	expect("nbdkit", DOCTOR_NOTE, "version 1.32.5", "1.34");
	put_program("/usr/sbin/nbdkit", "#!/bin/sh\nexit 1\n");
	expect("nbdkit", DOCTOR_NOTE, "does not run", "apt install nbdkit");
}

static void test_plugin(void **state)
{
	lose("/usr/lib/nbdkit/plugins/nbdkit-zsblk-plugin.so");
	expect("plugin", DOCTOR_NOTE, "/usr/lib/nbdkit/plugins/nbdkit-zsblk-plugin.so", "install");
}

/* ------------------------------------------------------------------ this machine */

/* Something is said of it, and there is a finding for each check. */
static void test_this_machine(void **state)
{
	struct doctor_machine machine;
	struct doctor_report *report;
	char path[DOCTOR_PATH];

	doctor_init(&machine, path);
	assert_int_equal(doctor_look(&report, &machine), 0);
	assert_true(doctor_count(report) >= 20);
	for (unsigned i = 0; i < doctor_count(report); i++) {
		const struct doctor_finding *finding = doctor_finding(report, i);

		assert_true(finding->check[0] != '\0');
		assert_int_equal(finding->severity == DOCTOR_WELL, !finding->what[0]);
		assert_int_equal(finding->severity == DOCTOR_WELL, !finding->why[0]);
		assert_int_equal(finding->severity == DOCTOR_WELL, !finding->remedy[0]);
		assert_null(strchr(finding->what, '\n'));
	}
	doctor_free(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_MACHINE(test_well),
		ON_MACHINE(test_empty),
		ON_MACHINE(test_old_kernel),
		ON_MACHINE(test_no_swap),
		ON_MACHINE(test_bad_kernel),
		ON_MACHINE(test_module_not_loaded),
		ON_MACHINE(test_module_built_in),
		ON_MACHINE(test_no_module),
		ON_MACHINE(test_io_uring),
		ON_MACHINE(test_ublk_program),
		ON_MACHINE(test_rights),
		ON_MACHINE(test_user_namespace),
		ON_MACHINE(test_locking),
		ON_MACHINE(test_realtime),
		ON_MACHINE(test_sandbox),
		ON_MACHINE(test_limit),
		ON_MACHINE(test_limit_of_service),
		ON_MACHINE(test_swap_limit),
		ON_MACHINE(test_process_1),
		ON_MACHINE(test_killers),
		ON_MACHINE(test_needed_settings),
		ON_MACHINE(test_swappiness),
		ON_MACHINE(test_segments),
		ON_MACHINE(test_overcommit),
		ON_MACHINE(test_page_size),
		ON_MACHINE(test_zswap),
		ON_MACHINE(test_other_swap),
		ON_MACHINE(test_other_priority),
		ON_MACHINE(test_hibernation),
		ON_MACHINE(test_resume),
		ON_MACHINE(test_nbdkit),
		ON_MACHINE(test_plugin),
		cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
