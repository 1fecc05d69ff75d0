/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of configuration files: one setter for each, and the table of all. See settings.h.
 *
 * A setter checks what can be told from its own value. What depends on other keys is left to settings_check.c, since keys come in
 * any order.
 */
#include "daemon/settings/expression.h"
#include "daemon/settings/settings.h"
#include "daemon/settings/settings_cold.h"
#include "segment/segment.h"
#include "text/number.h"
#include "zsblk.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SOCKETS       64u
#define MAX_THREADS       64u
#define MAX_SECONDS       86400u
#define MIN_PROBE         100u
#define MAX_PROBE         600000u
#define MAX_PRIORITY      32767
#define MAX_DEVICE_DIGITS 6
/* More than this part of memory, held for nothing, is a mistake in the unit (G for M). */
#define MOST_RECOVERY_SHARE 4

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

/* ------------------------------------------------------------------ values */

static int no_memory(struct wrong *wrong)
{
	wrong_say(wrong, "no memory");
	return -ENOMEM;
}

static int keep(char **at, const char *value, struct wrong *wrong)
{
	return settings_string(at, value) < 0 ? no_memory(wrong) : 0;
}

static int number(const char *key, const char *value, int64_t min, int64_t max, int64_t *n, struct wrong *wrong)
{
	if (number_parse(value, min, max, n) == 0)
		return 0;
	return wrong_say(wrong, "%s = %.80s: a whole number from %" PRId64 " to %" PRId64 " is needed", key, value, min,
			 max);
}

static int natural(const char *key, const char *value, unsigned min, unsigned max, unsigned *at, struct wrong *wrong)
{
	int64_t n;
	int r = number(key, value, min, max, &n, wrong);

	if (r == 0)
		*at = (unsigned)n;
	return r;
}

/* Seconds with up to three decimals. */
static bool parse_milliseconds(const char *value, unsigned *ms)
{
	size_t whole = strspn(value, DIGITS), decimals;
	unsigned scale = 100;

	if (whole == 0 || whole > 6)
		return false;
	*ms = (unsigned)strtoul(value, NULL, 10) * 1000;
	if (!value[whole])
		return true;
	decimals = strspn(value + whole + 1, DIGITS);
	if (value[whole] != '.' || decimals == 0 || decimals > 3 || value[whole + 1 + decimals])
		return false;
	for (size_t i = 0; i < decimals; i++, scale /= 10)
		*ms += (unsigned)(value[whole + 1 + i] - '0') * scale;
	return true;
}

static int add_param(struct settings *settings, const char *key, const char *value, struct wrong *wrong)
{
	switch (settings_add_param(settings, key, value)) {
	case 0:
		return 0;
	case -EEXIST:
		return wrong_say(wrong, "%s = %.80s: the %s is given already, as %.80s; give it once", key, value, key,
				 settings_param(settings, key));
	case -E2BIG:
		return wrong_say(wrong, "%s = %.80s: more than %d parameters of the plugin; leave some out", key, value,
				 SETTINGS_MAX_PARAMS);
	default:
		return no_memory(wrong);
	}
}

/* ------------------------------------------------------------------ one setter for each key */

struct value {
	const char *key; /* as it was given: it may be an alias */
	const char *text;
};

static int set_bytes(struct settings *settings, const char *key, uint64_t bytes, struct wrong *wrong)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, bytes);
	return add_param(settings, key, text, wrong);
}

static int parse_bytes(struct settings *settings, struct value value, uint64_t *bytes, struct wrong *wrong)
{
	struct wrong why = {""};
	int r = expression_bytes(value.text, settings->ram_bytes, bytes, &why);

	return r < 0 ? wrong_say(wrong, "%s = %.360s", value.key, why.text) : 0;
}

