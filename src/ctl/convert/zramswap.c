/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From /etc/default/zramswap, the configuration of Debian's zram-tools, which zramswap(1) has a shell read. Assignments of plain values are
 * understood; what the shell would compute is not, and nothing is run.
 */
#include "ctl/convert/conversion.h"
#include "ctl/exit.h"
#include "text/number.h"

#include <inttypes.h>
#include <string.h>

/* zramswap's defaults. */
#define SIZE_MIB 256
#define PRIORITY 100

struct zramswap {
	struct conversion *conversion;
	const char *algorithm; /* NULL: its default, lz4, which is ours, too */
	int64_t percent;       /* 0: not given */
	int64_t size_mib;
	int64_t priority;
};

/* The value as the shell would have it, if nothing is computed. NULL: something is. */
static char *unquoted(char *value)
{
	char quote = value[0];
	size_t length;

	if (quote == '"' || quote == '\'') {
		length = strcspn(value + 1, (char[]){quote, '\0'});
		if (value[1 + length] != quote || (value[2 + length] && !strchr(" \t;#", value[2 + length])))
			return NULL;
		value[1 + length] = '\0';
		value++;
	} else {
		value[strcspn(value, " \t;")] = '\0';
	}
	return value[strcspn(value, "$`\\\"'()|&<>")] ? NULL : value;
}

static void take_number(struct zramswap *zramswap, unsigned line, const char *key, const char *value, int64_t least,
			int64_t most, int64_t *number)
{
	/* An empty variable is none. */
	if (*value && number_parse(value, least, most, number) < 0)
		conversion_lose(zramswap->conversion, line, "%s=%.40s is no number from %" PRId64 " to %" PRId64, key,
				value, least, most);
}

static void take_variable(struct zramswap *zramswap, unsigned line, const char *key, const char *value)
{
	if (strcmp(key, "ALGO") == 0)
		zramswap->algorithm = *value ? conversion_algorithm(zramswap->conversion, line, value) : NULL;
	else if (strcmp(key, "PERCENT") == 0)
		take_number(zramswap, line, key, value, 1, 1000, &zramswap->percent);
	else if (strcmp(key, "SIZE") == 0)
		take_number(zramswap, line, key, value, 1, 16 << 20, &zramswap->size_mib);
	else if (strcmp(key, "PRIORITY") == 0)
		take_number(zramswap, line, key, value, -1, 32767, &zramswap->priority);
	else
		conversion_lose(zramswap->conversion, line, "%.40s: zramswap has no such setting", key);
}

static void take_line(struct zramswap *zramswap, unsigned number, char *line)
{
	char *equals, *value;

	line = conversion_trim(line);
	if (!*line || *line == '#')
		return;
	equals = strchr(line, '=');
	if (!equals || line[strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")] != '=') {
		conversion_lose(zramswap->conversion, number, "'%.60s' is no assignment of a variable, and is not run",
				line);
		return;
	}
	*equals = '\0';
	value = unquoted(equals + 1);
	if (value)
		take_variable(zramswap, number, line, value);
	else
		conversion_lose(zramswap->conversion, number,
				"%.40s: its value is the shell's to compute; write a plain value", line);
}

int zramswap_convert(struct conversion *conversion, FILE *file)
{
	struct zramswap zramswap = {.conversion = conversion, .size_mib = SIZE_MIB, .priority = PRIORITY};
	char line[CONVERSION_LINE];
	unsigned number = 0;

	while (conversion_line(conversion, file, &number, line))
		take_line(&zramswap, number, line);
	fprintf(conversion->out, "# What %s says, in the words of zsblk.conf(5).\n", conversion->path);
	if (zramswap.percent)
		conversion_put(conversion, "size", "ram * %" PRId64 " / 100", zramswap.percent);
	else
		conversion_put(conversion, "size", "%" PRId64 "M", zramswap.size_mib);
	if (zramswap.algorithm)
		conversion_put(conversion, "algorithm", "%s", zramswap.algorithm);
	conversion_put(conversion, "swap-priority", "%" PRId64, zramswap.priority);
	return EXIT_DONE;
}
