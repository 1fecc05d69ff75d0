/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration files. See config.h.
 *
 *   get_line(): counts lines, refuses what is no text and what is too long
 *   read_line(): without comment and blanks; refuses what is no section of ours and no KEY = VALUE
 *   take_pair(): settings_set()
 *
 * Nothing is read after the first error.
 */
#include "daemon/settings/config.h"

#include "daemon/settings/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION "[zsblk]"
#define SUFFIX  ".conf"
#define BLANKS  " \t\r\n"
/* Bytes of the longest line, without its end. */
#define LINE_LONGEST 199
/* Of a path that is longer, the end is shown: the message needs room too. */
#define PATH_SHOWN 120

struct reader {
	FILE *file;
	const char *path;
	struct settings *settings;
	struct wrong *wrong;
	unsigned line; /* the one that was read last */
	int error;     /* 0, or what config_read() will return */
};

/* ------------------------------------------------------------------ messages */

static const char *shown(const char *path)
{
	size_t length = strlen(path);

	return length > PATH_SHOWN ? path + length - PATH_SHOWN : path;
}

__attribute__((format(printf, 2, 3))) static void complain(struct reader *reader, const char *format, ...)
{
	struct wrong why;
	va_list args;

	va_start(args, format);
	vsnprintf(why.text, sizeof why.text, format, args);
	va_end(args);
	wrong_say(reader->wrong, "%s:%u: %.265s", shown(reader->path), reader->line, why.text);
	reader->error = -EINVAL;
}

/* ------------------------------------------------------------------ lines */

