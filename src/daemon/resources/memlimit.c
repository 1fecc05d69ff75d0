/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory limits of control groups. See memlimit.h. */
#include "daemon/resources/memlimit.h"

#include "daemon/base/say.h"
#include "machine/needs.h"

#include <errno.h>

uint64_t memlimit_smallest(void)
{
	struct cgroup *cgroup = cgroup_open();
	struct cgroup_found found;

	cgroup_look(cgroup, 0, NULL, &found);
	cgroup_close(cgroup);
	return found.limit == CGROUP_NO_LIMIT ? 0 : found.limit;
}

uint64_t memlimit_needed(const struct settings *settings, uint64_t limit)
{
	return needs_below_limit(settings->recovery_reserve + settings_param_bytes(settings, "reserve"),
				 settings_param_bytes(settings, "size"), limit);
}

unsigned memlimit_least_mib(const struct settings *settings)
{
	uint64_t limit = 0;

	/* The margin grows with the limit. */
	for (unsigned i = 0; i < 8; i++)
		limit = memlimit_needed(settings, limit);
	return (unsigned)((limit + (1u << 20) - 1) >> 20);
}

static bool is_enough(const struct settings *settings, const struct cgroup_found *found)
{
	return found->limit == CGROUP_NO_LIMIT || found->limit >= memlimit_needed(settings, found->limit);
}

int memlimit_check(const struct settings *settings, struct wrong *wrong)
{
	struct cgroup *cgroup = cgroup_open();
	struct cgroup_found found;
	char text[300];
	int r = 0;

	cgroup_look(cgroup, 0, NULL, &found);
	cgroup_describe(cgroup, &found, text, sizeof text);
	if (!is_enough(settings, &found)) {
		wrong_say(wrong,
			  "%.200s, and at least %u MiB are needed; raise it (MemoryMax= or MemoryHigh= of the unit or "
			  "its slice), or make "
			  "size, reserve or recovery-reserve smaller",
			  text, memlimit_least_mib(settings));
		r = -ENOMEM;
	}
	cgroup_close(cgroup);
	return r;
}

void memlimit_open(struct memlimit *memlimit)
{
	*memlimit = (struct memlimit){cgroup_open(), CGROUP_NO_LIMIT};
}

void memlimit_close(struct memlimit *memlimit)
{
	cgroup_close(memlimit->cgroup);
	memlimit->cgroup = NULL;
}

void memlimit_say(struct memlimit *memlimit, const struct settings *settings)
{
	struct cgroup_found found;
	char text[300];

	cgroup_look(memlimit->cgroup, 0, NULL, &found);
	if (found.limit == memlimit->known)
		return;
	memlimit->known = found.limit;
	cgroup_describe(memlimit->cgroup, &found, text, sizeof text);
	if (found.limit == CGROUP_NO_LIMIT)
		say(SAY_NOTICE, "there is no memory limit of a control group any more");
	else if (!is_enough(settings, &found))
		say(SAY_WARNING,
		    "%s, which is too little: at least %u MiB are needed, or a server may not come up again; raise it",
		    text, memlimit_least_mib(settings));
	else
		say(SAY_NOTICE, "%s: all memory of this instance stays below that; writes that would need more fail",
		    text);
}
