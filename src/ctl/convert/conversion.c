/* SPDX-License-Identifier: BSD-3-Clause */
/* From a configuration of zram to one of zsblk: what both formats need. See conversion.h. */
#include "ctl/convert/conversion.h"

#include <stdarg.h>
#include <string.h>

#define BLANKS " \t\r\n"

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

bool conversion_line(FILE *file, char line[CONVERSION_LINE])
{
	size_t n = 0;
	int c = fgetc(file);

	if (c == EOF)
		return false;
	for (; c != EOF && c != '\n'; c = fgetc(file)) {
		if (n < CONVERSION_LINE - 1)
			line[n++] = (char)((c < ' ' && c != '\t' && c != '\r') || c == 0x7f ? '?' : c);
	}
	line[n] = '\0';
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
