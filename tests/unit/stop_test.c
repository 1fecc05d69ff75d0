/* SPDX-License-Identifier: BSD-3-Clause */
/* The stop, through all of its states: who asks, what is in the way, and how the job ends that detaches the device. */
#include "lib/stop_world.h"
#include "lib/test.h"

/* ------------------------------------------------------------------ the way to the end */

enum asker { A_CLIENT, A_SIGNAL, SYSTEMD, A_FAILURE };

static void ask(enum asker asker)
{
	switch (asker) {
	case A_CLIENT:
		stop_request(stop, CLIENT, true);
		break;
	case A_SIGNAL:
	case SYSTEMD:
		stop_by_signal(stop, asker == SYSTEMD);
		break;
	case A_FAILURE:
		stop_after_failure(stop);
		break;
	}
}

/* The device is detached, the server ends, and what becomes of the segment decides how the daemon ends. */
static void test_to_the_end(void **state)
{
	static const struct {
		enum asker asker;
		enum settings_use use;
		int error; /* of the segment's end */
		bool asked, may_free;
		int status;
	} cases[] = {
		/* clang-format off */
		{A_CLIENT, SETTINGS_USE_SWAP, 0, true, true, EXIT_SUCCESS},
		{A_CLIENT, SETTINGS_USE_MOUNT, -EIO, true, true, EXIT_FAILURE},
		{A_SIGNAL, SETTINGS_USE_SWAP, 0, true, false, EXIT_SUCCESS},
		{SYSTEMD, SETTINGS_USE_SWAP, 0, true, true, EXIT_SUCCESS},
		{SYSTEMD, SETTINGS_USE_NOTHING, -EPERM, true, true, EXIT_FAILURE},
		{A_FAILURE, SETTINGS_USE_SWAP, 0, false, false, EXIT_FAILURE},
		{A_FAILURE, SETTINGS_USE_MOUNT, -EIO, false, false, EXIT_FAILURE},
		/* clang-format on */
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		begin_anew(state);
		finish.error = cases[i].error;
		settings.use = cases[i].use;
		instance.in_service = i % 2;
		ask(cases[i].asker);
		assert_int_equal(stop_state(stop), STOP_DETACHING);
		assert_true(keeper.detaching && !keeper.ended);
		assert_int_equal(stop_was_asked(stop), cases[i].asked);
		end_job(0, "");
		assert_ptr_equal(report->told.device, &keeper.device);
		assert_string_equal(report->told.backend, "zsblk:one");
		assert_int_equal(report->told.may_swapoff, cases[i].may_free);
		assert_int_equal(report->told.may_umount, cases[i].may_free);
		assert_int_equal(report->told.managed, cases[i].asker == SYSTEMD);
		assert_int_equal(report->told.has_data, settings.use != SETTINGS_USE_SWAP);
		/* The keeper attaches it no more. */
		assert_true(keeper.detaching);
		end_server();
		assert_int_equal(daemon_end.status, cases[i].status);
		assert_int_equal(finish.end.asked, cases[i].asked);
		assert_int_equal(finish.end.in_service, i % 2);
		assert_false(finish.end.detached_by_others);
		if (cases[i].asker == A_CLIENT)
			expect_answer(1, !cases[i].error, cases[i].error ? "the segment stays" : "stopped");
		else
			assert_int_equal(answer.n, 0);
	}
}

/* A start that failed before there was a device. */
static void test_without_device(void **state)
{
	for (enum asker asker = A_CLIENT; asker <= A_FAILURE; asker++) {
		begin_anew(state);
		keeper.device.path[0] = '\0';
		ask(asker);
		assert_false(job_is_running(instance.job));
		end_server();
		assert_int_equal(daemon_end.status, asker == A_FAILURE ? EXIT_FAILURE : EXIT_SUCCESS);
	}
}

/* The machine goes down, or systemd starts the service again: the server goes on, and nothing is removed. */
static void test_server_goes_on(void **state)
{
	static const int results[] = {-ESHUTDOWN, -ERESTART};

	for (size_t i = 0; i < COUNT_OF(results); i++) {
		begin_anew(state);
		ask(SYSTEMD);
		end_job(results[i], "there is no room");
		assert_true(daemon_end.called && daemon_end.status == EXIT_SUCCESS);
		assert_false(finish.called || keeper.ended || keeper.detaching);
	}
}

/* ------------------------------------------------------------------ not stopped */

