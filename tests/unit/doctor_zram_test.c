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
		ON_MACHINE(test_zramswap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
