/* SPDX-License-Identifier: BSD-3-Clause */
/* What zsblkd was asked for: the struct, and what follows from the size of the machine. See settings.h. */
#include "daemon/settings/settings.h"

#include "daemon/settings/expression.h"
#include "text/name.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The reserve for pages to be stored, a 32nd of memory, is between these; bytes. */
#define LEAST_RESERVE (UINT64_C(8) << 20)
#define MOST_RESERVE  (UINT64_C(64) << 20)
/* What nbdkit and its libraries take to start, twice over. */
#define MOST_RECOVERY (UINT64_C(32) << 20)
/* Of a control group's limit, each of the two reserves takes at most this part. */
#define LIMIT_PART 8u

int settings_string(char **at, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

void settings_init(struct settings *settings)
{
	*settings = (struct settings){
		.use = SETTINGS_USE_NOTHING,
		.swap_priority = 100,
		.tune = true,
		.connections = 1,
		.request_timeout = 30,
		.dead_timeout = 3600,
		.probe_timeout = 3000,
		.recovery_reserve = MOST_RECOVERY,
		.fs_type = strdup("ext4"),
		.mount_options = strdup("discard"),
		.ublk_server = strdup("zsblk-ublk"),
		.nbdkit = strdup("nbdkit"),
		.plugin = strdup("zsblk"),
	};
}

void settings_free(struct settings *settings)
{
	for (size_t i = 0; i < settings->n_params; i++)
		free(settings->params[i]);
	free(settings->name);
	free(settings->device);
	free(settings->ublk_server);
	free(settings->mount_point);
	free(settings->fs_type);
	free(settings->mount_options);
	free(settings->control_group);
	free(settings->cold);
	free(settings->nbdkit);
	free(settings->plugin);
	free(settings->path);
	for (unsigned i = 0; i < settings->n_files; i++)
		free(settings->files[i]);
	free(settings->files);
	for (unsigned i = 0; i < settings->n_remarks; i++)
		free(settings->remarks[i].text);
	*settings = (struct settings){0};
}

int settings_remark(struct settings *settings, const char *key, const char *format, ...)
{
	struct settings_remark *remark = &settings->remarks[settings->n_remarks];
	va_list args;
	int length;

	if (settings->n_remarks == sizeof settings->remarks / sizeof settings->remarks[0])
		return 0;
	va_start(args, format);
	length = vasprintf(&remark->text, format, args);
	va_end(args);
	if (length < 0) {
		remark->text = NULL;
		return -ENOMEM;
	}
	snprintf(remark->key, sizeof remark->key, "%s", key);
	settings->n_remarks++;
	return 0;
}

bool settings_remark_text(const struct settings *settings, unsigned index, struct wrong *text)
{
	const struct settings_remark *remark = &settings->remarks[index];
	unsigned line;

	if (index >= settings->n_remarks)
		return false;
	line = settings_line(settings, remark->key);
	if (line)
		wrong_say(text, "%s:%u: %s", settings_file(settings, remark->key), line, remark->text);
	else
		wrong_say(text, "%s", remark->text);
	return true;
}

int settings_add_file(struct settings *settings, const char *path)
{
	char **more = reallocarray(settings->files, settings->n_files + 1, sizeof *more);

	if (!more)
		return -ENOMEM;
	settings->files = more;
	more[settings->n_files] = strdup(path);
	return more[settings->n_files] ? (int)settings->n_files++ : -ENOMEM;
}

/* The place of a parameter in the list; n_params: it is not there. */
static size_t find_param(const struct settings *settings, const char *key)
{
	size_t length = strlen(key), i = 0;

	while (i < settings->n_params &&
	       (strncmp(settings->params[i], key, length) != 0 || settings->params[i][length] != '='))
		i++;
	return i;
}

const char *settings_param(const struct settings *settings, const char *key)
{
	size_t i = find_param(settings, key);

	return i < settings->n_params ? settings->params[i] + strlen(key) + 1 : NULL;
}

/* Put a parameter in the place `i` of the list, or behind its end. */
static int put_param(struct settings *settings, size_t i, const char *key, const char *value)
{
	char *param;

	if (i == SETTINGS_MAX_PARAMS)
		return -E2BIG;
	if (asprintf(&param, "%s=%s", key, value) < 0)
		return -ENOMEM;
	free(settings->params[i]);
	settings->params[i] = param;
	settings->n_params += i == settings->n_params;
	return 0;
}

int settings_add_param(struct settings *settings, const char *key, const char *value)
{
	size_t i = find_param(settings, key);

	return i < settings->n_params ? -EEXIST : put_param(settings, i, key, value);
}

int settings_replace_param(struct settings *settings, const char *key, const char *value)
{
	return put_param(settings, find_param(settings, key), key, value);
}

/* ------------------------------------------------------------------ the name */

int settings_name(struct settings *settings, const char *name, struct wrong *wrong)
{
	if (!name_is_good(name))
		return wrong_say(wrong,
				 "the name '%.80s' cannot be: at most %d letters, digits, '.', '_' and '-' are "
				 "needed, neither . nor .., and no .conf.d at the end",
				 name, NAME_MAX_CHARS);
	if (settings_string(&settings->name, name) == 0)
		return 0;
	wrong_say(wrong, "no memory");
	return -ENOMEM;
}

/* ------------------------------------------------------------------ sizes that follow from the machine's */

uint64_t settings_param_bytes(const struct settings *settings, const char *key)
{
	const char *text = settings_param(settings, key);
	uint64_t bytes = 0;

	if (text && !text[strspn(text, "0123456789")])
		return strtoull(text, NULL, 10);
	if (text && expression_bytes(text, settings->ram_bytes, &bytes, NULL) < 0)
		return 0;
	return bytes;
}

void settings_default_recovery(struct settings *settings)
{
	uint64_t share = settings->ram_bytes / 32;

	if (settings->limit_bytes && share > settings->limit_bytes / LIMIT_PART)
		share = settings->limit_bytes / LIMIT_PART;
	if (!settings_given(settings, "recovery-reserve") && share && share < MOST_RECOVERY)
		settings->recovery_reserve = share & ~(uint64_t)(ZSBLK_BLOCK_SIZE - 1);
}

int settings_default_reserve(struct settings *settings)
{
	uint64_t limit = settings_param_bytes(settings, "mem-limit"), size = settings_param_bytes(settings, "size");
	uint64_t reserve = settings->ram_bytes / 32;
	char text[24];
	int r;

	reserve = reserve < LEAST_RESERVE ? LEAST_RESERVE : reserve > MOST_RESERVE ? MOST_RESERVE : reserve;
	if (limit && reserve > limit / 2)
		reserve = limit / 2;
	if (size && reserve > size / 4)
		reserve = size / 4;
	if (settings->limit_bytes && reserve > settings->limit_bytes / LIMIT_PART)
		reserve = settings->limit_bytes / LIMIT_PART;
	snprintf(text, sizeof text, "%" PRIu64, reserve & ~(uint64_t)(ZSBLK_BLOCK_SIZE - 1));
	r = settings_add_param(settings, "reserve", text);
	return r == -EEXIST ? 0 : r;
}
