/* SPDX-License-Identifier: BSD-3-Clause */
/* The doctor: zram-generator and zramswap. */
#include "lib/doctor.h"

/* Both are installed everywhere here; what makes a device is said by their files. */
static void test_zram_generator(void **state)
{
	put("/usr/lib/systemd/system-generators/zram-generator", "");
	expect_nothing();
	put("/etc/systemd/zram-generator.conf", "# [zram0]\n[other]\n");
	expect_nothing();
	put("/usr/lib/systemd/zram-generator.conf", "[zram0]\n");
	/* The first main file counts. */
	expect_nothing();
	lose("/etc/systemd/zram-generator.conf");
	expect("zram", DOCTOR_WARNING,
	       "(/usr/lib/systemd/zram-generator.conf), with priority 100; none is active now, and zsblk (by default) has 100",
	       "zsblkctl convert /usr/lib/systemd/zram-generator.conf\ntouch /etc/systemd/zram-generator.conf\nsystemctl daemon-reload\n# or");
	put("/etc/systemd/zram-generator.conf", "[zram0]\nswap-priority = 5\n");
	expect("zram", DOCTOR_NOTE, "with priority 5; none",
	       "mv /etc/systemd/zram-generator.conf /etc/systemd/zram-generator.conf.off");
	/* What there is counts, not what the file says. */
	put("/proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 1000 0 7\n");
	expect("zram", DOCTOR_NOTE, "with priority 7, and zsblk (by default) has 100", "swapoff /dev/zram0");
	put("/proc/cmdline", "quiet systemd.zram=0\n");
	expect_nothing();
	put("/proc/cmdline", "quiet\n");
	lose("/etc/systemd/zram-generator.conf");
	lose("/usr/lib/systemd/zram-generator.conf");
	put("/etc/systemd/zram-generator.conf.d/10-x.conf", "[zram1]\n");
	expect("zram", DOCTOR_NOTE, "(/etc/systemd/zram-generator.conf.d/10-x.conf)",
	       "mv /etc/systemd/zram-generator.conf.d/10-x.conf");
	lose("/etc/systemd/zram-generator.conf.d/10-x.conf");
	put("/etc/systemd/zram-generator.conf.d/10-x.conf.off", "[zram1]\n");
	expect_nothing();
	lose("/etc/systemd/zram-generator.conf.d/10-x.conf.off");
	put("/usr/lib/systemd/zram-generator.conf.d/10-x.conf", "[zram1]\n");
	expect("zram", DOCTOR_NOTE, "(/usr/lib/systemd/zram-generator.conf.d/10-x.conf)",
	       "mkdir -p /etc/systemd/zram-generator.conf.d\nln -s /dev/null /etc/systemd/zram-generator.conf.d/10-x.conf\n");
	put("/etc/systemd/zram-generator.conf.d/10-x.conf", "");
	expect_nothing();
	put("/run/systemd/zram-generator.conf", "[zram0]\n");
	put("/etc/systemd/zram-generator.conf", "");
	expect("zram", DOCTOR_NOTE, "(/run/systemd/zram-generator.conf)", "mv /run/systemd/");
	lose("/run/systemd/zram-generator.conf");
	put("/etc/systemd/zram-generator.conf.d/10-x.conf", "[zram1]\n");
	lose("/usr/lib/systemd/system-generators/zram-generator");
	expect_nothing();
}

/* All files that have a section of the device say together what it is like. */
static void test_zram_generator_files(void **state)
{
	put("/usr/lib/systemd/system-generators/zram-generator", "");
	put("/etc/systemd/zram-generator.conf", "[zram0]\nswap-priority = 200\n");
	put("/etc/systemd/zram-generator.conf.d/10-x.conf", "[zram0]\nzram-size = ram\n");
	expect("zram", DOCTOR_WARNING, "with priority 200", "zsblkctl convert /etc/systemd/");
	/* By their own names, whichever folder they are in. */
	put("/run/systemd/zram-generator.conf.d/05-x.conf", "[zram0]\nswap-priority = 7\n");
	expect("zram", DOCTOR_NOTE, "with priority 7", "zsblkctl convert");
	put("/etc/systemd/zram-generator.conf.d/10-x.conf", "[zram0]\nswap-priority=300\n");
	expect("zram", DOCTOR_WARNING, "with priority 300", "zsblkctl convert");
	/* Of several devices, the highest. */
	put("/usr/lib/systemd/zram-generator.conf.d/20-x.conf", "[zram1]\nswap-priority = 400\n");
	expect("zram", DOCTOR_WARNING, "with priority 400", "zsblkctl convert");
	put("/usr/lib/systemd/zram-generator.conf.d/30-x.conf",
	    "[zram1]\nzram-size = 0\n[zram0]\nmount-point = /srv/x\n");
	expect_nothing();
	put("/usr/lib/systemd/zram-generator.conf.d/30-x.conf", "[zram1]\nfs-type = ext4\n[zram0]\nzram-size = 0.0\n");
	expect_nothing();
}

static void test_zram_generator_option(void **state)
{
	static const char *const on[] = {"systemd.zram", "systemd.zram=1", "systemd.zram=0 systemd.zram=yes"};
	static const char *const off[] = {"systemd.zram=0", "systemd.zram=no", "systemd.zram systemd.zram=off",
					  "systemd.zram=false"};

	put("/usr/lib/systemd/system-generators/zram-generator", "");
	for (size_t i = 0; i < COUNT_OF(on); i++) {
		put("/proc/cmdline", on[i]);
		expect("zram", DOCTOR_WARNING, "(systemd.zram on the kernel's command line), with priority 100",
		       "write systemd.zram=0");
	}
	put("/etc/systemd/zram-generator.conf", "[zram1]\nmount-point = /srv/x\n");
	expect("zram", DOCTOR_WARNING, "(systemd.zram on", "systemd.zram=0");
	/* A device of the files is what these say. */
	put("/etc/systemd/zram-generator.conf", "[zram0]\nswap-priority = 5\n");
	expect("zram", DOCTOR_NOTE, "(/etc/systemd/zram-generator.conf), with priority 5", "zsblkctl convert");
	for (size_t i = 0; i < COUNT_OF(off); i++) {
		put("/proc/cmdline", off[i]);
		expect_nothing();
	}
}

static void test_zramswap(void **state)
{
	put("/etc/default/zramswap", "PRIORITY=200\n");
	expect_nothing();
	put("/etc/systemd/system/multi-user.target.wants/zramswap.service", "");
	expect("zram", DOCTOR_WARNING,
	       "zramswap sets up swap on zram at boot (/etc/default/zramswap), with priority 200",
	       "zsblkctl convert /etc/default/zramswap\nsystemctl disable --now zramswap");
	put("/etc/default/zramswap", "#PRIORITY=200\nPRIORITY=\"50\"\n");
	expect("zram", DOCTOR_NOTE, "with priority 50", "zramswap");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_MACHINE(test_zram_generator),
		ON_MACHINE(test_zram_generator_files),
		ON_MACHINE(test_zram_generator_option),
		ON_MACHINE(test_zramswap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
