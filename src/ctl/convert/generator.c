/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From zram-generator.conf(5), the configuration of systemd's zram-generator. Each section [zramN] is a device; other sections count for
 * nothing there. The last of several values of a key is the one that counts.
 */
#include "ctl/complain.h"
#include "ctl/convert/conversion.h"
#include "ctl/exit.h"
#include "text/number.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of zram-generator, in MiB. */
#define USUAL_SIZE     "min(ram / 2, 4096)"
#define USUAL_FRACTION "0.5"
#define USUAL_MAXIMUM  "4096"
/* Of expressions in zsblk.conf(5). */
#define EXPRESSION_LONGEST 100u
#define NUMBER_LONGEST     20u
#define DEVICES_MOST       64u

enum key {
	KEY_HOST_LIMIT,
	KEY_OLD_HOST_LIMIT,
	KEY_SIZE,
	KEY_FRACTION,
	KEY_MAXIMUM,
	KEY_ALGORITHM,
	KEY_RESIDENT_LIMIT,
	KEY_WRITEBACK,
	KEY_PRIORITY,
	KEY_MOUNT_POINT,
	KEY_FS_TYPE,
	KEY_OPTIONS,
	KEYS,
};

static const char *const names[KEYS] = {
	[KEY_HOST_LIMIT] = "host-memory-limit",
	[KEY_OLD_HOST_LIMIT] = "memory-limit",
	[KEY_SIZE] = "zram-size",
	[KEY_FRACTION] = "zram-fraction",
	[KEY_MAXIMUM] = "max-zram-size",
	[KEY_ALGORITHM] = "compression-algorithm",
	[KEY_RESIDENT_LIMIT] = "zram-resident-limit",
	[KEY_WRITEBACK] = "writeback-device",
	[KEY_PRIORITY] = "swap-priority",
	[KEY_MOUNT_POINT] = "mount-point",
	[KEY_FS_TYPE] = "fs-type",
	[KEY_OPTIONS] = "options",
};

/* A section. */
struct device {
	char name[16]; /* "zram0" */
	char *values[KEYS];
	unsigned lines[KEYS]; /* 0: not given */
};

struct generator {
	struct conversion *conversion;
	struct device devices[DEVICES_MOST];
	unsigned n;
	struct device *current; /* the section that lines belong to; NULL: none that counts */
	bool is_top;            /* before the first section */
};

/* ------------------------------------------------------------------ lines */

static struct device *find_device(struct generator *generator, const char *name)
{
	for (unsigned i = 0; i < generator->n; i++)
		if (strcmp(generator->devices[i].name, name) == 0)
			return &generator->devices[i];
	return NULL;
}

static bool is_device(const char *name)
{
	return strncmp(name, "zram", 4) == 0 && name[4] && strlen(name) < 10 &&
	       !name[4 + strspn(name + 4, "0123456789")];
}

static void take_heading(struct generator *generator, unsigned line, char *name)
{
	name[strcspn(name, "]")] = '\0';
	generator->is_top = false;
	generator->current = is_device(name) ? find_device(generator, name) : NULL;
	if (generator->current || !is_device(name))
		return;
	if (generator->n == DEVICES_MOST) {
		conversion_lose(generator->conversion, line, "[%s]: more than %u devices", name, DEVICES_MOST);
		return;
	}
	generator->current = &generator->devices[generator->n++];
	snprintf(generator->current->name, sizeof generator->current->name, "%s", name);
}

static void take_pair(struct generator *generator, unsigned line, const char *key, const char *value)
{
	struct device *device = generator->current;

	for (int i = 0; i < KEYS; i++)
		if (strcmp(names[i], key) == 0) {
			free(device->values[i]);
			device->values[i] = strdup(value);
			device->lines[i] = device->values[i] ? line : 0;
			return;
		}
	conversion_lose(generator->conversion, line, "zram-generator has no key '%.40s'", key);
}

static void take_line(struct generator *generator, unsigned number, char *line)
{
	char *equals;

	line = conversion_trim(line);
	if (!*line || *line == '#' || *line == ';')
		return;
	if (*line == '[') {
		take_heading(generator, number, line + 1);
		return;
	}
	equals = strchr(line, '=');
	if (generator->is_top && strncmp(line, "set!", 4) == 0) {
		conversion_lose(generator->conversion, number,
				"'%.60s': zsblk runs no program for a size; put its result where it is used", line);
	} else if (!equals && generator->current) {
		conversion_lose(generator->conversion, number, "'%.60s' is no KEY = VALUE", line);
	} else if (generator->current) {
		*equals = '\0';
		take_pair(generator, number, conversion_trim(line), conversion_trim(equals + 1));
	}
}

