/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One file of a configuration. See config_file.h.
 *
 *   open_file(): refuses a file that others could have written
 *   get_line(): counts lines, refuses what is no text and what is too long
 *   read_line(): without comment and blanks; refuses what is no section of ours and no KEY = VALUE
 *   take_pair(): cuts it into key and value
 */
#include "daemon/settings/config_file.h"

#include "daemon/settings/mistakes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION "[zsblk]"
#define BLANKS  " \t\r\n"
/* Bytes of the longest line, without its end. */
#define LINE_LONGEST 199
/* Of a path that is longer, the end is shown. */
#define PATH_SHOWN 120

struct reader {
	FILE *file;
	const char *path;
	struct mistakes *mistakes;
	unsigned line; /* the one that was read last */
	bool is_over;  /* nothing more is read */
};

/* ------------------------------------------------------------------ messages */

const char *config_file_shown(const char *path)
{
	size_t length = strlen(path);

	return length > PATH_SHOWN ? path + length - PATH_SHOWN : path;
}

static void add_mistake(struct reader *reader, int error, const char *reason)
{
	struct wrong all;

	wrong_say(&all, "%s:%u: %.265s", config_file_shown(reader->path), reader->line, reason);
	if (!mistakes_add(reader->mistakes, error, all.text))
		reader->is_over = true;
}

__attribute__((format(printf, 2, 3))) static void complain(struct reader *reader, const char *format, ...)
{
	struct wrong why;
	va_list args;

	va_start(args, format);
	vsnprintf(why.text, sizeof why.text, format, args);
	va_end(args);
	add_mistake(reader, -EINVAL, why.text);
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
			reader->is_over = true;
			return false;
		}
		if (n == LINE_LONGEST) {
			complain(reader, "the line is longer than %d bytes; make it shorter", LINE_LONGEST);
			reader->is_over = true;
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

/* Is it an empty line, a heading or KEY = VALUE? Otherwise that was said. */
static bool has_shape(struct reader *reader, const char *line)
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
	else
		return true;
	return false;
}

/* What the next line says; nothing if it is empty, a heading, or wrong. False at the end of the file, or when no more is to be read. */
static bool read_line(struct reader *reader, char line[LINE_LONGEST + 1])
{
	static const char bom[] = "\xef\xbb\xbf";

	if (reader->is_over || !get_line(reader, line))
		return false;
	if (reader->line == 1 && strncmp(line, bom, 3) == 0)
		cut_first(line, 3);
	cut_comment(line);
	cut_blanks(line);
	if (!has_shape(reader, line) || line[0] == '[')
		line[0] = '\0';
	return true;
}

/* A line with a '=' in it. */
static void take_pair(struct reader *reader, char *line, config_pair_fn *pair, void *opaque)
{
	char *value = strchr(line, '='), *key = line;
	struct wrong why = {""};
	int r;

	*value++ = '\0';
	cut_blanks(key);
	cut_blanks(value);
	r = pair(opaque, key, value, reader->line, &why);
	if (r < 0)
		add_mistake(reader, r, why.text);
}

/* ------------------------------------------------------------------ the file */

static int cannot_read(const char *path, int error, struct wrong *wrong)
{
	wrong_say(wrong, "%s: cannot be read: %s", config_file_shown(path), strerror(error));
	return -error;
}

static bool is_named_as_file(const char *path)
{
	const char *end = strrchr(path, '.');

	return end && strcmp(end, ".conf") == 0;
}

/* Whoever can write it chooses a program that runs with the rights of zsblkd, often root's. */
static int check_file(const char *path, const struct stat *st, struct wrong *wrong)
{
	unsigned mode = (unsigned)st->st_mode & 07777;

	if (S_ISDIR(st->st_mode) && is_named_as_file(path))
		return wrong_say(wrong,
				 "%s: is a directory, and a file is needed there; give the directory another name",
				 config_file_shown(path));
	if (S_ISDIR(st->st_mode))
		return wrong_say(wrong, "%s: is a directory; name a file in it, such as %s/NAME.conf",
				 config_file_shown(path), config_file_shown(path));
	if (!S_ISREG(st->st_mode))
		return wrong_say(wrong, "%s: is no regular file", config_file_shown(path));
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return wrong_say(wrong,
				 "%s: belongs to user %u, who could have written anything into it; "
				 "it has to "
				 "be root's or your own",
				 config_file_shown(path), (unsigned)st->st_uid);
	if (mode & (S_IWGRP | S_IWOTH))
		return wrong_say(wrong, "%s: mode %04o lets %s write it; take that away with chmod go-w",
				 config_file_shown(path), mode, mode & S_IWOTH ? "everybody" : "a group");
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

void config_file_read(const char *path, config_pair_fn *pair, void *opaque, struct mistakes *mistakes)
{
	struct reader reader = {.path = path, .mistakes = mistakes};
	char line[LINE_LONGEST + 1];
	struct wrong wrong = {""};
	int r = open_file(path, &reader.file, &wrong);

	if (r < 0) {
		mistakes_add(mistakes, r, wrong.text);
		return;
	}
	errno = 0;
	while (read_line(&reader, line))
		if (*line)
			take_pair(&reader, line, pair, opaque);
	if (ferror(reader.file)) {
		r = cannot_read(path, errno ? errno : EIO, &wrong);
		mistakes_add(mistakes, r, wrong.text);
	}
	fclose(reader.file);
}
