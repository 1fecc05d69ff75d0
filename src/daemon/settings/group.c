/* SPDX-License-Identifier: BSD-3-Clause */
/* A group by its name. See group.h. */
#include "daemon/settings/group.h"

#include "text/number.h"

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int group_find(const char *file, const char *text, gid_t *group)
{
	const struct group *entry;
	int64_t number;
	FILE *f;

	*group = GROUP_NONE;
	/* The largest number stands for none. */
	if (number_parse(text, 0, UINT32_MAX - 1, &number) == 0) {
		*group = (gid_t)number;
		return 0;
	}
	f = fopen(file, "re");
	while (f && *group == GROUP_NONE && (entry = fgetgrent(f)))
		if (strcmp(entry->gr_name, text) == 0)
			*group = entry->gr_gid;
	if (f)
		fclose(f);
	return *group == GROUP_NONE ? -ENOENT : 0;
}
