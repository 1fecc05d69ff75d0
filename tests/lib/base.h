/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every test needs, of whatever kind: a seed, how much to do, children that are expected to
 * end badly.
 *
 * Environment: ZSBLK_SEED=N repeats a run, ZSBLK_SHORT=1 divides the work (for sanitizers and
 * valgrind), ZSBLK_LONG=1 multiplies it.
 */
#ifndef TEST_BASE_H
#define TEST_BASE_H

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RUNNING_UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define RUNNING_UNDER_SANITIZER 1
#endif
#endif
#ifndef RUNNING_UNDER_SANITIZER
#define RUNNING_UNDER_SANITIZER 0
#endif
#if defined(__SANITIZE_THREAD__)
#define RUNNING_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RUNNING_UNDER_TSAN 1
#endif
#endif
#ifndef RUNNING_UNDER_TSAN
#define RUNNING_UNDER_TSAN 0
#endif

/* Without its headers, which need not be there: by what it puts in front of our libraries. */
static inline bool running_under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && (strstr(preload, "valgrind") || strstr(preload, "vgpreload"));
}

/* pidfd_open() and all that is new: valgrind 3.19 has no idea of it. */
static inline bool has_pidfds(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Where the lowest byte lies of a number of so many bytes that lies at `at`. */
#define LOW_BYTE(at, bytes) (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? (at) + (bytes)-1 : (at))

/* In a test of cmocka's, which takes no reason itself: contrib/lib/tally.py reads it from the line before. */
#define SKIP_BECAUSE(why)                                                                                              \
	do {                                                                                                           \
		printf("# %s\n", why);                                                                                 \
		skip();                                                                                                \
	} while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline bool test_env(const char *name)
{
	const char *value = getenv(name);

	return value && *value && strcmp(value, "0") != 0;
}

/* How much to do of something. */
static inline unsigned test_amount(unsigned n)
{
	unsigned some = test_env("ZSBLK_LONG") ? n * 20 : test_env("ZSBLK_SHORT") ? n / 8 : n;

	return some ? some : 1;
}

/* A seed, printed so that the run can be repeated. */
static inline uint64_t test_seed(const char *who)
{
	const char *given = getenv("ZSBLK_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();

	printf("# %s: ZSBLK_SEED=%" PRIu64 "\n", who, seed);
	fflush(stdout);
	return seed;
}

/* For where cmocka's assertions do not work: other threads than the first, and programs without it. */
#define must(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* Run something in a child, quietly, and return how the child ended, as waitpid() tells it. */
static inline int test_in_child(void (*run)(void *opaque), void *opaque)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		const struct rlimit no_core = {0, 0};
		int null = open("/dev/null", O_WRONLY);

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		dup2(null, 2);
		run(opaque);
		_exit(0);
	}
	must(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static inline bool test_aborts(void (*run)(void *opaque), void *opaque)
{
	int status = test_in_child(run, opaque);

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