/* People are told, and the instance goes on; they can ask again. */
static void test_refused(void **state)
{
	ask(A_CLIENT);
	end_job(-EBUSY, "/dev/nbd5 is in use");
	assert_int_equal(stop_state(stop), STOP_NOT);
	expect_answer(1, false, "/dev/nbd5 is in use");
	assert_false(stop_was_asked(stop) || keeper.detaching || keeper.ended || daemon_end.called);
	/* Nothing more comes of it. */
	usleep(2 * STOP_RETRY_US);
	sd_event_run(instance.loop, 0);
	assert_int_equal(stop_state(stop), STOP_NOT);
	ask(A_CLIENT);
	end_job(0, "");
	end_server();
	expect_answer(2, true, "stopped");
	assert_true(finish.end.asked);
}

/* systemd has nobody to ask: until it works. */
static void test_systemd_insists(void **state)
{
	ask(SYSTEMD);
	for (unsigned i = 0; i < 3; i++) {
		end_job(-ENOMEM, "there is no memory for what is swapped out");
		assert_int_equal(stop_state(stop), STOP_RETRYING);
		assert_true(stop_was_asked(stop));
		assert_false(keeper.detaching || daemon_end.called);
		expect_state(STOP_DETACHING);
		assert_true(keeper.detaching);
	}
	end_job(0, "");
	end_server();
	assert_int_equal(daemon_end.status, EXIT_SUCCESS);
	assert_true(finish.end.asked);
}

/* A start that failed on a device that is in use: it stays, and is served. */
static void test_failed_start_in_use(void **state)
{
	ask(A_FAILURE);
	end_job(-EBUSY, "/dev/nbd5 is in use");
	assert_int_equal(stop_state(stop), STOP_NOT);
	assert_false(keeper.detaching || daemon_end.called);
	assert_int_equal(answer.n, 0);
}

static void test_second_request(void **state)
{
	ask(A_CLIENT);
	stop_request(stop, CLIENT + 1, true);
	assert_int_equal(answer.n, 1);
	assert_int_equal(answer.client, CLIENT + 1);
	assert_false(answer.ok);
	assert_non_null(strstr(answer.text, "it is stopping already"));
	end_job(0, "");
	stop_request(stop, CLIENT + 1, true);
	assert_int_equal(answer.n, 2);
	assert_int_equal(stop_state(stop), STOP_ENDING);
	end_server();
	/* The first one is answered with how it went. */
	expect_answer(3, true, "stopped");
}

/* ------------------------------------------------------------------ another job is in the way */

static bool waited; /* what stop_goes_on() said when the other job had ended */
static int other_result;

static void other_done(void *opaque, int r, const char *text)
{
	other_result = r;
	waited = stop_goes_on(stop);
}

static void start_other(void)
{
	waited = false;
	must(job_start(instance.job, mkfs, NULL, other_done, NULL) == 0);
}

/* Whatever is being done to the device is given up, and the stop goes on when that has ended. */
static void test_other_job_gives_up(void **state)
{
	for (enum asker asker = A_CLIENT; asker <= SYSTEMD; asker++) {
		begin_anew(state);
		start_other();
		ask(asker);
		assert_int_equal(stop_state(stop), STOP_RETRYING);
		assert_false(keeper.detaching);
		assert_true(stop_was_asked(stop));
		expect_state(STOP_DETACHING);
		assert_true(waited);
		assert_int_equal(other_result, -ECANCELED);
		assert_true(keeper.detaching);
		end_job(0, "");
		end_server();
	}
}

/* After a failed start nothing is given up: its job ends by itself. */
static void test_other_job_ends(void **state)
{
	start_other();
	ask(A_FAILURE);
	assert_int_equal(stop_state(stop), STOP_RETRYING);
	report->r = 0;
	expect_state(STOP_DETACHING);
	assert_int_equal(other_result, 0);
	end_job(0, "");
	end_server();
	assert_int_equal(daemon_end.status, EXIT_FAILURE);
}

/* It does not end when it is asked to: whoever asked is told, and the job is killed. */
static void test_other_job_is_stubborn(void **state)
{
	report->stubborn = true;
	start_other();
	while (!report->begun)
		usleep(1000);
	ask(A_CLIENT);
	assert_int_equal(stop_state(stop), STOP_RETRYING);
	expect_state(STOP_NOT);
	expect_answer(1, false, "does not end");
	assert_false(stop_was_asked(stop) || keeper.detaching);
	run_out_job();
	assert_int_equal(other_result, -ECANCELED);
	assert_false(waited);
	assert_int_equal(stop_state(stop), STOP_NOT);
}

/* No stop waits for it. */
static void test_other_job_alone(void **state)
{
	start_other();
	end_job(0, "");
	assert_false(waited);
	assert_int_equal(stop_state(stop), STOP_NOT);
}

/* ------------------------------------------------------------------ the device is somebody else's */

