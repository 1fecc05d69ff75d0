/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that are run in a job. See command.h. */
#include "daemon/child/command.h"

#include "machine/program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A program that says its name and version before anything else, as mke2fs does: "mke2fs 1.47.0 (5-Feb-2023)". */
static bool is_banner(const char *line, size_t length)
{
	unsigned major, minor;

	return !memchr(line, ':', length) && sscanf(line, "%*[^ \n] %u.%u", &major, &minor) == 2;
}

/* Keep the first line that is a reason, of all that a program has said. */
static void keep_reason(char *text)
{
	for (char *line = text; *line;) {
		size_t length = strcspn(line, "\n");

		if (length && !is_banner(line, length)) {
			memmove(text, line, length);
			text[length] = '\0';
			return;
		}
		line += length + (line[length] == '\n');
	}
	text[strcspn(text, "\n")] = '\0';
}

int command_run(const char *const arguments[], struct wrong *wrong)
{
	struct program_text errors = {wrong->text, sizeof wrong->text, 0};
	int status = 0, r = program_run(arguments, NULL, &errors, 0, &status);

	keep_reason(wrong->text);
	if (r == -EIO && !wrong->text[0])
		wrong_say(wrong, "%s ended with status %d", arguments[0], status);
	else if (r && r != -EIO)
		wrong_say(wrong, "%s cannot be run: %s", arguments[0], strerror(-r));
	return r;
}

int command_read(const char *const arguments[], char *text, size_t size, int *ended_with)
{
	struct program_text output = {text, size, 0};

	return program_run(arguments, &output, NULL, 0, ended_with);
}
