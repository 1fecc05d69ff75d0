/* SPDX-License-Identifier: BSD-3-Clause */
/* A status in words: people read it, and so do scripts. */
#include "lib/test.h"

#include "daemon/status.h"

#define FIGURES "2048 MiB, 512.0 MiB of data in 140.0 MiB of memory (ratio 3.66) at 14:32:05"
#define SERVING .device = "/dev/nbd0", .figures = FIGURES, .server = 42, .is_serving = true

static void test_words(void **state)
{
	static const struct {
		struct status_facts facts;
		const char *text;
	} cases[] = {
		{{SERVING}, "/dev/nbd0: " FIGURES ", server 42"},
		{{.device = "/dev/nbd0", .figures = "", .server = 42, .is_serving = true}, "/dev/nbd0: server 42"},
		{{.device = "/dev/nbd0", .figures = "", .server = 42}, "/dev/nbd0: server 42 is being replaced"},
		{{.device = "/dev/nbd0", .figures = ""}, "/dev/nbd0: the server is being replaced"},
		{{SERVING,
		  .servers = {.replaced = 3, .hung = 1, .last_outage_us = 130000, .longest_outage_us = 3400000}},
		 "/dev/nbd0: " FIGURES ", server 42, 3 replaced (1 hung), out of service for 130 ms the last time, "
		 "3400 ms at most"},
		{{SERVING, .is_from_kept = true},
		 "/dev/nbd0: " FIGURES ", server 42; it was started from the files of the one before, since what is "
		 "installed did not work"},
		/* Of these three one is said: the first. */
		{{SERVING, .is_from_kept = true, .swap_is_off = true, .cannot_restart = true},
		 "/dev/nbd0: " FIGURES ", server 42; it was started from the files of the one before, since what is "
		 "installed did not work"},
		{{SERVING, .swap_is_off = true, .cannot_restart = true},
		 "/dev/nbd0: " FIGURES ", server 42; it is no swap now: somebody else has switched that off"},
		{{SERVING, .cannot_restart = true},
		 "/dev/nbd0: " FIGURES ", server 42; no other server would come up with the present parameters"},
		{{SERVING, .fallback = ""}, "/dev/nbd0: " FIGURES ", server 42"},
		{{SERVING, .fallback = "there is no driver"},
		 "/dev/nbd0: " FIGURES ", server 42; ublk cannot be used: there is no driver"},
		{{SERVING, .segment_is_removed = true},
		 "/dev/nbd0: " FIGURES ", server 42; somebody has removed its segment: save what is stored, stop, and "
		 "start again"},
		{{SERVING, .is_stopping = true}, "/dev/nbd0: " FIGURES ", server 42"},
		{{SERVING, .is_stopping = true, .is_detaching = true},
		 "/dev/nbd0: " FIGURES ", server 42; it is being stopped"},
		{{SERVING, .is_stopping = true, .is_detaching = true, .is_swap = true, .swapped_kib = 1536},
		 "/dev/nbd0: " FIGURES
		 ", server 42; it is being stopped, and waits for swapoff, which reads back what is "
		 "swapped out: 1.5 MiB are left"},
	};
	char text[600];

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		memset(text, 'x', sizeof text);
		status_describe(&cases[i].facts, text, sizeof text);
		assert_string_equal(text, cases[i].text);
	}
}

/* Cut off where there is no more room, and nothing is written behind. */
static void test_room(void **state)
{
	const struct status_facts facts = {SERVING, .is_from_kept = true, .segment_is_removed = true,
					   .is_detaching = true, .is_swap = true};
	char whole[600], text[601];

	status_describe(&facts, whole, sizeof whole);
	for (size_t size = 1; size <= strlen(whole) + 1; size++) {
		memset(text, 'x', sizeof text);
		status_describe(&facts, text, size);
		assert_int_equal(strlen(text), size - 1);
		assert_int_equal(strncmp(text, whole, size - 1), 0);
		assert_int_equal(text[size], 'x');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
