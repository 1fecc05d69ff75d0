/* SPDX-License-Identifier: BSD-3-Clause */
/* Errands. See errand.h; the formats of /proc are those of proc(5). */
#include "daemon/child/errand.h"

#include "daemon/base/pidfd.h"
#include "daemon/kernel/maps.h"
#include "machine/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A unit test has a tree of its own. */
#ifndef PROC
#define PROC "/proc"
#endif

/* In memory that parent and child share. */
struct answer {
	ssize_t bytes;
	char text[ERRAND_BYTES + 1];
};

struct errand {
	struct answer *answer;
	pid_t left; /* a child that was killed and has not ended yet; 0: none */
};

int errand_create(struct errand **result)
{
	struct errand *errand = calloc(1, sizeof *errand);

	if (!errand)
		return -ENOMEM;
	errand->answer = mmap(NULL, sizeof *errand->answer, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (errand->answer == MAP_FAILED) {
		free(errand);
		return -ENOMEM;
	}
	*result = errand;
	return 0;
}

void errand_free(struct errand *errand)
{
	if (!errand)
		return;
	munmap(errand->answer, sizeof *errand->answer);
	free(errand);
}

__attribute__((noreturn)) static void be_child(struct errand *errand, errand_fn *fn, void *what, int fd, pid_t parent)
{
	program_end_with(parent);
	/* Close the lock on the instance's folder above all: it must not outlive the daemon. */
	if (fd > STDERR_FILENO + 1)
		syscall(SYS_close_range, STDERR_FILENO + 1, fd - 1, 0);
	syscall(SYS_close_range, (fd > STDERR_FILENO ? fd : STDERR_FILENO) + 1, ~0u, 0);
	errand->answer->bytes = fn(what, errand->answer->text);
	_exit(EXIT_SUCCESS);
}

/* Wait for the child to end. A child that does not end in time is killed; the kernel may keep even that one for a while. */
static int wait_for(struct errand *errand, pid_t pid, int limit_ms)
{
	int pidfd = pidfd_of(pid), r = pidfd < 0 ? pidfd : pidfd_wait(pidfd, limit_ms) ? 0 : -ETIMEDOUT;

	if (pidfd >= 0)
		close(pidfd);
	if (r)
		kill(pid, SIGKILL);
	if (waitpid(pid, NULL, r ? WNOHANG : 0) != pid)
		errand->left = pid;
	return r;
}

ssize_t errand_run(struct errand *errand, errand_fn *fn, void *what, int fd, int limit_ms, const char **text)
{
	pid_t parent = getpid(), pid;
	int r;

	/* A child that is left over may still write. */
	if (errand->left && waitpid(errand->left, NULL, WNOHANG) == 0)
		return -EBUSY;
	errand->left = 0;
	errand->answer->bytes = -EIO;
	pid = fork();
	if (pid == 0)
		be_child(errand, fn, what, fd, parent);
	if (pid < 0)
		return -errno;
	r = wait_for(errand, pid, limit_ms);
	errand->answer->text[!r && errand->answer->bytes > 0 ? errand->answer->bytes : 0] = '\0';
	*text = errand->answer->text;
	return r ? r : errand->answer->bytes;
}

/* ------------------------------------------------------------------ what they read */

static FILE *open_of(const pid_t *pid, const char *name)
{
	char path[60];

	snprintf(path, sizeof path, PROC "/%d/%s", (int)*pid, name);
	return fopen(path, "re");
}

ssize_t errand_command_line(void *what, char *text)
{
	FILE *f = open_of(what, "cmdline");
	size_t got;

	if (!f)
		return -errno;
	got = fread(text, 1, ERRAND_BYTES, f);
	fclose(f);
	return got < ERRAND_BYTES ? (ssize_t)got : -E2BIG;
}

ssize_t errand_programs(void *what, char *text)
{
	char line[MAPS_LINE_MAX], copy[MAPS_LINE_MAX];
	FILE *f = open_of(what, "maps");
	struct mapping mapping;
	size_t n = 0, length;

	if (!f)
		return -errno;
	while (fgets(line, sizeof line, f)) {
		strcpy(copy, line);
		length = strlen(line);
		if (!maps_parse(copy, &mapping) || !mapping.is_program || n + length > ERRAND_BYTES)
			continue;
		memcpy(text + n, line, length);
		n += length;
	}
	fclose(f);
	return (ssize_t)n;
}
