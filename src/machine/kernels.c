/* SPDX-License-Identifier: BSD-3-Clause */
/* Broken kernels. See kernels.h. */
#include "machine/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct number {
	unsigned major, minor, patch;
};

static const struct {
	struct number first, last;
	/* Ubuntu: of the package, behind the three numbers, which are the same for a whole series there. 0, 0: other kernels. */
	unsigned first_build, last_build;
	const char *reason;
} broken[] = {
	{{6, 17, 0}, {6, 17, 0}, 35, 40, "it crashes when a ublk device is made (Ubuntu 6.17.0-35 to 6.17.0-40)"},
	{{6, 18, 4}, {6, 18, 5}, 0, 0, "it crashes when a ublk device is made (Linux 6.18.4 and 6.18.5)"},
	{{6, 18, 40}, {6, 18, 40}, 0, 0, "it often never answers a control command (Linux 6.18.40)"},
	{{7, 0, 14}, {7, 0, 14}, 0, 0, "it often never answers a control command (Linux 7.0.14)"},
};

static bool is_below(struct number a, struct number b)
{
	if (a.major != b.major)
		return a.major < b.major;
	if (a.minor != b.minor)
		return a.minor < b.minor;
	return a.patch < b.patch;
}

/* Debian's releases leave the third number out in places; its versions have it: "#1 SMP Debian 6.12.94-1 (2026-01-01)". */
static bool parse(const char *release, const char *version, struct number *number, unsigned *build)
{
	const char *debian = strstr(version, "Debian ");
	int got = sscanf(release, "%u.%u.%u-%u", &number->major, &number->minor, &number->patch, build);

	if (got < 4)
		*build = 0;
	if (debian && sscanf(debian, "Debian %u.%u.%u", &number->major, &number->minor, &number->patch) == 3) {
		*build = 0;
		return true;
	}
	return got >= 3;
}

const char *kernels_verdict(const char *release, const char *version)
{
	struct number number;
	unsigned build;

	if (!parse(release, version, &number, &build))
		return NULL;
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		if (is_below(number, broken[i].first) || is_below(broken[i].last, number))
			continue;
		if (build >= broken[i].first_build && (!broken[i].last_build || build <= broken[i].last_build))
			return broken[i].reason;
	}
	return NULL;
}

bool kernels_begin_recovery_once(const char *release, const char *version)
{
	static const struct number safe = {6, 15, 0};
	struct number number;
	unsigned build;

	/* What cannot be told is a kernel of the old kind: the precaution costs nothing. */
	return !parse(release, version, &number, &build) || is_below(number, safe);
}
