/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices that a command line names. See named.h. */
#include "ctl/named.h"

#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/place.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Take the connection, which may be NULL for lack of memory. */
static int add(struct named *named, struct connection *connection)
{
	if (!connection)
		return complain(EXIT_FAILED, "no memory");
	named->connections[named->n++] = connection;
	return EXIT_DONE;
}

static int make_room(struct named *named, size_t n)
{
	named->connections = calloc(n ? n : 1, sizeof(struct connection *));
	return named->connections ? EXIT_DONE : complain(EXIT_FAILED, "no memory");
}

/* EXIT_DONE without names if there are none. */
static int read_names(char ***names, size_t *n)
{
	struct complaint why;
	int code = EXIT_DONE;

	*n = 0;
	*names = place_names(&code, &why);
	if (!*names && code)
		return complain(code, "%s", why.text);
	while (*names && (*names)[*n])
		++*n;
	return EXIT_DONE;
}

static int find_all(struct named *named, const struct options *options)
{
	char **names;
	size_t n;
	int r = read_names(&names, &n);

	if (!r)
		r = make_room(named, n);
	for (size_t i = 0; !r && i < n; i++)
		r = add(named, connection_of_instance(names[i], options->timeout_s));
	place_free_names(names);
	return r;
}

/* Does the instance serve the device of this path, which has no links in it? */
static bool serves(struct connection *connection, const char *path)
{
	struct json_object *description = NULL;
	bool is_it;

	if (connection_call(connection, CONNECTION_SERVER, "GetDescription", NULL, &description))
		return false;
	is_it = strcmp(member_text(description, "device"), path) == 0;
	json_object_put(description);
	return is_it;
}

/* /dev/disk/by-... are links to devices. */
static int find_device(struct named *named, const struct options *options, const char *word)
{
	char path[PATH_MAX], **names;
	size_t n;
	int r = read_names(&names, &n);
	bool found = false;

	if (r)
		return r;
	if (!realpath(word, path))
		r = complain(EXIT_NOT_RUNNING, "%s is not there", word);
	for (size_t i = 0; !r && !found && i < n; i++) {
		struct connection *connection = connection_of_instance(names[i], options->timeout_s);

		found = connection && serves(connection, path);
		if (found || !connection)
			r = add(named, connection);
		else
			connection_free(connection);
	}
	if (!r && !found)
		r = complain(EXIT_NOT_RUNNING, "%s is served by no instance that answers; zsblkctl list shows them",
			     word);
	place_free_names(names);
	return r;
}

int named_find(struct named *named, const struct options *options, char **words, size_t n)
{
	int r;

	*named = (struct named){0};
	if (!options->control && !n)
		return find_all(named, options);
	r = make_room(named, n);
	if (!r && options->control)
		return add(named, connection_of_socket(options->control, options->timeout_s));
	for (size_t i = 0; !r && i < n; i++)
		r = words[i][0] == '/' ? find_device(named, options, words[i])
				       : add(named, connection_of_instance(words[i], options->timeout_s));
	return r;
}

void named_free(struct named *named)
{
	for (size_t i = 0; i < named->n; i++)
		connection_free(named->connections[i]);
	free(named->connections);
	*named = (struct named){0};
}
