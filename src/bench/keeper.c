/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper of swap and control group. See keeper.h.
 *
 *   caller                         keeper                              command
 *     fork ------------------------> zram, group, swapon
 *     <------- struct answer ------- fork ------------------------------> into the group, exec
 *     ... captures ...               waits for the end of the pipe
 *     closes the pipe -------------> SIGKILL to all of the group, swapoff, rmdir, hot_remove
 *     <------- struct answer -------
 *
 * What is made is noted down before the next thing is made, so that the way back is the same from every point.
 */
#include "bench/keeper.h"

#include "bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#define ZRAM_CONTROL "/sys/class/zram-control"
/* Above swap that the machine has, so that the group's pages come here. */
#define PRIORITY 32767
/* For processes to end, and for the kernel to let go of a device: 10 seconds. */
#define TRIES    1000u
#define PAUSE_US 10000u

struct answer {
	int error;
	struct zsblk_why why;
	struct keeper_made made;
};

struct keeper {
	pid_t pid;
	int pipe;    /* closed: the keeper is to end */
	int answers; /* struct answer */
};

/* What there is to take away. */
struct work {
	const struct keeper_wanted *wanted;
	struct keeper_made made;
	int zram; /* -1: none */
	bool has_group, has_swap;
};

/* ------------------------------------------------------------------ files of the system */

static int write_file(const char *folder, const char *name, const char *text)
{
	char path[384];
	int fd, r;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int write_number(const char *folder, const char *name, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, number);
	return write_file(folder, name, text);
}

/* Up to `size` - 1 characters of a file. */
static int read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	r = n < 0 ? -errno : 0;
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return r;
}

/* ------------------------------------------------------------------ the control group */

/* Of control groups that have memory, 1 or 2; 0: this mount is none of those. */
static unsigned version_of(const struct mntent *mount)
{
	char path[384], controllers[512];

	if (!strcmp(mount->mnt_type, "cgroup"))
		return hasmntopt(mount, "memory") != NULL;
	snprintf(path, sizeof path, "%s/cgroup.subtree_control", mount->mnt_dir);
	return !strcmp(mount->mnt_type, "cgroup2") && !read_file(path, controllers, sizeof controllers) &&
			       strstr(controllers, "memory")
		       ? 2
		       : 0;
}

/* Where the memory controller of version 1 is mounted, or version 2, if that has the controller. */
static int find_parent(struct work *work, char *folder, size_t size, struct zsblk_why *why)
{
	/* A file, since one read(2) gets a page of it at most. */
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *mount;

	if (!mounts)
		return because(why, -EIO, "/proc does not tell where control groups are");
	while (!work->made.version && (mount = getmntent(mounts))) {
		work->made.version = version_of(mount);
		snprintf(folder, size, "%s", mount->mnt_dir);
	}
	endmntent(mounts);
	if (work->made.version)
		return 0;
	return because(why, -ENOTSUP,
		       "there is no control group with memory of version 1 or 2: --capture-swap needs one");
}

static int make_group(struct work *work, struct zsblk_why *why)
{
	char folder[256];
	int r = find_parent(work, folder, sizeof folder, why);

	if (r)
		return r;
	snprintf(work->made.group, sizeof work->made.group, "%s/zsblk-bench-%d", folder, (int)getpid());
	if (mkdir(work->made.group, 0755) < 0)
		return because(why, -errno, "%s: %s", work->made.group, strerror(errno));
	work->has_group = true;
	r = keeper_set_memory(&work->made, work->wanted->memory_bytes);
	/* The kernel gives up before it has swapped out all that it could. Then the group waits for a higher limit: keeper_is_stuck(). */
	if (!r && work->made.version == 1)
		r = write_file(work->made.group, "memory.oom_control", "1");
	return r ? because(why, r, "%s: its limit cannot be set: %s", work->made.group, strerror(-r)) : 0;
}

bool keeper_is_stuck(const struct keeper_made *made)
{
	char path[384], text[128];

	snprintf(path, sizeof path, "%s/memory.oom_control", made->group);
	return made->version == 1 && !read_file(path, text, sizeof text) && strstr(text, "under_oom 1");
}

