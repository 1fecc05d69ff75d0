/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trial of a new server. See rehearse.h.
 *
 * All of it has one limit by the clock: under load every step takes longer, and what is said is which one did not come to its end.
 */
#include "daemon/transport/nbd/rehearse.h"

#include "daemon/base/clock.h"
#include "daemon/transport/arguments.h"
#include "daemon/transport/segment_known.h"
#include "machine/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds for the whole trial: the plugin is asked, and a server is tried. */
#ifndef REHEARSAL_LIMIT_S /* shorter in tests/daemon's build */
#define REHEARSAL_LIMIT_S 30u
#endif

/* Does this plugin know such a segment? */
static int ask_segment(const struct settings *settings, const struct zsblk_segment *segment, uint64_t until,
		       struct wrong *wrong)
{
	static const struct segment_words words = {
		.who = "plugin",
		.version = "zsblk_segment_version=",
		.feature = "zsblk_segment_feature=",
		.algorithms = "zsblk_algorithms=",
	};
	const char *const arguments[] = {settings->nbdkit, "--dump-plugin", settings->plugin, NULL};
	char facts[8192];
	struct program_text output = {facts, sizeof facts, 0}, errors = {wrong->text, sizeof wrong->text, 0};
	int status = 0, r = program_run(arguments, &output, &errors, until, &status);

	wrong->text[strcspn(wrong->text, "\n")] = '\0';
	if (r == -ETIMEDOUT)
		wrong_say(wrong, "%s --dump-plugin %s does not end within %u seconds", settings->nbdkit,
			  settings->plugin, REHEARSAL_LIMIT_S);
	else if (r && !wrong->text[0])
		wrong_say(wrong, "%s --dump-plugin %s: %s (%d)", settings->nbdkit, settings->plugin,
			  r == -EIO ? "ended with status" : strerror(-r), r == -EIO ? status : -r);
	if (r)
		return r;
	return segment_known(&words, facts, segment, wrong);
}

/* Wait until the server has its socket: 0; has ended, and was collected: -EIO; or the time is up: -ETIMEDOUT. */
static int wait_for_socket(pid_t pid, const char *socket, uint64_t until)
{
	do {
		if (access(socket, F_OK) == 0)
			return 0;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return -EIO;
	} while (clock_pause(until, 10));
	return -ETIMEDOUT;
}

/* Start a server, and end it when it has its socket, or after some time. */
static int try_server(const char *const arguments[], const char *socket, uint64_t until, struct wrong *wrong)
{
	pid_t parent = getpid(), pid;
	int output[2], r;
	ssize_t got = 0;

	if (pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		program_become(arguments, parent, -1, output[1]);
	r = pid < 0 ? -errno : wait_for_socket(pid, socket, until);
	if (r == 0 || r == -ETIMEDOUT)
		program_kill(pid);
	if (r)
		got = read(output[0], wrong->text, sizeof wrong->text - 1);
	wrong->text[got > 0 ? got : 0] = '\0';
	wrong->text[strcspn(wrong->text, "\n")] = '\0';
	if (r == -ETIMEDOUT)
		wrong_say(wrong, "a server that is started for a trial does not come up within %u seconds",
			  REHEARSAL_LIMIT_S);
	else if (r && !wrong->text[0])
		wrong_say(wrong, "a server that is started for a trial %s", r == -EIO ? "ends" : strerror(-r));
	close(output[0]);
	close(output[1]);
	return r;
}

int rehearse_server(const struct settings *settings, const struct zsblk_segment *segment, const char *socket,
		    struct wrong *wrong)
{
	struct arguments arguments = {.n = 0};
	uint64_t until = clock_after_ms(REHEARSAL_LIMIT_S * 1000);
	int r = ask_segment(settings, segment, until, wrong);

	if (r)
		return r;
	r = arguments_add(&arguments, "%s", settings->nbdkit);
	r = r ? r : arguments_add(&arguments, "%s", "--foreground");
	r = r ? r : arguments_add(&arguments, "--unix=%s", socket);
	r = r ? r : arguments_add(&arguments, "%s", settings->plugin);
	r = r ? r : arguments_add_trial_params(&arguments, settings);
	/* A trial that was killed has left its socket. */
	unlink(socket);
	if (!r)
		r = try_server((const char *const *)arguments.list, socket, until, wrong);
	unlink(socket);
	arguments_free(&arguments);
	return r;
}
