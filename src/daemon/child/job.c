/* SPDX-License-Identifier: BSD-3-Clause */
/* Work in a child process. See job.h. */
#include "daemon/child/job.h"

#include "daemon/base/pidfd.h"
#include "daemon/resources/rights.h"
#include "machine/program.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/* How it went; in memory that parent and child share. */
struct report {
	int r;
	struct wrong wrong;
};

struct job {
	sd_event *loop;
	struct report *report;
	sd_event_source *source;
	int pidfd;
	bool is_cancelled;
	job_done_fn *done;
	void *opaque;
};

int job_create(struct job **result, struct sd_event *loop)
{
	struct job *job = calloc(1, sizeof *job);

	if (!job)
		return -ENOMEM;
	job->loop = loop;
	job->pidfd = -1;
	job->report = mmap(NULL, sizeof *job->report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
			   -1, 0);
	if (job->report == MAP_FAILED) {
		free(job);
		return -ENOMEM;
	}
	*result = job;
	return 0;
}

void job_free(struct job *job)
{
	if (!job)
		return;
	sd_event_source_disable_unref(job->source);
	if (job->pidfd >= 0)
		close(job->pidfd);
	munmap(job->report, sizeof *job->report);
	free(job);
}

bool job_is_running(const struct job *job)
{
	return job->pidfd >= 0;
}

static int job_ended(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct job *job = opaque;
	siginfo_t info;
	int r = job->report->r;

	pidfd_reap(fd, &info);
	job->source = sd_event_source_disable_unref(job->source);
	close(job->pidfd);
	job->pidfd = -1;
	/* The OOM killer may have ended it: swapoff makes itself its first choice. */
	if (job->is_cancelled && info.si_code != CLD_EXITED) {
		r = -ECANCELED;
		wrong_say(&job->report->wrong, "given up, since zsblkd is to stop");
	} else if (info.si_code != CLD_EXITED) {
		r = -EINTR;
		wrong_say(&job->report->wrong, "was ended by signal %d (%s)%s", info.si_status,
			  sigdescr_np(info.si_status),
			  info.si_status == SIGKILL   ? ": as the kernel does when memory runs out"
			  : info.si_status == SIGALRM ? ": it took too long"
						      : "");
	}
	job->done(job->opaque, r, job->report->wrong.text);
	return 0;
}

void job_cancel(struct job *job)
{
	if (!job_is_running(job))
		return;
	pidfd_kill(job->pidfd, job->is_cancelled ? SIGKILL : SIGTERM);
	job->is_cancelled = true;
}

/* In the child: job_cancel() was called. */
static void cancelled(int number)
{
	program_end_running();
	signal(number, SIG_DFL);
	raise(number);
}

int job_start(struct job *job, job_fn *fn, const void *what, job_done_fn *done, void *opaque)
{
	pid_t daemon = getpid(), pid;
	int r;

	if (job_is_running(job))
		return -EBUSY;
	*job->report = (struct report){.r = -EIO, .wrong = {"ended without a report"}};
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		struct wrong text = {""};
		sigset_t none;

		/* Close the folder's lock above all: as long as somebody holds it, the daemon counts as alive. */
		syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
		program_end_with(daemon);
		signal(SIGTERM, cancelled);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		rights_drop();
		/* The result goes last: of a child that ends before, the parent reads "ended without a report". */
		r = fn(what, &text);
		job->report->wrong = text;
		job->report->r = r;
		_exit(0);
	}
	job->done = done;
	job->opaque = opaque;
	job->is_cancelled = false;
	job->pidfd = pidfd_of(pid);
	r = job->pidfd < 0 ? job->pidfd : sd_event_add_io(job->loop, &job->source, job->pidfd, EPOLLIN, job_ended, job);
	if (r >= 0)
		return 0;
	/* A child that cannot be watched must not go on. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (job->pidfd >= 0)
		close(job->pidfd);
	job->pidfd = -1;
	return r;
}
