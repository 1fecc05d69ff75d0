/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configurations. See config.h.
 *
 *   config_layers.c   which files there are
 *   config_file.c     the lines of one
 *   take_pair()       settings_set(); of what a file that counts more has said, in settings that nobody uses
 *
 * The file that counts most is read first: a key that is settled does not count any more in the others. Its values there have to be right
 * all the same, since they count again once the file above is gone.
 */
#include "daemon/settings/config.h"

#include "daemon/settings/config_file.h"
#include "daemon/settings/config_layers.h"
#include "daemon/settings/mistakes.h"
#include "daemon/settings/settings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".conf"

/* While the files of a configuration are read. */
struct layer {
	struct settings *settings;
	struct settings overruled; /* what this file says of keys that are settled: only looked at */
	unsigned file;             /* its number among those of the settings */
	bool is_drop_in;           /* an empty value takes back what files below it say */
	uint64_t emptied;          /* bits of keys that this file gives their defaults again */
};

static int take_pair(void *opaque, const char *key, const char *value, unsigned line, struct wrong *wrong)
{
	struct layer *layer = opaque;
	struct settings *settings = layer->settings;
	uint64_t bit = settings_key_bit(key);
	int r;

	if (layer->settings->settled & bit)
		settings = &layer->overruled;
	if (bit && !*value && layer->is_drop_in && !settings_given(settings, key)) {
		layer->emptied |= bit;
		return 0;
	}
	r = settings_set(settings, key, value, wrong);
	if (!r && settings == layer->settings)
		settings_came_from(settings, key, layer->file, line);
	return r;
}

static int name_after(const char *path, struct settings *settings, struct wrong *wrong)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t length = strlen(base), suffix = strlen(SUFFIX);
	struct wrong why = {""};
	char name[256];
	int r;

	if (length >= suffix && strcmp(base + length - suffix, SUFFIX) == 0)
		length -= suffix;
	snprintf(name, sizeof name, "%.*s", (int)length, base);
	r = settings_name(settings, name, &why);
	if (r < 0)
		wrong_say(wrong, "%s: %.250s", config_file_shown(path), why.text);
	return r;
}

/* From the last one, which counts most, to the main file. */
static void read_layers(const struct config_layers *layers, struct settings *settings, struct mistakes *mistakes)
{
	struct layer layer = {.settings = settings};

	for (size_t i = layers->n; i-- > 0 && (!mistakes->error || mistakes->tell);) {
		int file = settings_add_file(settings, config_file_shown(layers->paths[i]));

		if (file < 0) {
			mistakes_add(mistakes, file, "no memory");
			return;
		}
		layer.file = (unsigned)file;
		layer.is_drop_in = i > 0 || !layers->has_main;
		settings_init(&layer.overruled);
		layer.overruled.ram_bytes = settings->ram_bytes;
		config_file_read(layers->paths[i], take_pair, &layer, mistakes);
		settings_free(&layer.overruled);
		settings->settled = settings->given | layer.emptied;
		/* It can come with the algorithm. */
		if (settings_param(settings, "level"))
			settings->settled |= settings_key_bit("level");
	}
}

int config_read_all(const char *path, uint64_t ram_bytes, struct settings *settings, struct mistakes *mistakes)
{
	struct config_layers layers = {0};
	struct wrong wrong = {""};
	int r = settings_string(&settings->path, config_file_shown(path));

	if (r < 0)
		wrong_say(&wrong, "%s: no memory", config_file_shown(path));
	settings->ram_bytes = ram_bytes;
	/* Before anything can be wrong with it: it says whose configuration is missing. */
	if (r == 0 && !settings->name)
		r = name_after(path, settings, &wrong);
	if (r == 0)
		r = config_layers_find(&layers, path, &wrong);
	if (r < 0)
		mistakes_add(mistakes, r, wrong.text);
	else
		read_layers(&layers, settings, mistakes);
	config_layers_free(&layers);
	if (mistakes->error)
		return mistakes->error;
	if (settings->use == SETTINGS_USE_NOTHING && !settings_given(settings, "use"))
		settings->use = SETTINGS_USE_SWAP;
	return 0;
}

int config_read(const char *path, uint64_t ram_bytes, struct settings *settings, struct wrong *wrong)
{
	struct mistakes mistakes = {.tell = NULL};
	int r = config_read_all(path, ram_bytes, settings, &mistakes);

	if (r)
		wrong_say(wrong, "%s", mistakes.first.text);
	return r;
}