/* ------------------------------------------------------------------ sizes */

/* Digits, and perhaps a point between them. 0 if it is no number. */
static size_t number_length(const char *text)
{
	size_t whole = strspn(text, "0123456789"), all = whole;

	if (whole && text[whole] == '.')
		all += 1 + strspn(text + whole + 1, "0123456789");
	return all == whole + 1 || text[all] == '.' ? 0 : all;
}

static bool is_number(const char *text)
{
	size_t length = number_length(text);

	return length && length <= NUMBER_LONGEST && !text[length];
}

/* A number that is not above 0, such as 0.0. */
static bool is_nothing(const char *text)
{
	bool is_negative = *text == '-';

	text += is_negative;
	return is_number(text) && (is_negative || !text[strspn(text, "0.")]);
}

/* zram-generator makes no device of size 0. False, and said why: this is none. */
static bool is_made(const struct conversion *conversion, const struct device *device)
{
	bool is_old = device->lines[KEY_FRACTION] || device->lines[KEY_MAXIMUM];

	for (enum key key = KEY_SIZE; key <= KEY_MAXIMUM; key++)
		if (device->lines[key] && is_nothing(device->values[key]) && is_old == (key != KEY_SIZE)) {
			complain(EXIT_FAILED, "%s:%u: %s = %.40s, so zram-generator makes no device", conversion->path,
				 device->lines[key], names[key], device->values[key]);
			return false;
		}
	return true;
}

/*
 * Does an expression mean the same in zsblk? Both take a number alone for MiB. But zram-generator has powers of 1000 as suffixes, and
 * more functions.
 */
static bool is_common(const char *text)
{
	bool is_number_before = false;

	if (strlen(text) > EXPRESSION_LONGEST || !*text)
		return false;
	while (*text) {
		size_t letters = 0, digits = number_length(text);

		while (isalpha((unsigned char)text[letters]) || text[letters] == '_')
			letters++;
		if (letters &&
		    (is_number_before || letters != 3 ||
		     (strncmp(text, "ram", 3) != 0 && strncmp(text, "min", 3) != 0 && strncmp(text, "max", 3) != 0)))
			return false;
		if (!letters && !digits && !strchr("+-*/(), \t", *text))
			return false;
		is_number_before = digits;
		text += letters ? letters : digits ? digits : 1;
	}
	return true;
}

/* A size under the name `ours`; false: it was lost. */
static bool put_size(struct conversion *conversion, const struct device *device, enum key key, const char *ours)
{
	const char *value = device->values[key];

	if (is_common(value)) {
		conversion_put(conversion, ours, "%s", value);
		return true;
	}
	conversion_lose(
		conversion, device->lines[key],
		"%s = %.80s: zsblk's expressions have numbers, ram, + - * / ( ), min and max, and suffixes are powers of 1024",
		names[key], value);
	return false;
}

/* The two older keys take the place of zram-size. */
static void put_old_size(struct conversion *conversion, const struct device *device)
{
	const char *fraction = device->lines[KEY_FRACTION] ? device->values[KEY_FRACTION] : USUAL_FRACTION;
	const char *maximum = device->lines[KEY_MAXIMUM] ? device->values[KEY_MAXIMUM] : USUAL_MAXIMUM;
	bool has_maximum = strcmp(maximum, "none") != 0;

	if (!is_number(fraction) || (has_maximum && !is_number(maximum))) {
		conversion_lose(conversion, device->lines[is_number(fraction) ? KEY_MAXIMUM : KEY_FRACTION],
				"'%.40s' is no number; the default size is taken",
				is_number(fraction) ? maximum : fraction);
		conversion_put(conversion, "size", "%s", USUAL_SIZE);
	} else if (has_maximum) {
		conversion_put(conversion, "size", "min(ram * %s, %s)", fraction, maximum);
	} else {
		conversion_put(conversion, "size", "ram * %s", fraction);
	}
}

static void put_sizes(struct conversion *conversion, const struct device *device)
{
	if (device->lines[KEY_FRACTION] || device->lines[KEY_MAXIMUM])
		put_old_size(conversion, device);
	else if (!device->lines[KEY_SIZE] || !put_size(conversion, device, KEY_SIZE, "size"))
		conversion_put(conversion, "size", "%s", USUAL_SIZE);
	if (device->lines[KEY_RESIDENT_LIMIT] && !is_nothing(device->values[KEY_RESIDENT_LIMIT]))
		(void)put_size(conversion, device, KEY_RESIDENT_LIMIT, "mem-limit");
}

