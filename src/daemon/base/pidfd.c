/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors of processes. See pidfd.h. Older libraries have neither the calls nor P_PIDFD. */
#include "daemon/base/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* P_PIDFD of linux/wait.h. */
#define TYPE_PIDFD ((idtype_t)3)

int pidfd_of(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

void pidfd_kill(int pidfd, int signal)
{
	syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

bool pidfd_wait(int pidfd, int limit_ms)
{
	return poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, limit_ms) > 0;
}

bool pidfd_reap(int pidfd, siginfo_t *info)
{
	*info = (siginfo_t){0};
	return waitid(TYPE_PIDFD, (id_t)pidfd, info, WEXITED) == 0;
}
