/* SPDX-License-Identifier: BSD-3-Clause */
/* Text for HTML and SVG. See markup.h. */
#include "bench/markup.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Characters from `first` to `last`. */
struct range {
	uint32_t first, last;
};

/* Control characters, surrogates, and what Unicode calls formats and noncharacters as far as fonts show nothing for them. */
static const struct range hidden[] = {
	{0x0000, 0x001f}, {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x061c, 0x061c},
	{0x180e, 0x180e}, {0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f},
	{0xd800, 0xdfff}, {0xfdd0, 0xfdef},   {0xfeff, 0xfeff},   {0xfff0, 0xfffb},
	{0xfffe, 0xffff}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}, {0xf0000, UINT32_MAX},
};

static bool is_hidden(uint32_t character)
{
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		if (character >= hidden[i].first && character <= hidden[i].last)
			return true;
	return false;
}

/* The bytes of the character at `text` (RFC 3629), or 0 if they are none. */
static unsigned decode(const unsigned char *text, uint32_t *character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned bytes = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : text[0] >= 0xc0 ? 2 : 0;

	if (bytes < 2) {
		*character = text[0];
		return bytes;
	}
	if (text[0] >= 0xf8)
		return 0;
	*character = text[0] & (0x7fu >> bytes);
	/* A NUL is no byte of a character: nothing behind the end is read. */
	for (unsigned i = 1; i < bytes; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (text[i] & 0x3f);
	}
	return *character < least[bytes] ? 0 : bytes;
}

static const char *entity_of(char c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void markup_text(FILE *out, const char *text)
{
	while (*text) {
		const char *entity = entity_of(*text);
		uint32_t character;
		unsigned bytes = decode((const unsigned char *)text, &character);

		if (entity)
			fputs(entity, out);
		else if (!bytes || is_hidden(character))
			fputc('?', out);
		else
			fwrite(text, 1, bytes, out);
		text += bytes ? bytes : 1;
	}
}

void markup_print(FILE *out, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	markup_text(out, text);
}

/* ------------------------------------------------------------------ commands */

static bool is_plain(const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%";

	return *word && !word[strspn(word, plain)];
}

/* Quoted as bash, ksh, zsh and POSIX.1-2024 read it; each byte that is not printable is octal. */
static void put_quoted(FILE *out, const char *word)
{
	markup_text(out, "$'");
	for (; *word; word++) {
		unsigned char c = (unsigned char)*word;

		if (c < 0x20 || c > 0x7e)
			fprintf(out, "\\%03o", c);
		else if (c == '\'' || c == '\\')
			markup_print(out, "\\%c", c);
		else
			markup_print(out, "%c", c);
	}
	markup_text(out, "'");
}

void markup_command(FILE *out, const char *const *words)
{
	for (unsigned i = 0; words[i]; i++) {
		if (i)
			fputc(' ', out);
		if (is_plain(words[i]))
			markup_text(out, words[i]);
		else
			put_quoted(out, words[i]);
	}
}
