/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance that is to stop. The event loop, the stop's timer and the jobs are real; a job's child reports what the test wants. The
 * keeper, the device, the client and the end of the segment are the test's own. For one test program, which compiles stop.c itself.
 */
#ifndef TEST_STOP_WORLD_H
#define TEST_STOP_WORLD_H

#include "lib/test.h"

#include "daemon/child/job.h"
#include "daemon/jobs/job_detach.h"
#include "daemon/keeper/keeper.h"
#include "daemon/settings/settings.h"
#include "daemon/state/control.h"
#include "daemon/stop.h"
#include "daemon/transport/transport.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include <systemd/sd-event.h>

#define CLIENT 7u

/* A job's child goes on until it is told how to end. */
#define AT_WORK 1

/* ------------------------------------------------------------------ what the stop deals with */

struct keeper {
	struct device device;
	bool serves;
	bool detaching;
	void (*ended)(void *opaque); /* keeper_end() was called: the server is being ended */
	void *opaque;
};

static struct keeper keeper;

static struct {
	enum transport_backing backing;
	bool server_attaches; /* the transport's */
	bool is_swap, is_mounted;
} device;

/* Shared with the job's child. */
static struct {
	_Atomic int r;
	char text[100];
	bool stubborn;          /* does not end when it is asked to */
	_Atomic bool begun;     /* and is so from here on */
	struct job_detach told; /* what job_detach() was told */
} * report;

static struct {
	unsigned n, client;
	bool ok;
	char text[400];
} answer;

static struct {
	bool called;
	int error; /* what it returns */
	struct own_segment_end end;
} finish;

static struct {
	bool called;
	int status;
} daemon_end;

struct device *keeper_device(struct keeper *one)
{
	return &one->device;
}

pid_t keeper_server(const struct keeper *one)
{
	return 1234;
}

bool keeper_is_serving(const struct keeper *one)
{
	return one->serves;
}

void keeper_detaching(struct keeper *one, bool detaching)
{
	one->detaching = detaching;
}

void keeper_end(struct keeper *one, void (*ended)(void *opaque), void *opaque)
{
	one->ended = ended;
	one->opaque = opaque;
}

const struct transport *transport_of(const struct device *one)
{
	static const struct transport by_server = {.server_attaches = true}, by_daemon = {.server_attaches = false};

	return device.server_attaches ? &by_server : &by_daemon;
}

enum transport_backing transport_backing(const struct device *one, const char *backend)
{
	assert_ptr_equal(one, &keeper.device);
	assert_string_equal(backend, "zsblk:one");
	return device.backing;
}

bool device_is_none(const struct device *one)
{
	return !one->path[0];
}

bool device_is_swap(const struct device *one)
{
	return device.is_swap;
}

bool device_is_mounted(const struct device *one)
{
	return device.is_mounted;
}

void control_answer(struct control *control, unsigned client, bool ok, const char *text)
{
	if (client == CONTROL_NOBODY)
		return;
	answer.n++;
	answer.client = client;
	answer.ok = ok;
	snprintf(answer.text, sizeof answer.text, "%s", text);
}

int own_segment_finish(struct own_segment *segment, struct folder *folder, const char *name,
		       const struct own_segment_end *end, struct wrong *wrong)
{
	assert_string_equal(name, "one");
	assert_false(finish.called);
	finish.called = true;
	finish.end = *end;
	if (finish.error)
		wrong_say(wrong, "the segment stays");
	return finish.error;
}

/* In the child. */
static inline int work(struct wrong *wrong)
{
	if (report->stubborn)
		signal(SIGTERM, SIG_IGN);
	report->begun = true;
	while (report->r == AT_WORK)
		usleep(1000);
	wrong_say(wrong, "%s", report->text);
	return report->r;
}

int job_detach(const void *what, struct wrong *wrong)
{
	report->told = *(const struct job_detach *)what;
	return work(wrong);
}

int job_detach_lost(const void *what, struct wrong *wrong)
{
	return work(wrong);
}

static int mkfs(const void *what, struct wrong *wrong)
{
	return work(wrong);
}

/* ------------------------------------------------------------------ an instance, and its stop */

static char name[] = "one";
static struct settings settings;
static struct instance instance;
static struct stop *stop;

static void ended(void *opaque, int status)
{
	assert_false(daemon_end.called);
	daemon_end.called = true;
	daemon_end.status = status;
}

/* Before the first test. */
static int map_report(void **state)
{
	report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return report == MAP_FAILED ? -1 : 0;
}

static int set_up(void **state)
{
	keeper = (struct keeper){.device = {.path = "/dev/nbd5"}, .serves = true};
	device.backing = TRANSPORT_BACKING_OURS;
	device.is_swap = device.is_mounted = false;
	memset(report, 0, sizeof *report);
	report->r = AT_WORK;
	memset(&answer, 0, sizeof answer);
	memset(&finish, 0, sizeof finish);
	memset(&daemon_end, 0, sizeof daemon_end);
	settings = (struct settings){.name = name, .use = SETTINGS_USE_SWAP};
	instance =
		(struct instance){.settings = &settings, .backend = "zsblk:one", .keeper = &keeper, .in_service = true};
	must(sd_event_new(&instance.loop) == 0);
	must(job_create(&instance.job, instance.loop) == 0);
	must(stop_create(&stop, &instance, ended, NULL) == 0);
	return 0;
}

static int tear_down(void **state)
{
	report->stubborn = false;
	report->r = 0;
	stop_free(stop);
	job_free(instance.job);
	sd_event_unref(instance.loop);
	return 0;
}

static void begin_anew(void **state)
{
	tear_down(state);
	set_up(state);
}

static void run_once(void)
{
	must(sd_event_run(instance.loop, 10000) >= 0);
}

static void expect_state(enum stop_state state)
{
	for (unsigned i = 0; i < 500 && stop_state(stop) != state; i++)
		run_once();
	assert_int_equal(stop_state(stop), state);
}

static void run_out_job(void)
{
	for (unsigned i = 0; i < 500 && job_is_running(instance.job); i++)
		run_once();
	assert_false(job_is_running(instance.job));
}

/* The child that is at work ends like this. */
static void end_job(int r, const char *text)
{
	snprintf(report->text, sizeof report->text, "%s", text);
	report->r = r;
	run_out_job();
	report->r = AT_WORK;
}

static void end_server(void)
{
	assert_int_equal(stop_state(stop), STOP_ENDING);
	assert_non_null(keeper.ended);
	assert_false(finish.called);
	keeper.ended(keeper.opaque);
	assert_true(finish.called && daemon_end.called);
}

static void expect_answer(unsigned n, bool ok, const char *part)
{
	assert_int_equal(answer.n, n);
	assert_int_equal(answer.client, CLIENT);
	assert_int_equal(answer.ok, ok);
	if (!strstr(answer.text, part))
		fail_msg("\"%s\" has no \"%s\"", answer.text, part);
}

#endif
