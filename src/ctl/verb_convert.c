/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl convert: a configuration of zram-generator or zramswap, printed as one of zsblk. It asks no server, and changes nothing. */
#include "ctl/complain.h"
#include "ctl/convert/conversion.h"
#include "ctl/exit.h"
#include "ctl/verbs.h"

#include <errno.h>
#include <string.h>

/* Bytes. Nobody has a configuration of a MiB; /dev/zero has no end. */
#define LONGEST ((size_t)1 << 20)

typedef int convert_fn(struct conversion *conversion, FILE *file);

/* By what the first line that says something looks like: [zram0], or ALGO=lz4. NULL: there is none, or neither. */
static convert_fn *by_contents(FILE *file)
{
	char buffer[CONVERSION_LINE] = "", *line = buffer;
	unsigned number = 0;

	while (conversion_line(NULL, file, &number, buffer)) {
		line = conversion_trim(buffer);
		if (*line && *line != '#' && *line != ';')
			break;
		*line = '\0';
	}
	if (*line == '[' || strncmp(line, "set!", 4) == 0)
		return generator_convert;
	return *line && line[strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")] == '=' ? zramswap_convert : NULL;
}

/* A file that has its usual name can say nothing but defaults. */
static convert_fn *choose(const char *path, FILE *file)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (strcmp(name, "zramswap") == 0)
		return zramswap_convert;
	return strncmp(name, "zram-generator.conf", strlen("zram-generator.conf")) == 0 ? generator_convert
											: by_contents(file);
}

/* What goes into a pipe cannot be read twice: all of it, in a file of our own. NULL, with errno. */
static FILE *copy_of(FILE *file)
{
	FILE *copy = tmpfile();
	char buffer[4096];
	size_t n, all = 0;
	int error;

	while (copy && all <= LONGEST && (n = fread(buffer, 1, sizeof buffer, file))) {
		all += n;
		if (fwrite(buffer, 1, n, copy) != n)
			break;
	}
	if (!copy)
		return NULL;
	if (!ferror(file) && !ferror(copy) && all <= LONGEST) {
		rewind(copy);
		return copy;
	}
	error = all > LONGEST ? EFBIG : errno;
	fclose(copy);
	errno = error;
	return NULL;
}

static int convert(struct conversion *conversion, const char *path, FILE *file)
{
	convert_fn *run = choose(path, file);
	int r;

	if (!run)
		return complain(
			EXIT_FAILED,
			"%s: this is neither a zram-generator.conf, with a section [zram0], nor a configuration of zramswap",
			conversion->path);
	rewind(file);
	r = run(conversion, file);
	return r ? r : conversion->lost ? EXIT_WARNED : EXIT_DONE;
}

int verb_convert(const struct call *call)
{
	const char *path = call->words[0];
	char shown[CONVERSION_SHOWN];
	struct conversion conversion = {
		.path = shown,
		.device = call->n_words > 1 ? call->words[1] : NULL,
		.out = stdout,
		.said = stderr,
	};
	FILE *file = fopen(path, "re"), *copy = file ? copy_of(file) : NULL;
	int r, error = errno;

	conversion_show(path, shown);
	if (copy) {
		r = convert(&conversion, path, copy);
		fclose(copy);
	} else {
		r = complain(EXIT_FAILED, "%s cannot be read: %s", shown, strerror(error));
	}
	if (file)
		fclose(file);
	return r;
}