static void test_what_seems_lost(void **state)
{
	static const struct {
		enum transport_backing backing;
		bool serves, is_swap, is_mounted, lost, server_attaches;
	} cases[] = {
		{TRANSPORT_BACKING_OURS, true, false, false, false, false},
		{TRANSPORT_BACKING_UNKNOWN, true, false, false, false, false},
		{TRANSPORT_BACKING_OTHER, true, true, false, true, false},
		{TRANSPORT_BACKING_OTHER, false, false, true, true, false},
		{TRANSPORT_BACKING_UNNAMED, false, false, false, true, false},
		{TRANSPORT_BACKING_NONE, true, false, false, true, false},
		/* Nobody serves it for the moment, or it looks detached and is in use. */
		{TRANSPORT_BACKING_NONE, false, false, false, false, false},
		{TRANSPORT_BACKING_NONE, true, true, false, false, false},
		{TRANSPORT_BACKING_NONE, true, false, true, false, false},
		/* A device that its server has made is gone with all servers of it, and no other one is made. */
		{TRANSPORT_BACKING_NONE, false, false, false, true, true},
		{TRANSPORT_BACKING_NONE, false, true, false, false, true},
		{TRANSPORT_BACKING_UNKNOWN, false, false, false, false, true},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		begin_anew(state);
		keeper.serves = cases[i].serves;
		device.backing = cases[i].backing;
		device.server_attaches = cases[i].server_attaches;
		device.is_swap = cases[i].is_swap;
		device.is_mounted = cases[i].is_mounted;
		stop_look_for_loss(stop);
		if (job_is_running(instance.job) != cases[i].lost || keeper.detaching != cases[i].lost)
			fail_msg("case %zu: should be %d", i, cases[i].lost);
		assert_int_equal(stop_state(stop), STOP_NOT);
		/* A child has the last word: it has opened the device, so that what it sees stays true. */
		if (!cases[i].lost)
			continue;
		if (i % 2) {
			end_job(-EEXIST, "it is ours");
			assert_int_equal(stop_state(stop), STOP_NOT);
			assert_false(keeper.detaching || daemon_end.called);
		} else {
			end_job(-ENODEV, "/dev/nbd5 is somebody else's");
			end_server();
			assert_int_equal(daemon_end.status, EXIT_FAILURE);
			assert_true(finish.end.detached_by_others && finish.end.in_service);
			assert_false(finish.end.asked);
		}
	}
}

/* What is being done to the device comes first; the next look is soon enough. */
static void test_loss_beside_other_job(void **state)
{
	device.backing = TRANSPORT_BACKING_OTHER;
	start_other();
	stop_look_for_loss(stop);
	assert_false(keeper.detaching);
	end_job(0, "");
	assert_int_equal(other_result, 0);
}

/* A stop that comes meanwhile waits for that look, and goes by what it finds. */
static void test_stop_beside_look(void **state)
{
	static const int results[] = {-EEXIST, -ENODEV};
	siginfo_t info;

	for (size_t i = 0; i < COUNT_OF(results); i++) {
		begin_anew(state);
		device.backing = TRANSPORT_BACKING_OTHER;
		stop_look_for_loss(stop);
		report->r = results[i];
		/* The child has ended, and the loop has not heard of that yet. */
		must(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0);
		ask(A_CLIENT);
		assert_int_equal(stop_state(stop), STOP_RETRYING);
		for (unsigned n = 0; n < 500 && stop_state(stop) == STOP_RETRYING; n++)
			run_once();
		if (results[i] == -ENODEV) {
			end_server();
			expect_answer(1, false, "detached by somebody else; its segment stays");
			assert_true(finish.end.detached_by_others);
		} else {
			assert_int_equal(stop_state(stop), STOP_DETACHING);
			end_job(0, "");
		}
	}
}

/* The job that detaches finds that it is not ours: what was asked for cannot be done any more. */
static void test_lost_while_stopping(void **state)
{
	ask(A_CLIENT);
	end_job(-ENODEV, "/dev/nbd5 is somebody else's");
	end_server();
	expect_answer(1, false, "detached by somebody else; its segment stays");
	assert_int_equal(daemon_end.status, EXIT_FAILURE);
	assert_true(finish.end.asked && finish.end.detached_by_others);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(to_the_end),
		TEST(without_device),
		TEST(server_goes_on),
		TEST(refused),
		TEST(systemd_insists),
		TEST(failed_start_in_use),
		TEST(second_request),
		TEST(other_job_gives_up),
		TEST(other_job_ends),
		TEST(other_job_is_stubborn),
		TEST(other_job_alone),
		TEST(what_seems_lost),
		TEST(loss_beside_other_job),
		TEST(stop_beside_look),
		TEST(lost_while_stopping),
	};

	if (!has_pidfds()) {
		puts("1..0 # SKIP there are no pidfds here");
		return 0;
	}
	return cmocka_run_group_tests_name("stop", tests, map_report, NULL);
}