static int set_size(struct settings *settings, struct value value, struct wrong *wrong)
{
	uint64_t bytes;
	int r = parse_bytes(settings, value, &bytes, wrong);

	if (r < 0)
		return r;
	if (bytes < ZSBLK_BLOCK_SIZE)
		return wrong_say(wrong, "%s = %.80s is %" PRIu64 " bytes; the least is one block, %u bytes", value.key,
				 value.text, bytes, ZSBLK_BLOCK_SIZE);
	return set_bytes(settings, "size", bytes - bytes % ZSBLK_BLOCK_SIZE, wrong);
}

/* The daemon makes the segment with it, and servers find it there. */
static int set_max_size(struct settings *settings, struct value value, struct wrong *wrong)
{
	uint64_t bytes;
	int r = parse_bytes(settings, value, &bytes, wrong);

	return r < 0 ? r : set_bytes(settings, "max-size", bytes - bytes % ZSBLK_BLOCK_SIZE, wrong);
}

static int set_mem_limit(struct settings *settings, struct value value, struct wrong *wrong)
{
	uint64_t bytes;
	int r = parse_bytes(settings, value, &bytes, wrong);

	return r < 0 ? r : set_bytes(settings, "mem-limit", bytes, wrong);
}

static int set_reserve(struct settings *settings, struct value value, struct wrong *wrong)
{
	uint64_t bytes;
	int r = parse_bytes(settings, value, &bytes, wrong);

	return r < 0 ? r : set_bytes(settings, "reserve", bytes, wrong);
}

static int set_recovery_reserve(struct settings *settings, struct value value, struct wrong *wrong)
{
	uint64_t bytes, most = settings->ram_bytes / MOST_RECOVERY_SHARE;
	int r = parse_bytes(settings, value, &bytes, wrong);

	if (r < 0)
		return r;
	if (bytes > most)
		return wrong_say(wrong,
				 "%s = %.80s is %" PRIu64
				 " bytes of memory, held for the case that a server dies; use at most "
				 "%" PRIu64 ", a quarter of this machine's",
				 value.key, value.text, bytes, most);
	settings->recovery_reserve = bytes;
	return 0;
}

static int set_level(struct settings *settings, struct value value, struct wrong *wrong)
{
	int64_t level;
	/* Which levels an algorithm has, the plugin knows. */
	int r = number(value.key, value.text, -1000, 1000, &level, wrong);

	return r < 0 ? r : add_param(settings, "level", value.text, wrong);
}

/* NAME or NAME(level=N), as zram-generator has it; that takes several of them, for recompression.
 */
static int set_algorithm(struct settings *settings, struct value value, struct wrong *wrong)
{
	char name[32] = "", level[16] = "";
	int end = 0, end_of_level = 0, r;

	sscanf(value.text, "%31[a-zA-Z0-9_-] %n( level = %15[-0-9] ) %n", name, &end, level, &end_of_level);
	if (!*name || (value.text[end] && (!end_of_level || value.text[end_of_level])))
		return wrong_say(wrong, "%s = %.80s: one algorithm is needed, such as zstd or zstd(level=3)", value.key,
				 value.text);
	r = add_param(settings, "algorithm", name, wrong);
	/* A drop-in may have given a level, or taken this one back. */
	if (r == 0 && *level && !(settings->settled & settings_key_bit("level")))
		r = set_level(settings, (struct value){"level", level}, wrong);
	return r;
}

static int set_memory(struct settings *settings, struct value value, struct wrong *wrong)
{
	struct segment_spec spec;

	if (strcmp(value.text, "anon") == 0)
		return wrong_say(wrong, "memory = anon: what is stored would be lost with the server; shm:KEY or "
					"shm:id=N is needed");
	if (segment_parse(value.text, &spec) < 0 || spec.kind != SEGMENT_SHM)
		return wrong_say(wrong,
				 "memory = %.80s: shm:KEY is needed, with a number other than 0 such as "
				 "shm:0x7a73, or shm:id=N of a segment that exists",
				 value.text);
	return add_param(settings, "memory", value.text, wrong);
}

/* "/dev/nbd0": the kernel's own way to write it, so that it can be compared. */
static bool is_device(const char *path, const char *start)
{
	const char *digits = path + strlen(start);
	size_t n;

	if (strncmp(path, start, strlen(start)) != 0)
		return false;
	n = strspn(digits, DIGITS);
	return n > 0 && n <= MAX_DEVICE_DIGITS && !digits[n] && (digits[0] != '0' || n == 1);
}

