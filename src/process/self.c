/* SPDX-License-Identifier: BSD-3-Clause */
/* What this process asks of the kernel for itself. See self.h. */
#include "process/self.h"

#include "process/proc.h"
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57 /* Linux 5.6 */
#endif

/* The two flags that PR_SET_IO_FLUSHER sets, as /proc shows them. To ask with prctl() takes the right to set them. */
#define PF_IO_FLUSHER 0x00180000ul

bool self_has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

/* True if a parent has set the flag already: needed where this process may not set it. */
static bool is_io_flusher(void)
{
	char text[1024];
	unsigned long flags = 0;
	const char *fields = process_read_stat("/proc/thread-self/stat", text, sizeof text);

	/* The flags (9) come seventh after the name. */
	if (fields)
		sscanf(fields, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	return (flags & PF_IO_FLUSHER) == PF_IO_FLUSHER;
}

bool self_become_io_flusher(void)
{
	return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 || is_io_flusher();
}

void self_end_io_flusher(void)
{
	(void)prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
}

int self_oom_score_adj(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "re");
	int score = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &score) != 1)
		score = 0;
	fclose(f);
	return score;
}

bool self_avoid_oom_killer(void)
{
	static const char score[] = "-1000\n";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, score, sizeof score - 1);

	if (fd >= 0)
		close(fd);
	return written > 0 || self_oom_score_adj() == -1000;
}

/* The number of kB behind a name at the beginning of a line, as bytes. 0: there is no such line. */
static uint64_t bytes_after(const char *text, const char *name)
{
	const char *line = strstr(text, name);
	unsigned long long kb = 0;

	if (line)
		sscanf(line + strlen(name), " %llu kB", &kb);
	return (uint64_t)kb * 1024;
}

int self_memory(struct self_memory *memory)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = proc_read(fd, text, sizeof text);
	close(fd);
	if (n < 0)
		return (int)n;
	*memory = (struct self_memory){
		.anon = bytes_after(text, "\nRssAnon:"),
		.file = bytes_after(text, "\nRssFile:"),
		.shared = bytes_after(text, "\nRssShmem:"),
		.swapped = bytes_after(text, "\nVmSwap:"),
		.page_tables = bytes_after(text, "\nVmPTE:"),
	};
	return 0;
}
