/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkd: keeps a compressed block device attached. See zsblkd(8). */
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/options.h"
#include "daemon/say.h"

#include <stdio.h>
#include <stdlib.h>

static int ask_daemon(const struct options *options)
{
	struct wrong answer = {""};
	int r = control_ask(options->request_name, options->request, &answer);

	if (r)
		fprintf(stderr, "zsblkd: %s\n", answer.text);
	else
		puts(answer.text);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options;
	int status;

	options_parse(&options, argc, argv);
	if (options.request)
		return ask_daemon(&options);
	say_init(options.settings.name, options.verbose);
	status = daemon_run(&options.settings);
	settings_free(&options.settings);
	say_end();
	return status;
}