static int set_device(struct settings *settings, struct value value, struct wrong *wrong)
{
	if (is_device(value.text, "/dev/nbd") || is_device(value.text, "/dev/ublkb"))
		return keep(&settings->device, value.text, wrong);
	return wrong_say(wrong, "device = %.80s: the whole device is needed, such as /dev/nbd0 or /dev/ublkb0",
			 value.text);
}

static int set_transport(struct settings *settings, struct value value, struct wrong *wrong)
{
	static const char *const transports[] = {[SETTINGS_TRANSPORT_AUTO] = "auto",
						 [SETTINGS_TRANSPORT_UBLK] = "ublk",
						 [SETTINGS_TRANSPORT_NBD] = "nbd"};

	for (int transport = SETTINGS_TRANSPORT_AUTO; transport <= SETTINGS_TRANSPORT_NBD; transport++)
		if (strcmp(value.text, transports[transport]) == 0) {
			settings->transport = (enum settings_transport)transport;
			return 0;
		}
	return wrong_say(wrong, "transport = %.80s: auto, ublk or nbd is needed", value.text);
}

static int set_use(struct settings *settings, struct value value, struct wrong *wrong)
{
	static const char *const uses[] = {
		[SETTINGS_USE_NOTHING] = "nothing", [SETTINGS_USE_SWAP] = "swap", [SETTINGS_USE_MOUNT] = "mount"};

	for (int use = SETTINGS_USE_NOTHING; use <= SETTINGS_USE_MOUNT; use++)
		if (strcmp(value.text, uses[use]) == 0) {
			settings->use = (enum settings_use)use;
			return 0;
		}
	return wrong_say(wrong, "use = %.80s: nothing, swap or mount is needed", value.text);
}

/* A key implies a use, unless `use` is given. settings_check() finds contradictions. */
static void imply(struct settings *settings, enum settings_use use)
{
	if (!settings_given(settings, "use"))
		settings->use = use;
}

static int set_swap_priority(struct settings *settings, struct value value, struct wrong *wrong)
{
	int64_t priority;
	int r = number(value.key, value.text, -1, MAX_PRIORITY, &priority, wrong);

	if (r == 0) {
		settings->swap_priority = (int)priority;
		imply(settings, SETTINGS_USE_SWAP);
	}
	return r;
}

static int set_tune(struct settings *settings, struct value value, struct wrong *wrong)
{
	settings->tune = strcmp(value.text, "yes") == 0;
	if (settings->tune || strcmp(value.text, "no") == 0)
		return 0;
	return wrong_say(wrong, "tune = %.80s: yes or no is needed", value.text);
}

static int check_mount_point(const char *path, struct wrong *wrong)
{
	if (path[0] == '/' && path[strspn(path, "/")])
		return 0;
	return wrong_say(wrong, "mount-point = %.80s: an absolute path other than / is needed, such as /srv/fast",
			 path);
}

static int set_mount_point(struct settings *settings, struct value value, struct wrong *wrong)
{
	int r = check_mount_point(value.text, wrong);

	if (r < 0)
		return r;
	imply(settings, SETTINGS_USE_MOUNT);
	return keep(&settings->mount_point, value.text, wrong);
}

static int set_fs_type(struct settings *settings, struct value value, struct wrong *wrong)
{
	/* The type becomes a part of a program's name, mkfs.TYPE. */
	if (value.text[strspn(value.text, LETTERS DIGITS "._-")])
		return wrong_say(wrong, "fs-type = %.80s: a type that there is an mkfs for is needed, such as ext4",
				 value.text);
	if (strcmp(value.text, "swap") == 0)
		imply(settings, SETTINGS_USE_SWAP);
	return keep(&settings->fs_type, value.text, wrong);
}

