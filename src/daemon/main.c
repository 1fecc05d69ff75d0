/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkd: keeps a compressed block device attached. See zsblkd(8). */
#include "daemon/base/say.h"
#include "daemon/daemon.h"
#include "daemon/options.h"
#include "daemon/relay.h"
#include "daemon/resources/memlimit.h"
#include "daemon/resources/rights.h"
#include "daemon/settings/group.h"
#include "daemon/settings/settings.h"
#include "daemon/state/control.h"
#include "daemon/supervise.h"
#include "daemon/transport/choice.h"
#include "daemon/transport/transport.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of --status: there is no daemon of this name, for certain. The same number as of programs that tell it of a service (LSB, systemctl). */
#define EXIT_NOT_RUNNING 3

/* Requests as options name them. */
static const struct {
	const char *name;
	enum control_verb verb;
	unsigned patience; /* seconds after which a daemon that does not answer hangs; 0: never */
} requests[] = {
	{"status", CONTROL_STATUS, 10},
	/* The daemon tries a new server, and waits until that serves. */
	{"upgrade", CONTROL_UPGRADE, 120},
	/* swapoff takes its time. */
	{"stop", CONTROL_STOP, 0},
	{"stop-unused", CONTROL_STOP_UNUSED, 0},
};

static int ask_daemon(const struct options *options)
{
	struct wrong answer = {""};
	size_t i = 0;
	int r;

	while (strcmp(requests[i].name, options->request) != 0)
		i++;
	r = control_ask(FOLDER_TOP, options->request_name, &(struct control_request){.verb = requests[i].verb},
			requests[i].patience, &answer);
	if (r)
		fprintf(stderr, "zsblkd: %s\n", answer.text);
	else
		puts(answer.text);
	if (r == -ESRCH && requests[i].verb == CONTROL_STATUS)
		return EXIT_NOT_RUNNING;
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Each of the remarks about the settings, until there are no more. */
static void say_remarks(const struct settings *settings)
{
	struct wrong remark;

	for (unsigned i = 0; settings_remark_text(settings, i, &remark); i++)
		say(SAY_WARNING, "%s", remark.text);
}

/* Is what was asked for right, as far as can be told without starting anything? */
static int check_settings(const struct settings *settings)
{
	struct device device;
	struct choice choice;
	struct wrong wrong = {""};
	char backend[64];
	bool attached;

	for (unsigned i = 0; settings_remark_text(settings, i, &wrong); i++)
		fprintf(stderr, "zsblkd: %s\n", wrong.text);
	snprintf(backend, sizeof backend, TRANSPORT_BACKEND_START "%s", settings->name);
	attached = transport_find(settings, backend, &device) == 0;
	if (choice_make(&choice, settings, attached ? &device : NULL, &wrong)) {
		fprintf(stderr, "zsblkd: %s\n", wrong.text);
		return EXIT_FAILURE;
	}
	/* The main file first, and each of the others changes what is before it. */
	for (unsigned i = settings->n_files; i-- > 0;)
		printf("%s: reads %s\n", settings->name, settings->files[i]);
	printf("%s: right; over %s%s%s%s\n", settings->name, choice.transport->name,
	       attached ? ", as the device that is there" : "",
	       choice.fallback[0] ? ", since ublk cannot be used: " : "", choice.fallback);
	return EXIT_SUCCESS;
}

static int daemon_main(void *opaque, struct ballast *ballast)
{
	return daemon_run(opaque, ballast);
}

/*
 * Who may look, by number from now on: neither servers nor daemons that take over may look for names while the device is down. Even
 * /etc/group may be swapped out to that, where the root file system is in memory.
 */
static void find_control_group(struct settings *settings)
{
	const char *name = settings->control_group;
	char number[16];
	gid_t group;

	if (!name)
		return;
	if (group_find("/etc/group", name, &group) == 0) {
		snprintf(number, sizeof number, "%u", (unsigned)group);
		(void)settings_string(&settings->control_group, number);
		return;
	}
	say(SAY_WARNING, "control-group = %s: there is no such group in /etc/group; nobody but root may look", name);
	free(settings->control_group);
	settings->control_group = NULL;
}

/* Everything that is to be there in bad times, while times are good. */
static int prepare(struct settings *settings, bool needed, struct ballast **ballast)
{
	struct wrong wrong = {""};
	int r = rights_check(&wrong);

	if (!r) {
		r = relay_start();
		wrong_say(&wrong, "no pipe for messages: %s", strerror(-r));
	}
	if (!r)
		find_control_group(settings);
	if (!r)
		r = rights_take(&wrong);
	/* A device that is attached goes on below any limit. Then daemon.c says so. */
	if (!r && !needed)
		r = memlimit_check(settings, &wrong);
	/* While the device is down, nobody may wait for memory. The ballast is filled once there is some. */
	if (!r && ballast_create(ballast, (size_t)settings->recovery_reserve, !needed)) {
		r = -ENOMEM;
		wrong_say(&wrong, "no memory for recovery-reserve, %" PRIu64 " MiB; free some, or make it smaller",
			  settings->recovery_reserve >> 20);
	}
	if (r)
		say(SAY_ERROR, "%s", wrong.text);
	return r;
}

int main(int argc, char **argv)
{
	struct options options;
	struct ballast *ballast = NULL;
	int status = EXIT_FAILURE;
	bool needed;

	options_parse(&options, argc, argv);
	if (options.request)
		return ask_daemon(&options);
	if (options.check) {
		status = check_settings(&options.settings);
		settings_free(&options.settings);
		return status;
	}
	supervise_hold_signals();
	say_init(options.settings.name, options.verbose);
	say_remarks(&options.settings);
	needed = transport_find_instance(&options.settings) != -ENODEV;
	if (prepare(&options.settings, needed, &ballast) == 0) {
		status = supervise(daemon_main, &options.settings, ballast);
	} else if (needed) {
		sleep(SUPERVISE_AGAIN_S);
		status = SUPERVISE_AGAIN;
	}
	ballast_free(ballast);
	settings_free(&options.settings);
	relay_finish();
	return status;
}