int keeper_set_memory(const struct keeper_made *made, uint64_t bytes)
{
	/* Beyond `high` version 2 makes processes wait while it swaps out; it kills nobody. */
	return write_number(made->group, made->version == 1 ? "memory.limit_in_bytes" : "memory.high", bytes);
}

/* Numbers of processes of the group go to *pids, as many as fit. */
static unsigned group_pids(const struct work *work, pid_t *pids, unsigned most)
{
	char path[384];
	unsigned n = 0;
	FILE *file;
	int pid;

	snprintf(path, sizeof path, "%s/cgroup.procs", work->made.group);
	file = fopen(path, "re");
	while (file && n < most && fscanf(file, "%d", &pid) == 1)
		/* A process of another PID namespace has no number here, and is shown as 0: kill(2) would take that for our own group. */
		if (pid > 0)
			pids[n++] = pid;
	if (file)
		fclose(file);
	return n;
}

static int remove_group(struct work *work)
{
	pid_t pids[256];

	for (unsigned i = 0; i < TRIES; i++) {
		unsigned n = group_pids(work, pids, 256);

		for (unsigned at = 0; at < n; at++)
			kill(pids[at], SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!n && rmdir(work->made.group) == 0) {
			work->has_group = false;
			return 0;
		}
		usleep(PAUSE_US);
	}
	return -EBUSY;
}

/* ------------------------------------------------------------------ the swap device */

