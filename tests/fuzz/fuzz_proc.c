/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What files of the kernel's, of the server's and of the folder say, or seem to say.
 *
 * Input: a byte for the reader, then the text.
 */
#include "fuzz/text.h"

#include "daemon/jobs/job_figures.h"
#include "daemon/kernel/device.h"
#include "daemon/kernel/maps.h"
#include "daemon/server/server.h"
#include "daemon/server/server_command.h"
#include "daemon/transport/transport.h"
#include "daemon/state/folder.h"
#include "segment/segment.h"
#include "process/spare.h"

static void read_mapping(char *line)
{
	const char *end = line + strlen(line);
	struct mapping mapping;

	if (!maps_parse(line, &mapping))
		return;
	must(mapping.range == line && strchr(mapping.range, '-'));
	must(mapping.path > line && mapping.path <= end && mapping.path[0] == '/');
	must(!strchr(mapping.path, '\n'));
}

static void read_server_name(char *name)
{
	uint64_t start;
	char again[60];
	pid_t pid;

	if (!folder_parse_server(name, &pid, &start))
		return;
	must(pid > 0);
	snprintf(again, sizeof again, "%d-%" PRIu64 ".server", (int)pid, start);
	must(strcmp(name, again) == 0);
}

static void read_statistics(char *stats)
{
	struct wrong text;

	memset(&text, 'x', sizeof text);
	job_figures_describe(stats, &text);
	check_message(&text);
}

/* What real-time tasks may take is more. */
static void read_zones(char *zones)
{
	must(spare_in_zones(zones, true) || !spare_in_zones(zones, false));
}

static void read_device(char *path)
{
	char written[DEVICE_PATH];
	int number = device_number(path, "/dev/nbd");

	if (number < 0)
		return;
	snprintf(written, sizeof written, "/dev/nbd%d", number);
	must(strcmp(written, path) == 0);
}

static void read_segment(char *memory)
{
	struct segment_spec spec;

	if (segment_parse(memory, &spec) == 0)
		must(spec.kind == SEGMENT_ANON || spec.kind == SEGMENT_SHM);
}

static void read_command_line(const uint8_t *bytes, size_t len)
{
	static struct server_command *command;
	struct settings settings;
	char *text = malloc(len ? len : 1);

	settings_init(&settings);
	if (!command) {
		must(settings_string(&settings.nbdkit, "/bin/true") == 0 &&
		     settings_add_param(&settings, "size", "64M") == 0);
		must(server_command_make(&command, &nbd_transport, &settings, "shm:0x7a73", "/run/x/stats",
					 "/run/x/control") == 0);
	}
	settings_free(&settings);
	memcpy(text, bytes, len);
	if (server_command_matches(command, text, len))
		must(len && !text[len - 1] && memmem(text, len, "--foreground", 13));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static void (*const readers[])(char *text) = {read_mapping, read_server_name, read_statistics,
						      read_zones,   read_device,      read_segment};
	struct input input = {bytes, len};
	unsigned reader = (unsigned)take(&input, 1) % (COUNT_OF(readers) + 1);
	char *text;

	if (reader == COUNT_OF(readers)) {
		read_command_line(input.at, input.left);
		return 0;
	}
	text = take_text(&input);
	readers[reader](text);
	free(text);
	return 0;
}
