/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A group by its name. Only /etc/group is read: what else a system asks for groups (nsswitch.conf(5)) would be loaded into a process all of
 * whose memory is locked, and may wait for a network, or for the device.
 */
#ifndef GROUP_H
#define GROUP_H

#include <sys/types.h>

#define GROUP_NONE ((gid_t)-1)

/* `text`: a name or a number. 0; -ENOENT: there is no such group in `file` ("/etc/group"), or no such file. */
int group_find(const char *file, const char *text, gid_t *group);
/* The same of numbers only, and no file is read: for those who must not wait for one. 0 or -EINVAL. */
int group_number(const char *text, gid_t *group);

#endif
