/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that are run. See program.h. */
#include "machine/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t program_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The program that is being run; 0: none. */
static volatile sig_atomic_t running;

void program_end_running(void)
{
	if (!running)
		return;
	/* The process group exists only once the child has made it. */
	kill(-(pid_t)running, SIGKILL);
	kill((pid_t)running, SIGKILL);
}

void program_end_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
}

/* Variables of sd_notify(3) and sd_listen_fds(3): with them a program could speak to systemd in the service's name. */
static void clean_environment(void)
{
	static const char *const ours[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
					   "LISTEN_PID",    "LISTEN_FDS",   "LISTEN_FDNAMES"};

	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		unsetenv(ours[i]);
}

void program_become(const char *const arguments[], pid_t parent, int output, int errors)
{
	program_end_with(parent);
	setpgid(0, 0);
	clean_environment();
	dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO);
	dup2(output >= 0 ? output : STDIN_FILENO, STDOUT_FILENO);
	dup2(errors >= 0 ? errors : STDIN_FILENO, STDERR_FILENO);
	execvp(arguments[0], (char *const *)arguments);
	dprintf(STDERR_FILENO, "%s: %s\n", arguments[0], strerror(errno));
	_exit(PROGRAM_NOT_FOUND);
}

int program_kill(pid_t pid)
{
	int status = 0;

	/* The process group exists only once the child has made it. */
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Read what is there now, and keep what there is room for. False at the end of the output. */
static bool take_in(int fd, struct program_text *text)
{
	char beyond[256];
	bool full = !text || text->length + 1 >= text->size;
	ssize_t got = full ? read(fd, beyond, sizeof beyond)
			   : read(fd, text->text + text->length, text->size - 1 - text->length);

	if (got > 0 && !full) {
		text->length += (size_t)got;
		text->text[text->length] = '\0';
	}
	return got > 0 || (got < 0 && errno == EINTR);
}

/* Read both outputs until they are closed: 0; or until the time is up: -ETIMEDOUT. */
static int listen_to(int output, int errors, struct program_text *out, struct program_text *err, uint64_t until)
{
	struct pollfd fds[] = {{.fd = output, .events = POLLIN}, {.fd = errors, .events = POLLIN}};

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		uint64_t now = program_clock_us();

		if (until && now >= until)
			return -ETIMEDOUT;
		poll(fds, 2, until ? (int)((until - now) / 1000 + 1) : -1);
		if (fds[0].fd >= 0 && fds[0].revents && !take_in(output, out))
			fds[0].fd = -1;
		if (fds[1].fd >= 0 && fds[1].revents && !take_in(errors, err))
			fds[1].fd = -1;
	}
	return 0;
}

static void close_pipe(int ends[2])
{
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

/* Run the program, with its pipes at hand. */
static int run_with(const char *const arguments[], int output[2], int errors[2], struct program_text *out,
		    struct program_text *err, uint64_t until, int *status)
{
	pid_t parent = getpid(), pid;
	sigset_t term, before;
	int r;

	/* A signal that ends the program (program_end_running()) comes only once its number is known. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	pid = fork();
	r = pid < 0 ? -errno : 0;
	running = pid > 0 ? pid : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (r)
		return r;
	if (pid == 0)
		program_become(arguments, parent, output[1], errors[1]);
	close(output[1]);
	close(errors[1]);
	output[1] = errors[1] = -1;
	r = listen_to(output[0], errors[0], out, err, until);
	if (r)
		program_kill(pid);
	else if (waitpid(pid, status, 0) < 0)
		r = -errno;
	running = 0;
	return r;
}

int program_run(const char *const arguments[], struct program_text *out, struct program_text *err, uint64_t until,
		int *ended_with)
{
	int output[2] = {-1, -1}, errors[2] = {-1, -1}, status = 0, r = 0;

	if (out)
		out->text[0] = '\0';
	if (err)
		err->text[0] = '\0';
	if (pipe2(output, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
		r = -errno;
	if (!r)
		r = run_with(arguments, output, errors, out, err, until, &status);
	close_pipe(output);
	close_pipe(errors);
	if (r)
		return r;
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	if (ended_with)
		*ended_with = status;
	return status ? -EIO : 0;
}