/* ------------------------------------------------------------------ the algorithm */

static void put_level(struct conversion *conversion, unsigned line, const char *name, const char *ours,
		      const char *text)
{
	int64_t level;

	if (strcmp(name, ours) == 0 && number_parse(text, -1000, 1000, &level) == 0 &&
	    conversion_has_level(ours, level))
		conversion_put(conversion, "level", "%" PRId64, level);
	else
		conversion_lose(conversion, line, "level=%.20s of %s: %s has no such level; its default is taken", text,
				name, ours);
}

/* The parameters of an algorithm, with commas between them. */
static void put_parameters(struct conversion *conversion, unsigned line, const char *name, const char *ours,
			   char *parameters)
{
	char *next = parameters, *one;

	while ((one = strsep(&next, ","))) {
		one = conversion_trim(one);
		if (strncmp(one, "level=", 6) == 0)
			put_level(conversion, line, name, ours, one + 6);
		else if (*one)
			conversion_lose(conversion, line, "%.40s of %s: zsblk has no such parameter", one, name);
	}
}

/* "zstd(level=3) lz4(type=idle)": the first compresses what is written. */
static void put_algorithm(struct conversion *conversion, const struct device *device)
{
	unsigned line = device->lines[KEY_ALGORITHM];
	char name[40] = "", parameters[80] = "";
	const char *text = device->values[KEY_ALGORITHM], *ours;
	int end = 0, end_of_parameters = 0;

	if (sscanf(text, " %39[^( \t]%n(%79[^)])%n", name, &end, parameters, &end_of_parameters) < 1)
		return;
	ours = conversion_algorithm(conversion, line, name);
	if (ours)
		conversion_put(conversion, "algorithm", "%s", ours);
	if (ours && *parameters)
		put_parameters(conversion, line, name, ours, parameters);
	text += end_of_parameters ? end_of_parameters : end;
	text += strspn(text, " \t");
	if (*text)
		conversion_lose(
			conversion, line,
			"%.60s: zsblk does not recompress by such a list; see cold and frozen-after in zsblk.conf(5)",
			text);
}

/* ------------------------------------------------------------------ what it is for */

static void put_swap(struct conversion *conversion, const struct device *device)
{
	int64_t priority;

	if (device->lines[KEY_PRIORITY] && number_parse(device->values[KEY_PRIORITY], -1, 32767, &priority) == 0)
		conversion_put(conversion, "swap-priority", "%" PRId64, priority);
	else if (device->lines[KEY_PRIORITY])
		conversion_lose(conversion, device->lines[KEY_PRIORITY],
				"swap-priority = %.40s is no number from -1 to 32767", device->values[KEY_PRIORITY]);
	if (device->lines[KEY_OPTIONS] && strcmp(device->values[KEY_OPTIONS], "discard") != 0)
		conversion_lose(conversion, device->lines[KEY_OPTIONS],
				"options = %.60s: swap on zsblk has discard, and no others",
				device->values[KEY_OPTIONS]);
}

/* Of a file system. It becomes a part of a program's name, mkfs.TYPE. */
static bool is_type(const char *type)
{
	size_t length = 0;

	while (isalnum((unsigned char)type[length]) || (type[length] && strchr("._-", type[length])))
		length++;
	return length && !type[length] && conversion_fits("fs-type", type) && strcmp(type, "swap") != 0;
}

/* An absolute path other than /. */
static bool is_mount_point(const char *path)
{
	return path[0] == '/' && path[strspn(path, "/")] && conversion_fits("mount-point", path);
}

static void put_options(struct conversion *conversion, unsigned line, const char *options)
{
	if (strpbrk(options, " \t") || !conversion_fits("options", options))
		conversion_lose(conversion, line, "options = %.60s: a short list without blanks and comments is needed",
				options);
	else
		/* No options at all: an empty value would be none of ours. */
		conversion_put(conversion, "options", "%s", *options ? options : "defaults");
}

