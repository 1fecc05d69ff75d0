/* SPDX-License-Identifier: BSD-3-Clause */
/* The arguments of servers. See arguments.h. */
#include "daemon/transport/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int arguments_add(struct arguments *arguments, const char *format, const char *value)
{
	char *text;

	if (arguments->n >= ARGUMENTS_MAX)
		return -E2BIG;
	if (asprintf(&text, format, value) < 0)
		return -ENOMEM;
	arguments->list[arguments->n++] = text;
	return 0;
}

int arguments_add_module(struct arguments *arguments, const char *value)
{
	arguments->module = arguments->n;
	return arguments_add(arguments, "%s", value);
}

int arguments_add_contact(struct arguments *arguments, const char *start)
{
	arguments->contact = arguments->n;
	return arguments_add(arguments, "%s", start);
}

/* A parameter that was not given gets the value that swap needs. */
static int add_unless_given(struct arguments *arguments, const struct settings *settings, const char *format,
			    const char *key, const char *value)
{
	return settings_param(settings, key) ? 0 : arguments_add(arguments, format, value);
}

int arguments_add_params(struct arguments *arguments, const struct settings *settings, const char *memory,
			 const char *stats)
{
	int r = 0;

	for (size_t i = 0; i < settings->n_params; i++)
		r = r ? r : arguments_add(arguments, "%s", settings->params[i]);
	r = r ? r : add_unless_given(arguments, settings, "memory=%s", "memory", memory);
	r = r ? r : add_unless_given(arguments, settings, "lock=%s", "lock", "yes");
	return r ? r : add_unless_given(arguments, settings, "stats=%s", "stats", stats);
}

void arguments_free(struct arguments *arguments)
{
	for (unsigned i = 0; i < arguments->n; i++)
		free(arguments->list[i]);
	*arguments = (struct arguments){.n = 0};
}

bool arguments_match(const struct arguments *arguments, const char *module, const char *text, size_t bytes)
{
	size_t at = 0;

	for (unsigned i = 0; i < arguments->n; i++) {
		const char *argument = text + at;
		bool may_differ = i == 0 || (arguments->contact && i == arguments->contact);
		size_t length = strnlen(argument, bytes - at);

		/* Each argument ends with a NUL. */
		if (at + length >= bytes)
			return false;
		may_differ |= arguments->module && i == arguments->module && strcmp(argument, module) == 0;
		if (!may_differ && strcmp(arguments->list[i], argument) != 0)
			return false;
		at += length + 1;
	}
	return at == bytes;
}
