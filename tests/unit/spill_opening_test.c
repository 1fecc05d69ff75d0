/* SPDX-License-Identifier: BSD-3-Clause */
/* A store that is not there when it is opened: what goes on, what waits, and what is not taken for it. */
#include "lib/spill_file.h"

static struct spill_status status_now(void)
{
	struct spill_status status;

	spill_status(owner.store, &status);
	return status;
}

static void wait_until_found(void)
{
	while (!status_now().reachable)
		usleep(20000);
}

static void open_without_it(void)
{
	params.may_be_away = true;
	params.kind = SPILL_FILE;
	params.capacity = 24 * MIB;
	open_it();
	assert_false(status_now().reachable);
	assert_non_null(strstr(status_now().text, path));
}

static void begin_away(char *away, size_t size)
{
	snprintf(away, size, "%s.away", path);
	open_it();
	assert_int_equal(owner_put(&owner, 0, 300), 0);
	owner_close(&owner);
	must(rename(path, away) == 0);
}

/* What does not need the store goes on, the rest waits; and nothing is made in its place. */
static void test_away(void **state)
{
	char away[320];

	begin_away(away, sizeof away);
	params.deadline_ms = 50;
	open_without_it();
	assert_int_equal(owner_get(&owner, 0), -ETIMEDOUT);
	assert_int_equal(owner_put(&owner, 500, 10), -ENOTCONN);
	assert_int_equal(owner_clean(&owner), -ENOTCONN);
	assert_int_equal(stats_now().objects, 300);
	for (uint32_t i = 0; i < 100; i++)
		owner_drop(&owner, i);
	assert_int_equal(stats_now().objects, 200);
	owner_close(&owner);
	assert_int_equal(access(path, F_OK), -1);
	/* A read that waits gets its object. */
	params.deadline_ms = 600000;
	open_without_it();
	must(rename(away, path) == 0);
	assert_int_equal(owner_get_all(&owner), 0);
	wait_until_found();
	assert_string_equal(status_now().text, "");
	assert_int_equal(stats_now().objects, 200);
	assert_int_equal(owner_put(&owner, 0, 2000), 0);
	assert_int_equal(owner_clean(&owner), 0);
	assert_int_equal(owner_get_all(&owner), 0);
	open_again();
	assert_true(status_now().reachable);
	assert_int_equal(owner_get_all(&owner), 0);
}

/* Something else has come there meanwhile: it is not touched, and the store is looked for on. */
static void test_away_and_another_there(void **state)
{
	static const char text[] = "somebody's letters";
	char away[320];

	begin_away(away, sizeof away);
	change_file(0, text, sizeof text);
	open_without_it();
	assert_non_null(strstr(status_now().text, "data at byte 0"));
	assert_true(is_in_file(text, sizeof text));
	must(truncate(path, 0) == 0 && truncate(away, (off_t)MIB) == 0 && rename(away, path) == 0);
	/* A store of which a part is gone: what lies there cannot be read, and says so. */
	wait_until_found();
	assert_int_equal(owner_get(&owner, 0), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_away),
		STORE_TEST(test_away_and_another_there),
	};

	return cmocka_run_group_tests_name("spill_opening", tests, NULL, NULL);
}
