/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration: a file is refused with a reason, or gives settings that hold what settings.h promises, and which the
 * library that the plugin is made of accepts.
 *
 * Input: a byte of set-up, then the file. With bit 4 of the set-up its lines are parameters of the command line
 * instead.
 */
#include "fuzz/text.h"

#include "daemon/settings/config.h"
#include "zsblk.h"

#include <ctype.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NAMED       1u
#define WORDS       16u
#define RAM(set_up) ((set_up) >> 1 & 3)

static const uint64_t sizes_of_memory[] = {0, UINT64_C(64) << 20, UINT64_C(8) << 30, UINT64_C(64) << 40};

static bool in_range(unsigned value, unsigned least, unsigned most)
{
	return value >= least && value <= most;
}

static void check_settings(const struct settings *settings)
{
	size_t length = strlen(settings->name);

	must(in_range((unsigned)length, 1, 32) && !strchr(settings->name, '/') && strcmp(settings->name, ".") != 0 &&
	     strcmp(settings->name, "..") != 0);
	must(in_range(settings->connections, 1, 64) && in_range(settings->threads, 0, 64));
	must(in_range(settings->request_timeout, 1, 86400) && in_range(settings->dead_timeout, 1, 86400));
	must(in_range(settings->probe_timeout, 100, 600000));
	must(settings->swap_priority >= -1 && settings->swap_priority <= 32767);
	must((settings->use == SETTINGS_USE_MOUNT) == (settings->mount_point != NULL));
	must(!settings->mount_point || settings->mount_point[0] == '/');
	must(!strpbrk(settings->fs_type, "/ ") && !strpbrk(settings->mount_options, " \t"));
	must(!settings->device || strncmp(settings->device, "/dev/nbd", 8) == 0);
}

/* The parameters as the plugin gets them. */
static void check_words(const struct settings *settings)
{
	static const char *const sizes[] = {"size", "mem-limit", "reserve"};
	struct zsblk_params params;
	struct zsblk_why why;

	must(settings->n_params <= SETTINGS_MAX_PARAMS && !settings->params[settings->n_params]);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		const char *value = settings_param(settings, sizes[i]);

		must(!value || (*value && !value[strspn(value, "0123456789")]));
	}
	zsblk_params_init(&params);
	params.size = settings_param_bytes(settings, "size");
	params.mem_limit = settings_param_bytes(settings, "mem-limit");
	params.reserve = settings_param_bytes(settings, "reserve");
	/* Who asks for more than the device could need gets that, as from the server: a device may become smaller than its reserve, too. */
	must(params.reserve <= params.size || settings_given(settings, "reserve"));
	must(zsblk_params_check(&params, &why) == 0);
}

/* A file of root's, or ours, that nobody else can write. */
static int make_file(const char *text, size_t length)
{
	int fd = memfd_create("zsblk", MFD_CLOEXEC);

	must(fd >= 0 && fchmod(fd, 0600) == 0);
	must(write(fd, text, length) == (ssize_t)length);
	return fd;
}

static int read_file(struct settings *settings, uint64_t ram, const char *text, size_t length, struct wrong *wrong)
{
	int fd = make_file(text, length), r;
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	r = config_read(path, ram, settings, wrong);
	close(fd);
	return r;
}

/* As options.c has them. */
static int read_words(struct settings *settings, uint64_t ram, char *text, struct wrong *wrong)
{
	char *rest = NULL;

	settings->ram_bytes = ram;
	for (char *word = strtok_r(text, "\n", &rest); word; word = strtok_r(NULL, "\n", &rest)) {
		char *equals = strchr(word, '=');

		if (!equals || equals == word)
			return wrong_say(wrong, "no parameter");
		*equals = '\0';
		if (settings_add_param(settings, word, equals + 1) < 0)
			return wrong_say(wrong, "twice, or too many");
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = {bytes, len};
	unsigned set_up = (unsigned)take(&input, 1);
	uint64_t ram = sizes_of_memory[RAM(set_up)];
	size_t length = input.left;
	struct settings settings;
	struct wrong wrong = {""};
	char *text = take_text(&input);
	int r;

	settings_init(&settings);
	if (set_up & (NAMED | WORDS))
		must(settings_name(&settings, "fuzz", &wrong) == 0);
	r = set_up & WORDS ? read_words(&settings, ram, text, &wrong) : read_file(&settings, ram, text, length, &wrong);
	if (r == 0)
		r = settings_check(&settings, &wrong);
	must(r <= 0);
	if (r == 0) {
		check_settings(&settings);
		settings_default_recovery(&settings);
		must(set_up & WORDS ||
		     settings.recovery_reserve <= (ram && ram < UINT64_C(1) << 30 ? ram / 4 : 64u << 20) ||
		     settings_given(&settings, "recovery-reserve"));
		r = settings_default_reserve(&settings);
		must(r == 0 || (r == -E2BIG && set_up & WORDS));
		if (!(set_up & WORDS))
			check_words(&settings);
	} else if (!(set_up & WORDS)) {
		check_message(&wrong);
	}
	settings_free(&settings);
	free(text);
	return 0;
}
