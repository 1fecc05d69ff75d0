/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages to people. See say.h. */
#include "daemon/base/say.h"

#include "daemon/base/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char instance[40];
static int debug;
static int for_journal;
static unsigned dropped;

/* sd-daemon(3), systemd.exec(5): lines may begin with <level> if this is the very stream that systemd opened. */
static int is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

void say_init(const char *name, int verbose)
{
	snprintf(instance, sizeof instance, "%s", name);
	debug = verbose;
	for_journal = is_journal(STDERR_FILENO);
}

static void write_line(const char *line, size_t length)
{
	if (write(STDERR_FILENO, line, length) < 0)
		dropped++;
}

/* Without allocating, and in one write, so that lines of several processes do not mix. */
static size_t format_line(char *line, size_t size, enum say_level level, const char *format, va_list args)
{
	int at;

	if (for_journal)
		at = snprintf(line, size, "<%d>", level);
	else
		at = snprintf(line, size, instance[0] ? "zsblkd %s: " : "zsblkd%s: ", instance);
	at += vsnprintf(line + at, size - (size_t)at, format, args);
	if ((size_t)at > size - 2)
		at = (int)size - 2;
	line[at++] = '\n';
	return (size_t)at;
}

static void tell_of_dropped(void)
{
	unsigned missing = dropped;
	char line[80];

	dropped = 0;
	if (missing)
		write_line(line, (size_t)snprintf(line, sizeof line, "zsblkd: %u messages were dropped\n", missing));
}

void say(enum say_level level, const char *format, ...)
{
	char line[1024];
	va_list args;

	if (level == SAY_DEBUG && !debug)
		return;
	tell_of_dropped();
	va_start(args, format);
	write_line(line, format_line(line, sizeof line, level, format, args));
	va_end(args);
}

bool say_is_for_journal(void)
{
	return for_journal;
}

void say_with_fields(enum say_level level, const char *id, const struct say_field *fields, const char *format, ...)
{
	struct record record;
	char text[700];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!for_journal) {
		say(level, "%s", text);
		return;
	}
	tell_of_dropped();
	record_begin(&record);
	record_add(&record, "MESSAGE", "%s", text);
	record_add(&record, "PRIORITY", "%d", level);
	record_add(&record, "SYSLOG_IDENTIFIER", "zsblkd");
	record_add(&record, "MESSAGE_ID", "%s", id);
	record_add(&record, "ZSBLK_INSTANCE", "%s", instance);
	for (; fields->name; fields++)
		record_add(&record, fields->name, "%s", fields->value);
	record_end(&record);
	write_line(record.line, record.used);
}
