/* SPDX-License-Identifier: BSD-3-Clause */
/* The command lines of zsblk-ublk. See ublk_server.h. */
#include "daemon/transport/segment_known.h"
#include "daemon/transport/ublk/ublk_server.h"

#include "daemon/base/clock.h"
#include "daemon/transport/ublk/disk.h"
#include "machine/program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Seconds for a question about the kernel. A driver that never answers is one of the things that the program looks for, for 20 s. */
#define CHECK_LIMIT_S 25u
/* Seconds for the whole trial. */
#define TRIAL_LIMIT_S 30u
/* Seconds for the removal of a device: what is in its page cache is written out before. */
#define REMOVE_LIMIT_S 120u

const char *ublk_server_program(const struct settings *settings)
{
	return settings->ublk_server;
}

/* Have the program do something, and say why it did not. */
static int run_program(const char *const arguments[], unsigned limit_s, struct wrong *wrong)
{
	struct program_text errors = {wrong->text, sizeof wrong->text, 0};
	int status = 0, r = program_run(arguments, NULL, &errors, clock_after_ms(limit_s * 1000), &status);
	static const char prefix[] = "zsblk-ublk: ";
	struct wrong said;

	wrong->text[strcspn(wrong->text, "\n")] = '\0';
	said = *wrong;
	if (status != PROGRAM_NOT_FOUND && strncmp(said.text, prefix, sizeof prefix - 1) == 0)
		wrong_say(wrong, "%s", said.text + sizeof prefix - 1);
	if (r == -ETIMEDOUT)
		wrong_say(wrong, "%s %s does not end within %u seconds", arguments[0], arguments[1], limit_s);
	else if (r && !wrong->text[0])
		wrong_say(wrong, "%s %s: %s (%d)", arguments[0], arguments[1],
			  r == -EIO ? "ended with status" : strerror(-r), r == -EIO ? status : -r);
	return r;
}

int ublk_server_check(const struct settings *settings, struct wrong *wrong)
{
	const char *const arguments[] = {settings->ublk_server, "--check", NULL};

	return run_program(arguments, CHECK_LIMIT_S, wrong) ? -EOPNOTSUPP : 0;
}

int ublk_server_arguments(struct arguments *arguments, const struct settings *settings, const char *memory,
			  const char *stats)
{
	/* The first character of its name keeps systemd from ending it when everything else ends, as for nbdkit. */
	int r = arguments_add(arguments, "@%s", "zsblk-ublk");

	r = r ? r : arguments_add_contact(arguments, "--ready=");
	r = r ? r : arguments_add_device(arguments);
	return r ? r : arguments_add_params(arguments, settings, memory, stats);
}

void ublk_server_device_argument(const struct device *device, bool attached, char *text, size_t size)
{
	text[0] = '\0';
	if (!device_is_none(device))
		snprintf(text, size, "--%s=%d", attached ? "recover" : "device",
			 device_number(device->path, DISK_START));
}

/* Does the program know such a segment? */
static int ask_segment(const struct settings *settings, const struct zsblk_segment *segment, struct wrong *wrong)
{
	static const struct segment_words words = {
		.who = "server",
		.version = "segment version ",
		.feature = "segment feature ",
		.algorithms = "algorithms ",
	};
	const char *const arguments[] = {settings->ublk_server, "--version", NULL};
	char said[2000];
	struct program_text output = {said, sizeof said, 0};
	int r = program_run(arguments, &output, NULL, clock_after_ms(TRIAL_LIMIT_S * 1000), NULL);

	if (r)
		return wrong_say(wrong, "%s --version: %s", settings->ublk_server, strerror(-r)), r;
	return segment_known(&words, said, segment, wrong);
}

int ublk_server_rehearse(const struct settings *settings, const struct zsblk_segment *segment, const char *contact,
			 struct wrong *wrong)
{
	struct arguments arguments = {.n = 0};
	int r = ask_segment(settings, segment, wrong);

	if (r)
		return r;
	r = arguments_add(&arguments, "%s", settings->ublk_server);
	r = r ? r : arguments_add(&arguments, "%s", "--trial");
	r = r ? r : arguments_add_trial_params(&arguments, settings);
	r = r ? r : run_program((const char *const *)arguments.list, TRIAL_LIMIT_S, wrong);
	arguments_free(&arguments);
	return r;
}

int ublk_server_detach(const struct settings *settings, const struct device *device, struct wrong *wrong)
{
	char number[16], sequence[24];
	const char *arguments[] = {settings->ublk_server, "--served", "--remove", number, "--sequence", sequence, NULL};

	snprintf(number, sizeof number, "%d", device_number(device->path, DISK_START));
	snprintf(sequence, sizeof sequence, "%" PRIu64, device->sequence);
	/* What was left of a start may have no disk. */
	if (!device->sequence)
		arguments[4] = NULL;
	return run_program(arguments, REMOVE_LIMIT_S, wrong);
}
