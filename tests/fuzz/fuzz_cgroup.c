/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What /proc says of control groups and of where they are mounted: limits are found, or none are.
 *
 * Input: the text of /proc/self/cgroup, a NUL, and that of /proc/self/mountinfo.
 */
#include "fuzz/input.h"
#include "lib/base.h"

#include "process/cgroup.h"

#include <sys/mman.h>

static int make_file(const void *bytes, size_t len, char path[40])
{
	int fd = memfd_create("zsblk", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	snprintf(path, 40, "/proc/self/fd/%d", fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const uint8_t nothing[1];
	const uint8_t *end = len ? memchr(bytes, 0, len) : NULL, *rest = end ? end + 1 : nothing;
	size_t first = end ? (size_t)(end - bytes) : len, second = end ? len - first - 1 : 0;
	char cgroup_path[40], mountinfo_path[40], text[CGROUP_TEXT], told[200];
	int lowest = dup(STDIN_FILENO), fds[2];
	struct cgroup_found found;
	struct cgroup *cgroup;

	close(lowest);
	fds[0] = make_file(len ? bytes : nothing, first, cgroup_path);
	fds[1] = make_file(rest, second, mountinfo_path);
	cgroup = cgroup_open_from(cgroup_path, mountinfo_path);
	cgroup_look(cgroup, UINT64_MAX, text, &found);
	must((found.limit == CGROUP_NO_LIMIT) == !found.file);
	memset(told, 'x', sizeof told);
	cgroup_describe(cgroup, &found, told, sizeof told);
	must(strnlen(told, sizeof told) < sizeof told);
	cgroup_close(cgroup);
	close(fds[0]);
	close(fds[1]);
	/* No descriptor is left. */
	must(dup(STDIN_FILENO) == lowest);
	close(lowest);
	return 0;
}
