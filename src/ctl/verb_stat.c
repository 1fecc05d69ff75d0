/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsblkctl stat: the figures of zram's files mm_stat and io_stat, by their names and in their order, as the kernel's documentation lists them
 * (Documentation/admin-guide/blockdev/zram.rst). What reads these files of zram reads --format zram.
 */
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/report.h"
#include "ctl/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 4096

/* In zram's order. */
static const char *const mm_stat[] = {
	"orig_data_size", "compr_data_size", "mem_used_total", "mem_limit",        "mem_used_max",
	"same_pages",     "pages_compacted", "huge_pages",     "huge_pages_since",
};
static const char *const io_stat[] = {"failed_reads", "failed_writes", "invalid_io", "notify_free"};

#define MM_STAT (sizeof mm_stat / sizeof mm_stat[0])
#define IO_STAT (sizeof io_stat / sizeof io_stat[0])

static uint64_t figure(struct json_object *statistics, const char *name)
{
	/* zram counts the blocks of discards. */
	if (strcmp(name, "notify_free") == 0)
		return member_number(statistics, "discard_bytes") / BLOCK;
	return member_number(statistics, name);
}

/* Widths are those of the kernel, byte for byte: newer ones print a plain 0 for invalid_io, which cannot happen. */
static void print_as_zram(struct json_object *statistics, bool mm, bool io)
{
	for (size_t i = 0; mm && i < MM_STAT; i++)
		printf("%8" PRIu64 "%c", figure(statistics, mm_stat[i]), i + 1 < MM_STAT ? ' ' : '\n');
	if (io)
		printf("%8" PRIu64 " %8" PRIu64 " 0 %8" PRIu64 "\n", figure(statistics, "failed_reads"),
		       figure(statistics, "failed_writes"), figure(statistics, "notify_free"));
}

static struct json_object *file_object(struct json_object *statistics, const char *const *names, size_t n)
{
	struct json_object *file = json_object_new_object();

	for (size_t i = 0; i < n; i++)
		member_put_number(file, names[i], figure(statistics, names[i]));
	return file;
}

static bool is_of_zram(const char *name)
{
	for (size_t i = 0; i < MM_STAT; i++)
		if (strcmp(name, mm_stat[i]) == 0)
			return true;
	for (size_t i = 0; i < IO_STAT; i++)
		if (strcmp(name, io_stat[i]) == 0)
			return true;
	return false;
}

static void add_other(void *opaque, const char *name, struct json_object *value)
{
	if (!is_of_zram(name))
		json_object_object_add(opaque, name, json_object_get(value));
}

/* All the server counts beside. */
static struct json_object *other_object(struct json_object *statistics)
{
	struct json_object *others = json_object_new_object();

	member_each(statistics, add_other, others);
	return others;
}

static struct json_object *device_object(struct json_object *statistics)
{
	struct json_object *device = json_object_new_object();

	json_object_object_add(device, "mm_stat", file_object(statistics, mm_stat, MM_STAT));
	json_object_object_add(device, "io_stat", file_object(statistics, io_stat, IO_STAT));
	json_object_object_add(device, "zsblk", other_object(statistics));
	return device;
}

static void print_figure(void *opaque, const char *name, struct json_object *value)
{
	printf("  %-20s %s\n", name, json_object_get_string(value));
}

static void print_file(void *opaque, const char *file, struct json_object *figures)
{
	printf("%s\n", file);
	member_each(figures, print_figure, NULL);
}

static int stat_one(const struct call *call, struct connection *connection, struct report *report)
{
	const char *format = call->options->format;
	struct json_object *reply = NULL, *statistics, *device;
	int r = connection_call(connection, CONNECTION_SERVER, "GetStatistics", NULL, &reply);

	if (r)
		return connection_complain(connection, r);
	statistics = member_object(reply, "statistics");
	if (format) {
		print_as_zram(statistics, strcmp(format, "io_stat") != 0, strcmp(format, "mm_stat") != 0);
	} else {
		device = device_object(statistics);
		if (options_has(call->options, OPTION_JSON)) {
			report_add(report, connection, device);
		} else {
			report_heading(report, connection);
			member_each(device, print_file, NULL);
			json_object_put(device);
		}
	}
	json_object_put(reply);
	return EXIT_DONE;
}

int verb_stat(const struct call *call)
{
	const char *format = call->options->format;
	struct report report;
	int worst = EXIT_DONE;

	if (format && strcmp(format, "zram") != 0 && strcmp(format, "mm_stat") != 0 && strcmp(format, "io_stat") != 0)
		return complain(EXIT_WRONG_USE, "--format %.60s: give zram, mm_stat or io_stat", format);
	if (format && options_has(call->options, OPTION_JSON))
		return complain(EXIT_WRONG_USE, "give --format or --json, not both");
	report_init(&report, call);
	for (size_t i = 0; i < call->n_connections; i++)
		worst = exit_worse(worst, stat_one(call, call->connections[i], &report));
	return exit_worse(worst, report_end(&report));
}
