/* SPDX-License-Identifier: BSD-3-Clause */
/* From a configuration of zram to one of zsblk: what both formats need. See conversion.h. */
#include "ctl/convert/conversion.h"

#include "varlink/message.h"

#include <stdarg.h>
#include <string.h>

#define BLANKS " \t\r\n"
/* Of zsblk.conf(5), in bytes. */
#define LINE_LONGEST 199u

/* ------------------------------------------------------------------ what is text */

/* Terminals take U+0080 to U+009F for the beginning of a command, as they take ESC. */
static bool is_control(const char *text, unsigned length)
{
	const unsigned char *at = (const unsigned char *)text;

	return (at[0] < ' ' && at[0] != '\t' && at[0] != '\r') || at[0] == 0x7f ||
	       (length == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

/* A ? for each byte that is no text. In place: it becomes no longer. */
static void clean(char *text)
{
	size_t room = strlen(text);

	while (*text) {
		unsigned length = varlink_character_length(text, room);

		if (!length || is_control(text, length)) {
			memset(text, '?', length ? length : 1);
			length = length ? length : 1;
		}
		text += length;
		room -= length;
	}
}

void conversion_show(const char *path, char shown[CONVERSION_SHOWN])
{
	size_t length = strlen(path);

	snprintf(shown, CONVERSION_SHOWN, "%s",
		 length < CONVERSION_SHOWN ? path : path + length - CONVERSION_SHOWN + 1);
	clean(shown);
	for (char *at = shown; (at = strpbrk(at, BLANKS)); at++)
		*at = *at == ' ' ? ' ' : '?';
}

/* ------------------------------------------------------------------ lines */

bool conversion_fits(const char *key, const char *value)
{
	return strlen(key) + strlen(" = ") + strlen(value) <= LINE_LONGEST && *value != '#' && *value != ';' &&
	       !strstr(value, " #") && !strstr(value, " ;") && !strstr(value, "\t#") && !strstr(value, "\t;");
}

void conversion_put(struct conversion *conversion, const char *key, const char *value, ...)
{
	va_list args;

	fprintf(conversion->out, "%s = ", key);
	va_start(args, value);
	vfprintf(conversion->out, value, args);
	va_end(args);
	fputc('\n', conversion->out);
}

void conversion_lose(struct conversion *conversion, unsigned line, const char *format, ...)
{
	va_list args;

	fprintf(conversion->said, "zsblkctl: %s:", conversion->path);
	if (line)
		fprintf(conversion->said, "%u:", line);
	fputc(' ', conversion->said);
	va_start(args, format);
	vfprintf(conversion->said, format, args);
	va_end(args);
	fputc('\n', conversion->said);
	conversion->lost++;
}

bool conversion_line(struct conversion *conversion, FILE *file, unsigned *number, char line[CONVERSION_LINE])
{
	size_t n = 0;
	int c = fgetc(file);

	if (c == EOF)
		return false;
	++*number;
	for (; c != EOF && c != '\n'; c = fgetc(file), n++)
		if (n < CONVERSION_LINE - 1)
			line[n] = (char)(c ? c : '?');
	line[n < CONVERSION_LINE ? n : CONVERSION_LINE - 1] = '\0';
	clean(line);
	if (n < CONVERSION_LINE)
		return true;
	/* Half a line could say something else. A comment says nothing. */
	if (conversion && !strchr("#;", line[strspn(line, BLANKS)]))
		conversion_lose(conversion, *number, "'%.40s' is longer than %d bytes", line, CONVERSION_LINE - 1);
	line[0] = '\0';
	return true;
}

char *conversion_trim(char *text)
{
	size_t length;

	text += strspn(text, BLANKS);
	length = strlen(text);
	while (length && strchr(BLANKS, text[length - 1]))
		text[--length] = '\0';
	return text;
}

/* ------------------------------------------------------------------ algorithms */

/* Those of the kernel's zram. */
static const struct {
	const char *name, *ours;
	const char *because; /* NULL: it is the same one */
} algorithms[] = {
	{"lz4", "lz4", NULL},
	{"lz4hc", "lz4hc", NULL},
	{"zstd", "zstd", NULL},
	{"lzo", "lz4", "zsblk has no lzo; lz4 compresses nearly as well and is quicker"},
	{"lzo-rle", "lz4", "zsblk has no lzo; lz4 compresses nearly as well and is quicker"},
	{"842", "lz4", "842 is for hardware of POWER"},
	{"deflate", "zstd", "zstd compresses as well and is quicker"},
};

const char *conversion_algorithm(struct conversion *conversion, unsigned line, const char *name)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
		if (strcmp(algorithms[i].name, name) != 0)
			continue;
		if (algorithms[i].because)
			conversion_lose(conversion, line, "algorithm %s: %s is taken instead: %s", name,
					algorithms[i].ours, algorithms[i].because);
		return algorithms[i].ours;
	}
	conversion_lose(conversion, line, "algorithm %.40s is not known; the default, lz4, is taken", name);
	return NULL;
}

bool conversion_has_level(const char *algorithm, int64_t level)
{
	/* As nbdkit-zsblk-plugin(1) has them. */
	static const struct {
		const char *name;
		int least, most;
	} levels[] = {{"lz4", 1, 256}, {"lz4hc", 1, 9}, {"zstd", -100, 22}};

	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
		if (strcmp(levels[i].name, algorithm) == 0)
			return level >= levels[i].least && level <= levels[i].most;
	return false;
}
