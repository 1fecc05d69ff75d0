/* SPDX-License-Identifier: BSD-3-Clause */
/* Which transport it is: every combination of what is asked for, what is attached, and whether ublk can be used. */
#include "lib/test.h"

#include "daemon/transport/choice.h"

static const struct transport *const transports[] = {NULL, &nbd_transport, &ublk_transport};

static void test_all(void **state)
{
	for (enum settings_transport asked = SETTINGS_TRANSPORT_AUTO; asked <= SETTINGS_TRANSPORT_NBD; asked++)
		for (size_t attached = 0; attached < COUNT_OF(transports); attached++)
			for (size_t device = 0; device < COUNT_OF(transports); device++)
				for (int good = 0; good < 2; good++) {
					const struct choice_facts facts = {asked, transports[attached],
									   transports[device], good};
					const struct transport *chosen = choice_decide(&facts);

					/* What is attached goes on as it is, good or not. */
					if (transports[attached])
						assert_ptr_equal(chosen, transports[attached]);
					/* A device decides by itself. */
					else if (transports[device] == &nbd_transport)
						assert_ptr_equal(chosen, &nbd_transport);
					else if (transports[device] == &ublk_transport)
						assert_ptr_equal(chosen, good ? &ublk_transport : NULL);
					else if (asked == SETTINGS_TRANSPORT_NBD)
						assert_ptr_equal(chosen, &nbd_transport);
					else if (asked == SETTINGS_TRANSPORT_UBLK)
						assert_ptr_equal(chosen, good ? &ublk_transport : NULL);
					else
						assert_ptr_equal(chosen, good ? &ublk_transport : &nbd_transport);
				}
}

/* The kernel is asked only if that matters: the question may take seconds. */
static void test_question(void **state)
{
	assert_true(choice_depends_on_ublk(&(struct choice_facts){.wanted = SETTINGS_TRANSPORT_AUTO}));
	assert_true(choice_depends_on_ublk(&(struct choice_facts){.wanted = SETTINGS_TRANSPORT_UBLK}));
	assert_false(choice_depends_on_ublk(&(struct choice_facts){.wanted = SETTINGS_TRANSPORT_NBD}));
	assert_true(choice_depends_on_ublk(&(struct choice_facts){.of_device = &ublk_transport}));
	assert_false(choice_depends_on_ublk(&(struct choice_facts){.of_device = &nbd_transport}));
	assert_false(choice_depends_on_ublk(&(struct choice_facts){.of_attached = &ublk_transport}));
	assert_false(choice_depends_on_ublk(&(struct choice_facts){.of_attached = &nbd_transport}));
}

/* The program that knows the kernel says why not: the start is refused, or it is NBD, and both say that. */
static void test_reason(void **state)
{
	struct settings settings;
	struct choice choice;
	struct wrong wrong = {""};

	settings_init(&settings);
	assert_int_equal(settings_string(&settings.ublk_server, "/bin/false"), 0);
	assert_int_equal(choice_make(&choice, &settings, NULL, &wrong), 0);
	assert_ptr_equal(choice.transport, &nbd_transport);
	assert_non_null(strstr(choice.fallback, "/bin/false --check"));
	settings.transport = SETTINGS_TRANSPORT_UBLK;
	assert_true(choice_make(&choice, &settings, NULL, &wrong) < 0);
	assert_non_null(strstr(wrong.text, "transport = ublk: /bin/false --check"));
	assert_int_equal(settings_string(&settings.ublk_server, "/bin/true"), 0);
	assert_int_equal(choice_make(&choice, &settings, NULL, &wrong), 0);
	assert_ptr_equal(choice.transport, &ublk_transport);
	assert_string_equal(choice.fallback, "");
	settings_free(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_reason),
	};

	return cmocka_run_group_tests_name("choice", tests, NULL, NULL);
}
