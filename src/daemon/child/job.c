/* SPDX-License-Identifier: BSD-3-Clause */
/* Work in a child process. See job.h. */
#include "daemon/child/job.h"

#include "daemon/base/clock.h"
#include "daemon/base/pidfd.h"
#include "daemon/base/say.h"
#include "daemon/child/command.h"
#include "daemon/kernel/device.h"
#include "daemon/kernel/mounts.h"
#include "daemon/kernel/netlink.h"
#include "daemon/kernel/sysctls.h"
#include "daemon/resources/rights.h"
#include "zsblk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#include <systemd/sd-event.h>
#include <systemd/sd-login.h>

/* At the start of a device, where most of what can be on it has its mark. */
#define BLANK_BYTES (64u * 1024)

/* udev takes a fraction of a second to look at a device. */
#define LOCK_WAIT_MS 5000
/* Somebody else's swapoff reads back what is swapped out. */
#define OTHER_SWAPOFF_MS 60000
/* What mkswap writes: one page of the system. */
#define SWAP_HEADER ((uint64_t)sysconf(_SC_PAGESIZE))

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

/* ------------------------------------------------------------------ children */

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

static int ended(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct job *job = opaque;
	siginfo_t info;
	int r = job->report->r;

	pidfd_reap(fd, &info);
	job->source = sd_event_source_disable_unref(job->source);
	close(job->pidfd);
	job->pidfd = -1;
	/* swapoff makes itself the OOM killer's first choice. */
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
static void give_up(int number)
{
	command_end_running();
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
		command_end_with(daemon);
		signal(SIGTERM, give_up);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		rights_drop();
		/* In this order: one that ends before it returns leaves what was there. */
		r = fn(what, &text);
		job->report->wrong = text;
		job->report->r = r;
		_exit(0);
	}
	job->done = done;
	job->opaque = opaque;
	job->is_cancelled = false;
	job->pidfd = pidfd_of(pid);
	r = job->pidfd < 0 ? job->pidfd : sd_event_add_io(job->loop, &job->source, job->pidfd, EPOLLIN, ended, job);
	if (r >= 0)
		return 0;
	/* It cannot be watched, so it must not go on. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (job->pidfd >= 0)
		close(job->pidfd);
	job->pidfd = -1;
	return r;
}

/* ------------------------------------------------------------------ what systemd is up to */

/* Is systemd on its way to poweroff, reboot or the like? */
static bool machine_goes_down(void)
{
	const char *const arguments[] = {"systemctl", "is-system-running", NULL};
	char state[40];

	command_read(arguments, state, sizeof state, NULL);
	return strcmp(state, "stopping\n") == 0;
}

/*
 * Is our service to run again once it has stopped (systemctl restart, or start while it stops)? Of the jobs of a unit there is
 * one at a time: "231 zsblk@swap0.service restart running".
 */
static bool service_is_to_run(void)
{
	const char *arguments[] = {"systemctl", "list-jobs", "--no-legend", "--plain", NULL, NULL};
	char jobs[400], type[16] = "";
	char *unit = NULL;

	if (sd_pid_get_unit(0, &unit) < 0)
		return false;
	arguments[4] = unit;
	if (command_read(arguments, jobs, sizeof jobs, NULL) == 0)
		sscanf(jobs, "%*s %*s %15s", type);
	free(unit);
	return strcmp(type, "restart") == 0 || strcmp(type, "start") == 0;
}

/* ------------------------------------------------------------------ whose device it is */

/*
 * First of all in each job that does something to the device: others can have detached it, and attached another server to it. What
 * holds it (*held) stays open to the end of the process.
 */
static int hold(const struct device *device, const char *backend, struct wrong *wrong)
{
	int held;

	switch (device_hold(device, backend, &held)) {
	case BACKING_OURS:
		return 0;
	case BACKING_UNKNOWN:
		wrong_say(wrong, "%s: it cannot be told whose it is, so nothing is done to it", device->path);
		return -EIO;
	case BACKING_NONE:
		wrong_say(wrong, "%s is not attached any more", device->path);
		break;
	case BACKING_OTHER:
	case BACKING_UNNAMED:
		wrong_say(wrong, "%s is attached to another server now, and is left alone", device->path);
		break;
	}
	if (held >= 0)
		close(held);
	return -ENODEV;
}

/* ------------------------------------------------------------------ file systems */

/* mkdir -p: what is there already is no error here; mount tells if it is no folder. */
static int make_folders(const char *path, struct wrong *wrong)
{
	char part[4096];
	int r;

	for (const char *end = strchr(path + 1, '/');; end = strchr(end + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", end ? (int)(end - path) : (int)strlen(path), path);
		r = mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
		if (r) {
			wrong_say(
				wrong, "mount-point: %.200s cannot be made: %s%s", part, strerror(-r),
				r == -EACCES
					? "; zsblkd may not pass the folder above: open that one, or add CAP_DAC_OVERRIDE to the "
					  "service's CapabilityBoundingSet"
					: "");
			return r;
		}
		if (!end)
			return 0;
	}
}

/* Is there nothing on it, as far as anybody can tell? blkid ends with 2 when it finds nothing, or cannot find out. */
static bool is_blank(const char *device)
{
	const char *const arguments[] = {"blkid", "--probe", device, NULL};
	char found[200], start[BLANK_BYTES];
	int status = 0, fd = open(device, O_RDONLY | O_CLOEXEC);
	bool blank = fd >= 0 && pread(fd, start, sizeof start, 0) == (ssize_t)sizeof start;

	for (size_t i = 0; blank && i < sizeof start; i++)
		blank = !start[i];
	if (fd >= 0)
		close(fd);
	return blank && command_read(arguments, found, sizeof found, &status) && status == 2;
}

int job_mount(const void *what, struct wrong *wrong)
{
	const struct job_mount *mount = what;
	const char *device = mount->device->path;
	const char *const mkfs[] = {"mkfs", "-t", mount->fs_type, device, NULL};
	const char *const attach[] = {"mount", "-t", mount->fs_type, "-o", mount->options, device, mount->path, NULL};
	int r = hold(mount->device, mount->backend, wrong);

	if (!r && is_blank(device))
		r = command_run(mkfs, wrong);
	if (r)
		return r;
	/* For all who use the file system. */
	umask(022);
	r = make_folders(mount->path, wrong);
	return r ? r : command_run(attach, wrong);
}

/* ------------------------------------------------------------------ swap */

int job_swap_on(const void *what, struct wrong *wrong)
{
	const struct job_swap *swap = what;
	/*
	 * Without a UUID and a label, by which udev would make links to it: systemd makes a unit of each, and on the way down it
	 * is one of those that it tries swapoff by, while the daemon still sees whether there is room.
	 */
	const char *const arguments[] = {"mkswap", "--uuid", "clear", swap->device->path, NULL};
	int r = hold(swap->device, swap->backend, wrong), flags = SWAP_FLAG_DISCARD;

	if (!r)
		r = command_run(arguments, wrong);
	if (r)
		return r;
	if (swap->managed)
		device_lose_links(swap->device->index);
	if (swap->tune)
		sysctls_make(SYSCTLS_RECORD);
	if (swap->priority >= 0)
		flags |= SWAP_FLAG_PREFER | (swap->priority & SWAP_FLAG_PRIO_MASK);
	if (swapon(swap->device->path, flags) == 0)
		return 0;
	r = -errno;
	wrong_say(wrong, "swapon %s: %s", swap->device->path, strerror(-r));
	return r;
}

/* The kernel's mark of a swap area, at the end of its first block. */
static bool has_swap_header(int fd)
{
	static const char mark[] = "SWAPSPACE2";
	char found[sizeof mark - 1];

	return pread(fd, found, sizeof found, (off_t)(SWAP_HEADER - sizeof found)) == sizeof found &&
	       memcmp(found, mark, sizeof found) == 0;
}

int job_forget_swap(const void *what, struct wrong *wrong)
{
	const struct job_swap *swap = what;
	int fd, r = hold(swap->device, swap->backend, wrong);
	uint64_t range[2] = {SWAP_HEADER, 0};

	if (r)
		return r;
	/* Exclusively: as long as it is open, nobody makes it swap again. */
	fd = open(swap->device->path, O_RDWR | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (has_swap_header(fd) && ioctl(fd, BLKGETSIZE64, &range[1]) == 0 && range[1] > SWAP_HEADER) {
		range[1] -= SWAP_HEADER;
		if (ioctl(fd, BLKDISCARD, range) < 0) {
			r = -errno;
			wrong_say(wrong, "%s: what was swapped out stays in memory: discard: %s", swap->device->path,
				  strerror(-r));
		}
	}
	close(fd);
	return r;
}

static uint64_t meminfo_kib(const char *name)
{
	char line[128], format[40];
	uint64_t kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	snprintf(format, sizeof format, "%s: %%" SCNu64, name);
	while (f && fgets(line, sizeof line, f) && sscanf(line, format, &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib;
}

/*
 * Is there room for what is swapped out? If not, swapoff is not just in vain: as long as it tries, nobody can swap to
 * the area, and the kernel kills one process after the other; when there is none left that may be killed, it panics.
 */
static bool room_for_swapoff(const struct device *device, uint64_t *available)
{
	uint64_t cached = meminfo_kib("SwapCached"), swapped = device_swapped_kib(device);
	/* For those who go on meanwhile. */
	uint64_t margin = meminfo_kib("MemTotal") / 32;

	*available = meminfo_kib("MemAvailable") + device_other_swap_kib(device);
	return swapped <= cached || swapped - cached + margin <= *available;
}

/* In a process of its own, which is the OOM killer's first choice while it is at it. */
static int swapoff_in_child(const char *path)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid == 0) {
		command_end_with(parent);
		_exit(swapoff(path) == 0 ? 0 : errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ENOMEM;
}

/* Whoever else is at it (systemd, at shutdown) hides the area from us until it is done. */
static int wait_for_other_swapoff(const struct device *device)
{
	uint64_t until = clock_after_ms(OTHER_SWAPOFF_MS);
	char area[DEVICE_PATH_MAX];

	do {
		int r = device_swap_area(device, area) ? swapoff_in_child(area) : 0;

		if (r != -EINVAL)
			return r;
	} while (clock_pause(until, 100));
	return device_user(device) == USER_SWAP ? -EBUSY : 0;
}

static int swap_off(const struct device *device, struct wrong *wrong)
{
	uint64_t available, swapped = device_swapped_kib(device);
	char area[DEVICE_PATH_MAX];
	int r = room_for_swapoff(device, &available) ? 0 : -ENOMEM;

	if (!r && swapped)
		say(SAY_NOTICE,
		    "swapoff %s: %.1f MiB are swapped out to it, and are read back first; --status says how much is left",
		    device->path, (double)swapped / 1024);
	/* Each partition can have one. */
	while (!r && device_swap_area(device, area))
		r = swapoff_in_child(area);
	if (r == -EINVAL)
		r = wait_for_other_swapoff(device);
	if (!r)
		return 0;
	wrong_say(wrong,
		  "swapoff %s: %s; %" PRIu64 " MiB are swapped out to it, and there is room for %" PRIu64 " MiB%s",
		  device->path, strerror(-r), device_swapped_kib(device) / 1024, available / 1024,
		  r == -ENOMEM ? "; end some programs first" : "");
	return r;
}

static int read_mounts(const struct device *device, struct mounts *mounts)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct stat st = {0};
	int r;

	*mounts = (struct mounts){0};
	if (!f)
		return -errno;
	/* Without a node there is no number: no mount has 0. */
	(void)!stat(device->path, &st);
	r = mounts_read(mounts, f, device->path, st.st_rdev);
	fclose(f);
	return r;
}

/* One mount point after the other; if one cannot be unmounted, those that were are named. */
static int unmount_each(const struct mounts *mounts, const struct device *device, struct wrong *wrong)
{
	for (unsigned i = 0; i < mounts->n; i++) {
		const char *const arguments[] = {"umount", "--", mounts->points[i], NULL};
		int r = command_run(arguments, wrong);
		size_t length = strlen(wrong->text);

		if (r && i)
			snprintf(wrong->text + length, sizeof wrong->text - length,
				 "; %s was mounted in %u places, and is not any more in the first %u of: ",
				 device->path, mounts->n, i);
		for (unsigned j = 0; r && i && j < mounts->n; j++) {
			length = strlen(wrong->text);
			snprintf(wrong->text + length, sizeof wrong->text - length, "%s%s", j ? ", " : "",
				 mounts->points[j]);
		}
		if (r)
			return r;
	}
	return 0;
}

static int unmount(const struct device *device, struct wrong *wrong)
{
	struct mounts mounts;
	char holders[200];
	int r;

	/* A volume or a partition: umount would only say that the device is not mounted. */
	if (device_holders(device, holders, sizeof holders)) {
		wrong_say(wrong, "%s is in use by %s; take that down first", device->path, holders);
		return -EBUSY;
	}
	r = read_mounts(device, &mounts);
	if (r) {
		wrong_say(wrong, "%s: where it is mounted cannot be read: %s", device->path, strerror(-r));
	} else if (!mounts.n) {
		wrong_say(wrong, "%s is in use, and is not mounted here; see lsblk %s", device->path, device->path);
		r = -EBUSY;
	} else if (mounts.covered < mounts.n) {
		wrong_say(wrong,
			  "%s is mounted at %s, where another file system is mounted as well; "
			  "unmount that one first",
			  device->path, mounts.points[mounts.covered]);
		r = -EBUSY;
	} else {
		r = unmount_each(&mounts, device, wrong);
	}
	mounts_free(&mounts);
	return r;
}

/*
 * From here to the end of the process nobody else can come to depend on it. udev looks at devices with a shared lock, and leaves
 * those alone that are locked (systemd's "Locking Block Device Access"): otherwise it would read what is
 * about to go, and errors would be logged.
 */
static int take_exclusively(const struct device *device, struct wrong *wrong)
{
	int fd = open(device->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	uint64_t until;

	/* Not attached. A node that is missing says nothing about who uses the device. */
	if (fd < 0 && errno == ENXIO)
		return 0;
	if (fd < 0) {
		wrong_say(wrong, errno == EBUSY ? "%s is in use: mounted, or part of another device%.0s" : "%s: %s",
			  device->path, strerror(errno));
		return -errno;
	}
	until = clock_after_ms(LOCK_WAIT_MS);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && clock_pause(until, 10))
		;
	return 0;
}

/*
 * On its way down systemd tries swapoff all the same: once by a program, and in the end itself, as process 1, which the kernel
 * may not kill when memory runs out over it, so that it panics. swapoff takes a path. Without one there
 * is nothing to try, and the pages can be had until the machine is off. (It may not go off: systemctl soft-reboot. The next start shows
 * the node again.)
 */
static void hide_from_swapoff(const struct device *device)
{
	if (device_is_swap(device))
		device_hide_node(device->index);
}

/*
 * In the end systemd stops all processes (SIGSTOP), the server as well, while it reads whom it is to end: their command lines.
 * One that is swapped out would never come. So have them in memory; there is room again, now that services have ended.
 */
static void fetch_command_lines(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], line[4096];

	while (dir && (entry = readdir(dir))) {
		int fd;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		while (fd >= 0 && read(fd, line, sizeof line) > 0)
			;
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
}

/* Nobody uses it any more, and from here on nobody can. */
static int end_use(const struct job_detach *detach, const struct device *device, struct wrong *wrong)
{
	int r = 0;

	switch (device_user(device)) {
	case USER_SWAP:
		if (!detach->may_swapoff) {
			wrong_say(wrong,
				  "%s is in use as swap, with %" PRIu64
				  " MiB swapped out to it; swapoff it first, or allow that (--stop)",
				  device->path, device_swapped_kib(device) / 1024);
			return -EBUSY;
		}
		r = swap_off(device, wrong);
		break;
	case USER_OTHER:
		if (detach->may_umount)
			r = unmount(device, wrong);
		break;
	case USER_NOBODY:
		break;
	}
	return r ? r : take_exclusively(device, wrong);
}

static bool others_need_settings(const void *index)
{
	return device_has_others(*(const int *)index);
}

static void undo_settings(int index)
{
	sysctls_undo(SYSCTLS_RECORD, others_need_settings, &index);
}

/* Hold the device. If it is not ours any more (-ENODEV), what was set for it goes. */
static int hold_or_undo(const struct job_detach *detach, struct device *device, struct wrong *wrong)
{
	int r;

	device_init(device, detach->index);
	r = hold(device, detach->backend, wrong);
	if (r == -ENODEV)
		undo_settings(detach->index);
	return r;
}

int job_lost(const void *what, struct wrong *wrong)
{
	struct device device;
	int r = hold_or_undo(what, &device, wrong);

	return r ? r : -EEXIST;
}

int job_detach(const void *what, struct wrong *wrong)
{
	const struct job_detach *detach = what;
	struct netlink netlink;
	struct device device;
	int r = hold_or_undo(detach, &device, wrong);

	if (r)
		return r;
	if (detach->managed && detach->has_data && service_is_to_run()) {
		wrong_say(wrong, "the service is to start again, and what is on %s stays", device.path);
		return -ERESTART;
	}
	r = end_use(detach, &device, wrong);
	if (r && detach->managed && machine_goes_down()) {
		hide_from_swapoff(&device);
		fetch_command_lines();
		return -ESHUTDOWN;
	}
	if (r && detach->managed && service_is_to_run())
		return -ERESTART;
	if (!r)
		r = netlink_open(&netlink, wrong);
	if (r)
		return r;
	r = netlink_disconnect(&netlink, detach->index);
	if (!r)
		undo_settings(detach->index);
	if (r)
		wrong_say(wrong, "%s cannot be detached: %s", device.path, strerror(-r));
	return r;
}

/* ------------------------------------------------------------------ figures */

static double statistic(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && line[length] == '=')
			return (double)strtoull(line + length + 1, NULL, 10);
	}
	return 0;
}

void job_describe_figures(const char *stats, struct wrong *text)
{
	const double mib = 1024.0 * 1024.0;
	double data = statistic(stats, "orig_data_size"), used = statistic(stats, "mem_used_total");

	snprintf(text->text, sizeof text->text, "%.0f MiB, %.1f MiB of data in %.1f MiB of memory (ratio %.2f)",
		 statistic(stats, "disksize") / mib, data / mib, used / mib, used > 0 ? data / used : 0);
}

int job_read_figures(const void *what, struct wrong *text)
{
	const struct job_figures *figures = what;
	FILE *f = fopen(figures->stats, "re");
	char stats[4096];
	struct stat st = {0};
	struct tm when;
	size_t length;

	if (!f)
		return -errno;
	fstat(fileno(f), &st);
	stats[fread(stats, 1, sizeof stats - 1, f)] = '\0';
	fclose(f);
	job_describe_figures(stats, text);
	/* The server leaves the file alone while memory is short, and systemd shows what it was told at some time. */
	length = strlen(text->text);
	if (st.st_mtime && localtime_r(&st.st_mtime, &when))
		strftime(text->text + length, sizeof text->text - length, " at %H:%M:%S", &when);
	return 0;
}