static void put_mount(struct conversion *conversion, const struct device *device)
{
	const char *path = device->values[KEY_MOUNT_POINT];
	const char *type = device->lines[KEY_FS_TYPE] ? device->values[KEY_FS_TYPE] : "ext2";

	if (!is_mount_point(path)) {
		conversion_lose(
			conversion, device->lines[KEY_MOUNT_POINT],
			"mount-point = %.80s: a short absolute path without a comment sign is needed; the device is left to others",
			path);
	} else if (!is_type(type)) {
		conversion_lose(
			conversion, device->lines[KEY_FS_TYPE],
			"fs-type = %.40s: a type that there is an mkfs for is needed; the device is left to others",
			type);
	} else {
		conversion_put(conversion, "mount-point", "%s", path);
		conversion_put(conversion, "fs-type", "%s", type);
		if (device->lines[KEY_OPTIONS])
			put_options(conversion, device->lines[KEY_OPTIONS], device->values[KEY_OPTIONS]);
		return;
	}
	conversion_put(conversion, "use", "nothing");
}

static void put_use(struct conversion *conversion, const struct device *device)
{
	const char *type = device->lines[KEY_FS_TYPE] ? device->values[KEY_FS_TYPE] : "swap";

	if (device->lines[KEY_MOUNT_POINT] && *device->values[KEY_MOUNT_POINT]) {
		put_mount(conversion, device);
	} else if (strcmp(type, "swap") == 0) {
		put_swap(conversion, device);
	} else {
		conversion_lose(
			conversion, device->lines[KEY_FS_TYPE],
			"fs-type = %.40s without a mount-point: zsblk leaves such a device as it is; call mkfs.%.40s yourself",
			type, type);
		conversion_put(conversion, "use", "nothing");
	}
}

static void lose_rest(struct conversion *conversion, const struct device *device)
{
	static const enum key limits[] = {KEY_HOST_LIMIT, KEY_OLD_HOST_LIMIT};

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		if (device->lines[limits[i]] && strcmp(device->values[limits[i]], "none") != 0)
			conversion_lose(
				conversion, device->lines[limits[i]],
				"%s = %.40s: zsblk does not look at how much memory a machine has; the device is there on all",
				names[limits[i]], device->values[limits[i]]);
	if (device->lines[KEY_WRITEBACK] && *device->values[KEY_WRITEBACK])
		conversion_lose(
			conversion, device->lines[KEY_WRITEBACK],
			"writeback-device = %.80s: nothing is written there; what zsblk does with cold data is in zsblk.conf(5)",
			device->values[KEY_WRITEBACK]);
}

/* ------------------------------------------------------------------ the file */

/* The device that is meant; NULL: there is none, or it cannot be told, which was said. */
static const struct device *choose(struct generator *generator)
{
	const struct conversion *conversion = generator->conversion;
	char all[300] = "";
	size_t length = 0;

	for (unsigned i = 0; i < generator->n && length < sizeof all; i++)
		length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", i ? ", " : "",
					   generator->devices[i].name);
	if (!generator->n)
		complain(EXIT_FAILED, "%s: there is no section [zramN], so zram-generator makes no device",
			 conversion->path);
	else if (conversion->device && !find_device(generator, conversion->device))
		complain(EXIT_WRONG_USE, "%s: there is no [%.40s]; there is %s", conversion->path, conversion->device,
			 all);
	else if (!conversion->device && generator->n > 1)
		complain(EXIT_WRONG_USE, "%s: it has several devices, and a file of zsblk has one; say which: %s",
			 conversion->path, all);
	else
		return conversion->device ? find_device(generator, conversion->device) : &generator->devices[0];
	return NULL;
}

static void free_devices(struct generator *generator)
{
	for (unsigned i = 0; i < generator->n; i++)
		for (int key = 0; key < KEYS; key++)
			free(generator->devices[i].values[key]);
}

int generator_convert(struct conversion *conversion, FILE *file)
{
	struct generator generator = {.conversion = conversion, .is_top = true};
	const struct device *device;
	char line[CONVERSION_LINE];
	unsigned number = 0;

	while (conversion_line(conversion, file, &number, line))
		take_line(&generator, number, line);
	device = choose(&generator);
	if (device && !is_made(conversion, device)) {
		free_devices(&generator);
		return EXIT_FAILED;
	}
	if (device) {
		fprintf(conversion->out, "# What [%s] of %s says, in the words of zsblk.conf(5).\n", device->name,
			conversion->path);
		put_sizes(conversion, device);
		if (device->lines[KEY_ALGORITHM])
			put_algorithm(conversion, device);
		put_use(conversion, device);
		lose_rest(conversion, device);
	}
	free_devices(&generator);
	return device ? EXIT_DONE : generator.n ? EXIT_WRONG_USE : EXIT_FAILED;
}
