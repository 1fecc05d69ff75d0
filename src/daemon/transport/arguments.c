/* SPDX-License-Identifier: BSD-3-Clause */
/* The arguments of servers. See arguments.h. */
#include "daemon/transport/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of "size=", with a number of bytes. */
#define SIZE_ARGUMENT 32u

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

int arguments_add_device(struct arguments *arguments)
{
	arguments->device = arguments->n;
	return arguments_add(arguments, "%s", "");
}

/* A parameter that was not given gets the value that swap needs. */
static int add_unless_given(struct arguments *arguments, const struct settings *settings, const char *format,
			    const char *key, const char *value)
{
	return settings_param(settings, key) ? 0 : arguments_add(arguments, format, value);
}

/* The segment, which is made before there is a server, has its largest size. */
static bool is_of_segment(const char *param)
{
	return strncmp(param, "max-size=", 9) == 0;
}

static bool is_size(const char *argument)
{
	return strncmp(argument, "size=", 5) == 0;
}

/* With room for any size that the device may get. */
static int add_size(struct arguments *arguments, const char *param)
{
	char padded[SIZE_ARGUMENT];
	int r;

	memset(padded, ' ', sizeof padded - 1);
	padded[sizeof padded - 1] = '\0';
	arguments->size = arguments->n;
	r = arguments_add(arguments, "%s", strlen(param) < sizeof padded ? padded : param);
	if (!r)
		strcpy(arguments->list[arguments->size], param);
	return r;
}

void arguments_set_size(struct arguments *arguments, uint64_t bytes)
{
	if (arguments->size && bytes)
		snprintf(arguments->list[arguments->size], SIZE_ARGUMENT, "size=%" PRIu64, bytes);
}

int arguments_add_params(struct arguments *arguments, const struct settings *settings, const char *memory,
			 const char *stats)
{
	int r = 0;

	for (size_t i = 0; !r && i < settings->n_params; i++) {
		const char *param = settings->params[i];

		if (!is_of_segment(param))
			r = is_size(param) ? add_size(arguments, param) : arguments_add(arguments, "%s", param);
	}
	r = r ? r : add_unless_given(arguments, settings, "memory=%s", "memory", memory);
	r = r ? r : add_unless_given(arguments, settings, "lock=%s", "lock", "yes");
	return r ? r : add_unless_given(arguments, settings, "stats=%s", "stats", stats);
}

/* Not what only one server may have: the segment, of its size, the lock on memory, the reserve and the statistics. */
static bool is_for_rehearsal(const char *param)
{
	static const char *const others[] = {"memory=", "size=", "max-size=", "lock=", "reserve=", "stats="};

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (strncmp(param, others[i], strlen(others[i])) == 0)
			return false;
	return true;
}

int arguments_add_trial_params(struct arguments *arguments, const struct settings *settings)
{
	static const char *const own[] = {"memory=anon", "size=16M", "lock=no", "reserve=0"};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof own / sizeof own[0]; i++)
		r = arguments_add(arguments, "%s", own[i]);
	for (size_t i = 0; !r && i < settings->n_params; i++)
		if (is_for_rehearsal(settings->params[i]))
			r = arguments_add(arguments, "%s", settings->params[i]);
	return r;
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

		if (arguments->device && i == arguments->device) {
			at += length > 2 && strncmp(argument, "--", 2) == 0 ? length + 1 : 0;
			continue;
		}
		/* Each argument ends with a NUL. */
		if (at + length >= bytes)
			return false;
		may_differ |= arguments->size && i == arguments->size && is_size(argument);
		may_differ |= arguments->module && i == arguments->module && strcmp(argument, module) == 0;
		if (!may_differ && strcmp(arguments->list[i], argument) != 0)
			return false;
		at += length + 1;
	}
	return at == bytes;
}