static int set_options(struct settings *settings, struct value value, struct wrong *wrong)
{
	if (value.text[strcspn(value.text, " \t")])
		return wrong_say(wrong,
				 "options = %.80s: mount takes options without spaces, such as "
				 "noatime,discard",
				 value.text);
	return keep(&settings->mount_options, value.text, wrong);
}

static int set_connections(struct settings *settings, struct value value, struct wrong *wrong)
{
	return natural(value.key, value.text, 1, MAX_SOCKETS, &settings->connections, wrong);
}

static int set_threads(struct settings *settings, struct value value, struct wrong *wrong)
{
	return natural(value.key, value.text, 0, MAX_THREADS, &settings->threads, wrong);
}

static int set_request_timeout(struct settings *settings, struct value value, struct wrong *wrong)
{
	return natural(value.key, value.text, 1, MAX_SECONDS, &settings->request_timeout, wrong);
}

static int set_dead_timeout(struct settings *settings, struct value value, struct wrong *wrong)
{
	return natural(value.key, value.text, 1, MAX_SECONDS, &settings->dead_timeout, wrong);
}

static int set_probe_timeout(struct settings *settings, struct value value, struct wrong *wrong)
{
	unsigned ms;

	if (!parse_milliseconds(value.text, &ms) || ms < MIN_PROBE || ms > MAX_PROBE)
		return wrong_say(wrong,
				 "probe-timeout = %.80s: seconds from 0.1 to %u are needed, with at most "
				 "three decimals, such as 2.5",
				 value.text, MAX_PROBE / 1000);
	settings->probe_timeout = ms;
	return 0;
}

static int set_control_group(struct settings *settings, struct value value, struct wrong *wrong)
{
	/* A line of its own in the environment of servers. */
	if (!*value.text || value.text[strcspn(value.text, " \t\n=:")])
		return wrong_say(wrong, "%s = %.80s: the name of one group, or its number, is needed", value.key,
				 value.text);
	return keep(&settings->control_group, value.text, wrong);
}

static int set_background_cpu(struct settings *settings, struct value value, struct wrong *wrong)
{
	return natural(value.key, value.text, 1, 100, &settings->background_cpu, wrong);
}

static int set_cold(struct settings *settings, struct value value, struct wrong *wrong)
{
	return settings_cold_set(settings, value.key, value.text, wrong);
}

static int set_ublk_server(struct settings *settings, struct value value, struct wrong *wrong)
{
	return keep(&settings->ublk_server, value.text, wrong);
}

static int set_nbdkit(struct settings *settings, struct value value, struct wrong *wrong)
{
	return keep(&settings->nbdkit, value.text, wrong);
}

static int set_plugin(struct settings *settings, struct value value, struct wrong *wrong)
{
	return keep(&settings->plugin, value.text, wrong);
}

/* ------------------------------------------------------------------ all of them */

static const struct key {
	const char *name;
	const char *alias; /* what zram-generator calls it */
	int (*set)(struct settings *settings, struct value value, struct wrong *wrong);
} keys[] = {
	{"size", "zram-size", set_size},
	{"algorithm", "compression-algorithm", set_algorithm},
	{"level", NULL, set_level},
	{"max-size", NULL, set_max_size},
	{"mem-limit", "zram-resident-limit", set_mem_limit},
	{"reserve", NULL, set_reserve},
	{"memory", NULL, set_memory},
	{"device", NULL, set_device},
	{"transport", NULL, set_transport},
	{"use", NULL, set_use},
	{"swap-priority", NULL, set_swap_priority},
	{"tune", NULL, set_tune},
	{"mount-point", NULL, set_mount_point},
	{"fs-type", NULL, set_fs_type},
	{"options", NULL, set_options},
	{"connections", NULL, set_connections},
	{"threads", NULL, set_threads},
	{"request-timeout", NULL, set_request_timeout},
	{"dead-connection-timeout", NULL, set_dead_timeout},
	{"probe-timeout", NULL, set_probe_timeout},
	{"recovery-reserve", NULL, set_recovery_reserve},
	{"control-group", NULL, set_control_group},
	{"background-cpu", NULL, set_background_cpu},
	{"cold", NULL, set_cold},
	{"cold-after", NULL, set_cold},
	{"cold-algorithm", NULL, set_cold},
	{"frozen-after", NULL, set_cold},
	{"frozen-algorithm", NULL, set_cold},
	{"cold-rate", NULL, set_cold},
	{"cold-budget", NULL, set_cold},
	{"ublk-server", NULL, set_ublk_server},
	{"nbdkit", NULL, set_nbdkit},
	{"plugin", NULL, set_plugin},
};
#define N_KEYS (sizeof keys / sizeof keys[0])
_Static_assert(N_KEYS <= 64, "settings.given has a bit for each, and settings.lines a place");

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (strcmp(keys[i].name, name) == 0 || (keys[i].alias && strcmp(keys[i].alias, name) == 0))
			return &keys[i];
	return NULL;
}

