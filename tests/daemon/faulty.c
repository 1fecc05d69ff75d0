/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that fail in zsblkd and in what it forks, when a test wants it: the n-th one from now on, and so many after it. It is loaded
 * before the C library (LD_PRELOAD), so that the calls of libsystemd fail as well. Programs that zsblkd runs are left alone.
 *
 * The plan is a struct in a file, ZSBLK_TEST_FAULTS, which the test writes; all processes count their calls in it.
 */
#undef _FILE_OFFSET_BITS
#define _LARGEFILE64_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* As fault_test.py has them. */
enum kind { FORK, PIDFD, EPOLL, PIPE, SOCKET, OPEN, MEMORY, KINDS };

struct plan {
	uint32_t kind;
	uint32_t first;      /* the call that fails, counted from 1 */
	uint32_t times;      /* how many from there on; 0: none */
	uint32_t note_delay; /* milliseconds that it takes to note a server down */
	uint32_t is_deaf;    /* whoever asks for the mappings or the command line of a process waits for ever */
	_Atomic uint32_t failed;
	_Atomic uint32_t calls[KINDS];
};

static struct plan *plan;

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("ZSBLK_TEST_FAULTS");
	int fd = -1;
	void *map;

	if (path && strncmp(program_invocation_short_name, "zsblkd", 6) == 0)
		fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		plan = map;
}

static bool fails(enum kind kind, int error)
{
	uint32_t number;

	if (!plan)
		return false;
	number = atomic_fetch_add(&plan->calls[kind], 1) + 1;
	if (!plan->times || plan->kind != kind || number < plan->first || number - plan->first >= plan->times)
		return false;
	atomic_fetch_add(&plan->failed, 1);
	errno = error;
	return true;
}

static void delay(const char *path)
{
	if (plan && plan->note_delay && strstr(path, ".server"))
		usleep(plan->note_delay * 1000);
}

/* As for a server that hangs, and holds the lock on its memory. */
static void wait_if_deaf(const char *path)
{
	const char *last = strrchr(path, '/');

	if (plan && plan->is_deaf && strncmp(path, "/proc/", 6) == 0 &&
	    (strcmp(last, "/maps") == 0 || strcmp(last, "/cmdline") == 0 || strstr(path, "/map_files/")))
		for (;;)
			pause();
}

/* The function that there is without us. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

pid_t fork(void)
{
	return fails(FORK, EAGAIN) ? -1 : REAL(fork)();
}

long syscall(long number, ...)
{
	long words[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		words[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_pidfd_open && fails(PIDFD, EMFILE))
		return -1;
	return REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

int epoll_create1(int flags)
{
	return fails(EPOLL, EMFILE) ? -1 : REAL(epoll_create1)(flags);
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
	return what == EPOLL_CTL_ADD && fails(EPOLL, ENOSPC) ? -1 : REAL(epoll_ctl)(epoll, what, fd, event);
}

int timerfd_create(int clock, int flags)
{
	return fails(EPOLL, EMFILE) ? -1 : REAL(timerfd_create)(clock, flags);
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
	return fails(EPOLL, EMFILE) ? -1 : REAL(signalfd)(fd, mask, flags);
}

int pipe2(int ends[2], int flags)
{
	return fails(PIPE, EMFILE) ? -1 : REAL(pipe2)(ends, flags);
}

int socket(int domain, int type, int protocol)
{
	return fails(SOCKET, EMFILE) ? -1 : REAL(socket)(domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int ends[2])
{
	return fails(SOCKET, EMFILE) ? -1 : REAL(socketpair)(domain, type, protocol, ends);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return fails(SOCKET, EMFILE) ? -1 : REAL(accept4)(fd, address, length, flags);
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(args, int) : 0;
}

#define OPENS(name)                                                                                                    \
	int name(const char *path, int flags, ...)                                                                     \
	{                                                                                                              \
		va_list args;                                                                                          \
		mode_t mode;                                                                                           \
                                                                                                                       \
		delay(path);                                                                                           \
		wait_if_deaf(path);                                                                                    \
		va_start(args, flags);                                                                                 \
		mode = mode_of(flags, args);                                                                           \
		va_end(args);                                                                                          \
		return fails(OPEN, EMFILE) ? -1 : REAL(name)(path, flags, mode);                                       \
	}
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                                                                 \
	int name(int at, const char *path, int flags, ...)                                                             \
	{                                                                                                              \
		va_list args;                                                                                          \
		mode_t mode;                                                                                           \
                                                                                                                       \
		va_start(args, flags);                                                                                 \
		mode = mode_of(flags, args);                                                                           \
		va_end(args);                                                                                          \
		return fails(OPEN, EMFILE) ? -1 : REAL(name)(at, path, flags, mode);                                   \
	}
OPENS_AT(openat)
OPENS_AT(openat64)

FILE *fopen(const char *path, const char *mode)
{
	wait_if_deaf(path);
	return fails(OPEN, EMFILE) ? NULL : REAL(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	wait_if_deaf(path);
	return fails(OPEN, EMFILE) ? NULL : REAL(fopen64)(path, mode);
}

void *malloc(size_t bytes)
{
	return fails(MEMORY, ENOMEM) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	return fails(MEMORY, ENOMEM) ? NULL : __libc_calloc(n, bytes);
}

void *realloc(void *old, size_t bytes)
{
	return fails(MEMORY, ENOMEM) ? NULL : __libc_realloc(old, bytes);
}