/* Up to the end of the line, which is not kept. False at the end of the file, or after an error. */
static bool get_line(struct reader *reader, char line[LINE_LONGEST + 1])
{
	size_t n = 0;
	int c = fgetc(reader->file);

	if (c == EOF)
		return false;
	reader->line++;
	for (; c != EOF && c != '\n'; c = fgetc(reader->file)) {
		if (c == '\0' || c == 0x7f || (c < ' ' && c != '\t' && c != '\r')) {
			complain(reader, "a byte 0x%02x; this is no text file", (unsigned)c);
			return false;
		}
		if (n == LINE_LONGEST) {
			complain(reader, "the line is longer than %d bytes; make it shorter", LINE_LONGEST);
			return false;
		}
		line[n++] = (char)c;
	}
	if (n > 0 && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
	return true;
}

/* A # or ; begins a comment at the start of a line and after a blank. */
static void cut_comment(char *line)
{
	for (char *at = line; *at; at++)
		if ((*at == '#' || *at == ';') && (at == line || strchr(BLANKS, at[-1]))) {
			*at = '\0';
			break;
		}
}

/* Take the first `n` characters away; there are as many. */
static void cut_first(char *line, size_t n)
{
	size_t length = strlen(line);

	memmove(line, line + n, length - n + 1);
}

static void cut_blanks(char *line)
{
	size_t n;

	cut_first(line, strspn(line, BLANKS));
	n = strlen(line);
	while (n > 0 && strchr(BLANKS, line[n - 1]))
		line[--n] = '\0';
}

static void check_shape(struct reader *reader, const char *line)
{
	if (strchr(line, '\r'))
		complain(reader, "a carriage return within the line; lines end with a line feed");
	else if (line[0] == '[' && strcmp(line, SECTION) != 0)
		complain(reader, "section %.80s is not known; there is only " SECTION ", and it can be left out", line);
	/* libinih would end the key there. */
	else if (line[0] != '[' && strchr(line, '=') && line[strcspn(line, ":=")] == ':')
		complain(reader, "'%.80s' has a ':' before the '='; write KEY = VALUE", line);
	else if (line[0] == '=')
		complain(reader, "'%.80s' has no key before the '='; write KEY = VALUE", line);
	else if (*line && line[0] != '[' && !strchr(line, '='))
		complain(reader, "'%.80s' has no '='; write KEY = VALUE", line);
}

/* What the next line says, which may be nothing. False at the end of the file, or after an error. */
static bool read_line(struct reader *reader, char line[LINE_LONGEST + 1])
{
	static const char bom[] = "\xef\xbb\xbf";

	if (reader->error || !get_line(reader, line))
		return false;
	if (reader->line == 1 && strncmp(line, bom, 3) == 0)
		cut_first(line, 3);
	cut_comment(line);
	cut_blanks(line);
	check_shape(reader, line);
	return !reader->error;
}

/* A line with a '=' in it. */
static void take_pair(struct reader *reader, char *line)
{
	char *value = strchr(line, '='), *key = line;
	struct wrong why = {""};
	int r;

	*value++ = '\0';
	cut_blanks(key);
	cut_blanks(value);
	r = settings_set(reader->settings, key, value, &why);
	if (r < 0) {
		complain(reader, "%s", why.text);
		reader->error = r;
	} else {
		settings_came_from(reader->settings, key, reader->line);
	}
}

/* ------------------------------------------------------------------ the file */

static int cannot_read(const char *path, int error, struct wrong *wrong)
{
	wrong_say(wrong, "%s: cannot be read: %s", shown(path), strerror(error));
	return -error;
}

/* Whoever can write it chooses a program that runs with the rights of zsblkd, often root's. */
static int check_file(const char *path, const struct stat *st, struct wrong *wrong)
{
	unsigned mode = (unsigned)st->st_mode & 07777;

	if (S_ISDIR(st->st_mode))
		return wrong_say(wrong, "%s: is a directory; name a file in it, such as %s/NAME" SUFFIX, shown(path),
				 shown(path));
	if (!S_ISREG(st->st_mode))
		return wrong_say(wrong, "%s: is no regular file", shown(path));
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return wrong_say(wrong,
				 "%s: belongs to user %u, who could have written anything into it; "
				 "it has to "
				 "be root's or your own",
				 shown(path), (unsigned)st->st_uid);
	if (mode & (S_IWGRP | S_IWOTH))
		return wrong_say(wrong, "%s: mode %04o lets %s write it; take that away with chmod go-w", shown(path),
				 mode, mode & S_IWOTH ? "everybody" : "a group");
	return 0;
}

static int open_file(const char *path, FILE **file, struct wrong *wrong)
{
	/* Without waiting for the other end of a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r = 0;
	struct stat st;

	if (fd < 0)
		return cannot_read(path, errno, wrong);
	if (fstat(fd, &st) < 0)
		r = cannot_read(path, errno, wrong);
	if (r == 0)
		r = check_file(path, &st, wrong);
	if (r == 0) {
		*file = fdopen(fd, "r");
		if (*file)
			return 0;
		r = cannot_read(path, errno, wrong);
	}
	close(fd);
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
		wrong_say(wrong, "%s: %.250s", shown(path), why.text);
	return r;
}

static int parse_lines(struct reader *reader)
{
	char line[LINE_LONGEST + 1];

	errno = 0;
	while (read_line(reader, line))
		if (*line && *line != '[')
			take_pair(reader, line);
	if (ferror(reader->file))
		return cannot_read(reader->path, errno ? errno : EIO, reader->wrong);
	return reader->error;
}

int config_read(const char *path, uint64_t ram_bytes, struct settings *settings, struct wrong *wrong)
{
	struct reader reader = {.path = path, .settings = settings, .wrong = wrong};
	int r = settings_string(&settings->path, shown(path));

	if (r < 0)
		wrong_say(wrong, "%s: no memory", shown(path));
	settings->ram_bytes = ram_bytes;
	/* Before anything can be wrong with it: it says whose configuration is missing. */
	if (r == 0 && !settings->name)
		r = name_after(path, settings, wrong);
	if (r == 0)
		r = open_file(path, &reader.file, wrong);
	if (r < 0)
		return r;
	if (r == 0)
		r = parse_lines(&reader);
	fclose(reader.file);
	if (r == 0 && settings->use == SETTINGS_USE_NOTHING && !settings_given(settings, "use"))
		settings->use = SETTINGS_USE_SWAP;
	return r;
}