static uint64_t key_bit(const struct key *key)
{
	return UINT64_C(1) << (key - keys);
}

uint64_t settings_key_bit(const char *key)
{
	const struct key *found = find_key(key);

	return found ? key_bit(found) : 0;
}

bool settings_given(const struct settings *settings, const char *key)
{
	const struct key *found = find_key(key);

	return found && settings->given & key_bit(found);
}

/* How many letters to add, drop or change to come from one to the other (Levenshtein); case is
 * none. */
static unsigned distance(const char *from, const char *to)
{
	unsigned row[40], length = (unsigned)strlen(to);

	for (unsigned j = 0; j <= length; j++)
		row[j] = j;
	for (unsigned i = 1; from[i - 1]; i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= length; j++) {
			int differs = tolower((unsigned char)from[i - 1]) != to[j - 1];
			unsigned change = corner + (unsigned)differs;

			corner = row[j];
			row[j] = corner < row[j - 1] ? corner + 1 : row[j - 1] + 1;
			row[j] = change < row[j] ? change : row[j];
		}
	}
	return row[length];
}

static int unknown_key(const char *name, struct wrong *wrong)
{
	const char *nearest = NULL;
	size_t length = strlen(name);
	unsigned best = ~0u;

	for (size_t i = 0; i < 2 * N_KEYS; i++) {
		const char *known = i < N_KEYS ? keys[i].name : keys[i - N_KEYS].alias;

		if (known && length < 40 && distance(name, known) < best) {
			best = distance(name, known);
			nearest = known;
		}
	}
	/* If more than a third of the letters differ, the nearest key is a guess, and no help. */
	if (nearest && best <= 1 + length / 3 && best < length)
		return wrong_say(wrong, "there is no key '%.80s'; do you mean %s?", name, nearest);
	return wrong_say(wrong, "there is no key '%.80s'; zsblk.conf(5) lists those there are", name);
}

int settings_set(struct settings *settings, const char *key, const char *value, struct wrong *wrong)
{
	const struct key *known = find_key(key);
	int r;

	if (!known)
		return unknown_key(key, wrong);
	if (settings->given & key_bit(known))
		return wrong_say(wrong, "%s = %.80s: %s is given already; give it once", key, value, known->name);
	if (!value[strspn(value, " \t")])
		return wrong_say(wrong, "%s has no value; give one, or leave the key out for its default", key);
	r = known->set(settings, (struct value){key, value}, wrong);
	if (r == 0)
		settings->given |= key_bit(known);
	return r;
}

void settings_came_from(struct settings *settings, const char *key, unsigned file, unsigned line)
{
	const struct key *found = find_key(key);

	settings->in_file[found - keys] = file;
	settings->lines[found - keys] = line;
}

const char *settings_file(const struct settings *settings, const char *key)
{
	const struct key *found = find_key(key);

	return found && settings->lines[found - keys] ? settings->files[settings->in_file[found - keys]]
						      : settings->path;
}

bool settings_has_key(const char *key)
{
	return find_key(key);
}

unsigned settings_line(const struct settings *settings, const char *key)
{
	const struct key *found = find_key(key);

	return found ? settings->lines[found - keys] : 0;
}