/* A swap area of one's own, as mkswap(8) makes one: version 1, no bad pages. */
static int write_header(const char *device, uint64_t pages)
{
	static uint8_t header[BLOCK];
	uint32_t words[2] = {1, (uint32_t)(pages - 1)};
	int fd = open(device, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	memcpy(header + 1024, words, sizeof words);
	memcpy(header + BLOCK - 10, "SWAPSPACE2", 10);
	r = pwrite(fd, header, sizeof header, 0) == (ssize_t)sizeof header ? 0 : -errno;
	if (!r && fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int make_zram(struct work *work, struct zsblk_why *why)
{
	char text[32] = "", folder[64];
	int r = read_file(ZRAM_CONTROL "/hot_add", text, sizeof text);

	if (r)
		return because(why, r, ZRAM_CONTROL "/hot_add: %s: --capture-swap needs zram (modprobe zram)",
			       strerror(-r));
	work->zram = atoi(text);
	snprintf(folder, sizeof folder, "/sys/block/zram%d", work->zram);
	snprintf(work->made.device, sizeof work->made.device, "/dev/zram%d", work->zram);
	r = write_number(folder, "disksize", work->wanted->swap_bytes);
	/* Somebody else has set it up between the two: it is theirs, and not to be removed. */
	if (r == -EBUSY)
		work->zram = -1;
	/* The device's node can be made a moment later, by another program. */
	for (unsigned i = 0; !r && i < TRIES && access(work->made.device, F_OK) < 0; i++)
		usleep(PAUSE_US);
	if (!r)
		r = write_header(work->made.device, work->wanted->swap_bytes / BLOCK);
	return r ? because(why, r, "%s cannot be made a swap area: %s", work->made.device, strerror(-r)) : 0;
}

static int switch_on(struct work *work, struct zsblk_why *why)
{
	if (swapon(work->made.device, SWAP_FLAG_PREFER | PRIORITY) < 0)
		return because(why, -errno, "swapon %s: %s", work->made.device, strerror(errno));
	work->has_swap = true;
	return 0;
}

static int remove_zram(struct work *work)
{
	int r = 0;

	if (work->has_swap && swapoff(work->made.device) < 0)
		return -errno;
	work->has_swap = false;
	/* Whoever looks at new devices, such as udev, may have it open for a moment. */
	for (unsigned i = 0; i < TRIES; i++) {
		r = write_number(ZRAM_CONTROL, "hot_remove", (uint64_t)work->zram);
		if (r != -EBUSY)
			break;
		usleep(PAUSE_US);
	}
	if (!r)
		work->zram = -1;
	return r;
}

/* ------------------------------------------------------------------ the keeper's life */

/* Does not return. */
static void run_command(const struct work *work)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* In the group before the program has any memory of its own. */
	if (write_file(work->made.group, "cgroup.procs", "0"))
		_exit(126);
	execvp(work->wanted->command[0], work->wanted->command);
	fprintf(stderr, "zsblk-bench: %s: %s\n", work->wanted->command[0], strerror(errno));
	_exit(127);
}

static int start_command(struct work *work, struct zsblk_why *why)
{
	pid_t pid = fork();

	if (pid == 0)
		run_command(work);
	if (pid < 0)
		return because(why, -errno, "no process for %s: %s", work->wanted->command[0], strerror(errno));
	work->made.command_pid = pid;
	return 0;
}

static int make_all(struct work *work, struct zsblk_why *why)
{
	int r = make_group(work, why);

	if (!r)
		r = make_zram(work, why);
	if (!r)
		r = switch_on(work, why);
	return r ? r : start_command(work, why);
}

/* The reason of a failure before this one stays. */
static int remove_all(struct work *work, int error, struct zsblk_why *why)
{
	int group = work->has_group ? remove_group(work) : 0;
	int zram = work->zram >= 0 ? remove_zram(work) : 0;

	if (group && !error)
		error = because(why, -EIO, "%s is left, since its processes do not end: end them, then rmdir it",
				work->made.group);
	if (zram && !error)
		error = because(why, -EIO, "%s is left: %s; swapoff it, then write %d to " ZRAM_CONTROL "/hot_remove",
				work->made.device, strerror(-zram), work->zram);
	return error;
}

static void answer(int fd, const struct work *work, int error, const struct zsblk_why *why)
{
	struct answer told = {.error = error, .why = *why, .made = work->made};

	/* Whoever does not read the answer has gone. */
	(void)!write(fd, &told, sizeof told);
}

/* Does not return. */
static void keep(const struct keeper_wanted *wanted, int pipe, int answers)
{
	struct work work = {.wanted = wanted, .zram = -1};
	struct zsblk_why why = {.text = ""};
	sigset_t all;
	char byte;
	int r;

	setsid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Processes of the group that have lost their parent are waited for here. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = make_all(&work, &why);
	if (!r) {
		answer(answers, &work, 0, &why);
		while (read(pipe, &byte, 1) < 0 && errno == EINTR)
			;
	}
	r = remove_all(&work, r, &why);
	answer(answers, &work, r, &why);
	_exit(0);
}

/* -EIO: the keeper has died. */
static int read_answer(struct keeper *keeper, struct answer *told, struct zsblk_why *why)
{
	size_t at = 0;
	ssize_t n;

	while (at < sizeof *told) {
		n = read(keeper->answers, (char *)told + at, sizeof *told - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return because(why, -EIO,
				       "somebody has ended the process that keeps swap and control group: look"
				       " for /dev/zramN in /proc/swaps, and for zsblk-bench-N in /sys/fs/cgroup");
		at += (size_t)n;
	}
	*why = told->why;
	return told->error;
}

static void free_keeper(struct keeper *keeper)
{
	while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(keeper->answers);
	free(keeper);
}

int keeper_end(struct keeper *keeper, struct zsblk_why *why)
{
	struct answer told;
	int r;

	close(keeper->pipe);
	r = read_answer(keeper, &told, why);
	free_keeper(keeper);
	return r;
}

static int start_keeper(struct keeper *keeper, const struct keeper_wanted *wanted, struct zsblk_why *why)
{
	int to[2] = {-1, -1}, from[2] = {-1, -1};

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return because(why, -errno, "no pipe: %s", strerror(errno));
	fflush(NULL);
	keeper->pid = fork();
	if (keeper->pid == 0) {
		/* Only the caller has the other end, so that its death is the end of the pipe. */
		close(to[1]);
		close(from[0]);
		keep(wanted, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	keeper->pipe = to[1];
	keeper->answers = from[0];
	return keeper->pid < 0 ? because(why, -errno, "no process: %s", strerror(errno)) : 0;
}

int keeper_begin(struct keeper **result, const struct keeper_wanted *wanted, struct keeper_made *made,
		 struct zsblk_why *why)
{
	struct keeper *keeper = calloc(1, sizeof *keeper);
	struct answer told;
	int r = keeper ? start_keeper(keeper, wanted, why) : because(why, -ENOMEM, "no memory");

	if (r) {
		free(keeper);
		return r;
	}
	r = read_answer(keeper, &told, why);
	if (r) {
		close(keeper->pipe);
		free_keeper(keeper);
		return r;
	}
	*made = told.made;
	*result = keeper;
	return 0;
}
