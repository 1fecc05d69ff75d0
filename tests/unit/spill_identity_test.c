/* SPDX-License-Identifier: BSD-3-Clause */
/* The first page of a store: ours or not, in use or not; and what others have put there. */
#include "lib/emulator.h"
#include "lib/test.h"

#include "spill/identity.h"

static uint8_t page[SPILL_PAGE], mib[SPILL_BUCKET];

static void test_round_trip(void **state)
{
	struct spill_identity identity = {.encrypted = true}, found;

	spill_holder_self(&identity.holder);
	memset(identity.bytes, 0x5a, sizeof identity.bytes);
	spill_identity_write(&identity, page);
	memset(&found, 0, sizeof found);
	assert_int_equal(spill_identity_read(page, &found), SPILL_PAGE_OURS);
	assert_memory_equal(found.bytes, identity.bytes, sizeof found.bytes);
	assert_true(found.encrypted);
	assert_memory_equal(&found.holder, &identity.holder, sizeof found.holder);
}

/* A changed bit of what is written once makes it a page of others; one of the holder, a holder that is not known. */
static void test_every_bit(void **state)
{
	struct spill_identity identity = {.encrypted = true}, found;
	struct spill_holder self;

	spill_holder_self(&self);
	identity.holder = self;
	spill_identity_write(&identity, page);
	for (size_t bit = 0; bit < 512 * 8; bit++) {
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(spill_identity_read(page, &found), SPILL_PAGE_OTHER);
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t bit = 512 * 8; bit < 576 * 8; bit++) {
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(spill_identity_read(page, &found), SPILL_PAGE_OURS);
		assert_int_equal(spill_holder_use(&found.holder, &self), SPILL_USE_UNKNOWN);
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void test_holders(void **state)
{
	struct spill_holder self, other;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	must(child > 0 && waitpid(child, NULL, 0) == child);
	spill_holder_self(&self);
	other = self;
	assert_int_equal(spill_holder_use(&other, &self), SPILL_USE_OURS);
	other.start++;
	assert_int_equal(spill_holder_use(&other, &self), SPILL_USE_NONE);
	other.pid = (uint32_t)child;
	assert_int_equal(spill_holder_use(&other, &self), SPILL_USE_NONE);
	other.pid = 0;
	assert_int_equal(spill_holder_use(&other, &self), SPILL_USE_NONE);
	other = self;
	other.pid_space++;
	assert_int_equal(spill_holder_use(&other, &self), SPILL_USE_UNKNOWN);
	other = self;
	other.boot[3]++;
	other.machine[0] = self.machine[0] = 1;
	assert_int_equal(spill_holder_use(&other, &self), SPILL_USE_NONE);
	other.machine[5]++;
	assert_int_equal(spill_holder_use(&other, &self), SPILL_USE_UNKNOWN);
	/* A machine without an identifier: another boot may be that of another machine. */
	memset(other.machine, 0, sizeof other.machine);
	memset(self.machine, 0, sizeof self.machine);
	assert_int_equal(spill_holder_use(&other, &self), SPILL_USE_UNKNOWN);
}

static void test_living_holder(void **state)
{
	struct spill_holder self, parent;
	int status;
	pid_t child;

	if (start_times_differ())
		skip();
	spill_holder_self(&parent);
	child = fork();
	if (child == 0) {
		spill_holder_self(&self);
		_exit(spill_holder_use(&parent, &self) == SPILL_USE_LIVES ? 0 : 1);
	}
	must(child > 0 && waitpid(child, &status, 0) == child);
	assert_int_equal(status, 0);
}

static void expect_foreign(size_t at, const char *bytes, const char *what)
{
	char text[60];
	const char *found;

	memset(mib, 0, sizeof mib);
	memcpy(mib + at, bytes, strlen(bytes));
	found = spill_identity_foreign(mib, sizeof mib, text, sizeof text);
	assert_non_null(found);
	assert_string_equal(found, what);
}

static void test_foreign(void **state)
{
	char text[60];

	memset(mib, 0, sizeof mib);
	assert_null(spill_identity_foreign(mib, sizeof mib, text, sizeof text));
	expect_foreign(1080, "\x53\xef", "an ext file system");
	expect_foreign(0, "XFSB", "an XFS file system");
	expect_foreign(0x10040, "_BHRfS_M", "a btrfs file system");
	expect_foreign(4086, "SWAPSPACE2", "a swap area");
	expect_foreign(512, "LABELONE", "an LVM physical volume");
	expect_foreign(0, "LUKS\xba\xbe", "a LUKS volume");
	expect_foreign(12345, "x", "data at byte 12345");
	expect_foreign(sizeof mib - 1, "x", "data at byte 1048575");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_every_bit), cmocka_unit_test(test_holders),
		cmocka_unit_test(test_living_holder), cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests_name("spill_identity", tests, NULL, NULL);
}
