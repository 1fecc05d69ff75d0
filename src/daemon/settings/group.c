/* SPDX-License-Identifier: BSD-3-Clause */
/* A group by its name. See group.h. */
#include "daemon/settings/group.h"

#include "text/number.h"

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int group_number(const char *text, gid_t *group)
{
	int64_t number;
	/* The largest number stands for none. */
	int r = number_parse(text, 0, UINT32_MAX - 1, &number);

	*group = r ? GROUP_NONE : (gid_t)number;
	return r;
}

int group_find(const char *file, const char *text, gid_t *group)
{
	const struct group *entry;
	FILE *f;

	if (group_number(text, group) == 0)
		return 0;
	f = fopen(file, "re");
	while (f && *group == GROUP_NONE && (entry = fgetgrent(f)))
		if (strcmp(entry->gr_name, text) == 0)
			*group = entry->gr_gid;
	if (f)
		fclose(f);
	return *group == GROUP_NONE ? -ENOENT : 0;
}
