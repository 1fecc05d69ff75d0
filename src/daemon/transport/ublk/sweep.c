/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads of a disk by way of each queue. See sweep.h. */
#include "daemon/transport/ublk/sweep.h"

#include "daemon/resources/rights.h"
#include "process/processors.h"
#include "zsblk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/* More queues than a device of ublk has. */
#define MOST_QUEUES 4096u

struct sweep {
	sd_event *loop;
	sd_event_source *source;
	int socket; /* to the process; -1: there is none */
	pid_t pid;
	pid_t left; /* one that was ended, and has not been collected; 0: none */
	bool is_out;
	sweep_answer_fn *answer;
	void *opaque;
};

/* What is asked of the process. */
struct order {
	struct device device;
	uint64_t offset;
};

/* What it says of each queue. */
struct answer {
	int r;
	bool is_last;
};

/* ------------------------------------------------------------------ in the process */

int sweep_first_cpu(const char *list)
{
	int cpu;

	return sscanf(list, "%6d", &cpu) == 1 && cpu >= 0 ? cpu : -1;
}

/* Run on a processor from which requests go to this queue. False: there is no such queue. */
static bool move_to_queue(const struct device *device, unsigned queue)
{
	char name[32], list[64];
	struct processors set = {0};
	int cpu;

	snprintf(name, sizeof name, "mq/%u/cpu_list", queue);
	if (device_attribute(device, name, list, sizeof list))
		return false;
	cpu = sweep_first_cpu(list);
	if (cpu >= 0 && cpu < PROCESSORS_MOST)
		CPU_SET_S((size_t)cpu, sizeof set, set.sets);
	/* A processor that is not there any more, or not for us: the read goes by way of another queue. */
	(void)sched_setaffinity(0, sizeof set, set.sets);
	return true;
}

/* The disk may have become smaller meanwhile. Of a block behind its end the kernel itself says that there is none, and asks no server. */
static int read_block(int fd, void *block, uint64_t offset)
{
	ssize_t got = pread(fd, block, ZSBLK_BLOCK_SIZE, (off_t)offset);

	if (got == 0 && offset)
		got = pread(fd, block, ZSBLK_BLOCK_SIZE, 0);
	return got < 0 ? -errno : got == 0 ? -ENODATA : 0;
}

static bool say_answer(int r, bool is_last)
{
	struct answer answer = {.r = r, .is_last = is_last};

	return send(STDIN_FILENO, &answer, sizeof answer, MSG_NOSIGNAL) == (ssize_t)sizeof answer;
}

/* Without queues in sysfs there is one read, from wherever this runs. False: there is nobody to tell. */
static bool sweep_once(const struct order *order, void *block)
{
	int fd = open(order->device.path, O_RDONLY | O_DIRECT | O_CLOEXEC), r = fd < 0 ? -errno : 0;
	bool more = fd >= 0 && move_to_queue(&order->device, 0), heard = true;

	if (!more && fd >= 0)
		r = read_block(fd, block, order->offset);
	for (unsigned queue = 0; more && heard; queue++) {
		r = read_block(fd, block, order->offset);
		more = queue + 1 < MOST_QUEUES && move_to_queue(&order->device, queue + 1);
		if (more)
			heard = say_answer(r, false);
	}
	/* Before the end is told: nobody is to find the disk open after that. */
	if (fd >= 0)
		close(fd);
	return heard && say_answer(r, true);
}

/*
 * The memory is locked, since it must not be swapped out to the disk that it is about. Of the daemon's memory only what this process
 * writes to becomes its own.
 */
__attribute__((noreturn)) static void become_sweeper(int socket, pid_t daemon)
{
	static _Alignas(ZSBLK_BLOCK_SIZE) char block[ZSBLK_BLOCK_SIZE];
	struct order order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != daemon || dup2(socket, STDIN_FILENO) < 0)
		_exit(EXIT_FAILURE);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
	prctl(PR_SET_NAME, "zsblkd-sweep");
	mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	memset(block, 0, sizeof block);
	while (recv(STDIN_FILENO, &order, sizeof order, 0) == (ssize_t)sizeof order && sweep_once(&order, block))
		;
	_exit(EXIT_SUCCESS);
}

/* ------------------------------------------------------------------ in the daemon */

/* A process that waits for a server ends when that answers. It is collected before the next one is made, or by the supervisor. */
static void end_process(struct sweep *sweep)
{
	sweep->source = sd_event_source_disable_unref(sweep->source);
	if (sweep->socket >= 0)
		close(sweep->socket);
	if (sweep->pid > 0) {
		kill(sweep->pid, SIGKILL);
		sweep->left = waitpid(sweep->pid, NULL, WNOHANG) == sweep->pid ? 0 : sweep->pid;
	}
	sweep->socket = -1;
	sweep->pid = 0;
	sweep->is_out = false;
}

static int answered(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct sweep *sweep = opaque;
	struct answer answer;
	ssize_t got = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got != (ssize_t)sizeof answer) {
		/* Somebody has ended the process. The next sweep makes another one. */
		end_process(sweep);
		answer = (struct answer){.r = 0, .is_last = true};
	}
	sweep->is_out = !answer.is_last;
	sweep->answer(sweep->opaque, answer.r, answer.is_last);
	return 0;
}

static int make_process(struct sweep *sweep)
{
	pid_t daemon = getpid();
	int ends[2], r;

	/* One at a time: more would only wait for the same server. */
	if (sweep->left && waitpid(sweep->left, NULL, WNOHANG) == 0)
		return -EBUSY;
	sweep->left = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	sweep->pid = fork();
	r = sweep->pid < 0 ? -errno : 0;
	if (sweep->pid == 0)
		become_sweeper(ends[1], daemon);
	close(ends[1]);
	sweep->socket = ends[0];
	if (!r)
		r = sd_event_add_io(sweep->loop, &sweep->source, ends[0], EPOLLIN, answered, sweep);
	if (r < 0) {
		end_process(sweep);
		return r;
	}
	/* The process shares the daemon's memory until one of them writes to it. Have the daemon's own now, and not in bad times. */
	rights_own_memory();
	return 0;
}

int sweep_start(struct sweep *sweep, const struct device *device, uint64_t offset)
{
	struct order order = {.device = {.stat = -1, .inflight = -1}, .offset = offset};
	int r = sweep->is_out ? -EBUSY : sweep->socket < 0 ? make_process(sweep) : 0;

	if (r)
		return r;
	memcpy(order.device.path, device->path, sizeof order.device.path);
	if (send(sweep->socket, &order, sizeof order, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		r = -errno;
		end_process(sweep);
		return r;
	}
	sweep->is_out = true;
	return 0;
}

bool sweep_has_process(const struct sweep *sweep)
{
	return sweep->socket >= 0;
}

bool sweep_is_out(const struct sweep *sweep)
{
	return sweep->is_out;
}

bool sweep_answer_is_there(const struct sweep *sweep)
{
	struct pollfd fd = {.fd = sweep->socket, .events = POLLIN};

	return sweep->socket >= 0 && poll(&fd, 1, 0) == 1;
}

int sweep_create(struct sweep **result, struct sd_event *loop, sweep_answer_fn *answer, void *opaque)
{
	struct sweep *sweep = calloc(1, sizeof *sweep);

	if (!sweep)
		return -ENOMEM;
	*sweep = (struct sweep){.loop = loop, .socket = -1, .answer = answer, .opaque = opaque};
	*result = sweep;
	return 0;
}

void sweep_free(struct sweep *sweep)
{
	if (!sweep)
		return;
	end_process(sweep);
	free(sweep);
}
