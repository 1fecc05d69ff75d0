/* SPDX-License-Identifier: BSD-3-Clause */
/* Traces. See trace.h. */
#include "bench/trace.h"

#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct trace {
	FILE *file;
	char *line;
	size_t room;
	uint64_t number; /* of the line */
	uint64_t us;     /* of the last event */
	pid_t unpacker;  /* 0: none */
	char program[8]; /* that unpacks it; empty: none */
	char path[256];
};

/* ------------------------------------------------------------------ packed files */

static const struct packing {
	const char *program;
	uint8_t magic[6];
	size_t length;
} packings[] = {
	{"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6},
	{"gzip", {0x1f, 0x8b}, 2},
	{"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4},
};

/* The program that a file is packed with. None for a pipe, whose first bytes can be read only once. */
static void find_program(struct trace *trace, int fd)
{
	uint8_t begin[6];
	ssize_t n = pread(fd, begin, sizeof begin, 0);

	for (size_t i = 0; i < sizeof packings / sizeof packings[0]; i++)
		if (n >= (ssize_t)packings[i].length && !memcmp(begin, packings[i].magic, packings[i].length))
			snprintf(trace->program, sizeof trace->program, "%s", packings[i].program);
}

/* Have a program read *fd, and take what it writes instead. */
static int unpack(struct trace *trace, int *fd)
{
	static char unpack_option[] = "-dc";
	char *const argv[] = {trace->program, unpack_option, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	r = posix_spawn_file_actions_init(&actions);
	if (!r) {
		r = posix_spawn_file_actions_adddup2(&actions, *fd, STDIN_FILENO);
		if (!r)
			r = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
		if (!r)
			r = posix_spawnp(&trace->unpacker, trace->program, &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(ends[1]);
	if (r) {
		trace->unpacker = 0;
		close(ends[0]);
		return -r;
	}
	close(*fd);
	*fd = ends[0];
	return 0;
}

/* The program has ended by itself: was all well? A trace that was cut off is not to be taken for a whole one. */
static int check_unpacker(struct trace *trace, struct zsblk_why *why)
{
	int status = 0;

	if (!trace->unpacker)
		return 0;
	while (waitpid(trace->unpacker, &status, 0) < 0 && errno == EINTR)
		;
	trace->unpacker = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return because(why, -EIO, "%s: %s could not unpack it to its end; what came before is no whole trace",
		       trace->path, trace->program);
}

/* ------------------------------------------------------------------ life */

static int open_path(struct trace *trace, const char *path, struct zsblk_why *why)
{
	bool is_stdin = !strcmp(path, "-");
	int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC), r = 0;

	snprintf(trace->path, sizeof trace->path, "%s", is_stdin ? "standard input" : path);
	if (fd < 0)
		return because(why, -errno, "%s: %s: name a trace, such as zsblkctl trace makes", trace->path,
			       strerror(errno));
	find_program(trace, fd);
	if (trace->program[0])
		r = unpack(trace, &fd);
	if (r)
		because(why, r, "%s is packed with %s, which cannot be run: %s", trace->path, trace->program,
			strerror(-r));
	if (!r && !(trace->file = fdopen(fd, "r")))
		r = because(why, -ENOMEM, "no memory");
	if (r)
		close(fd);
	return r;
}

int trace_open(struct trace **result, const char *path, struct zsblk_why *why)
{
	struct trace *trace = calloc(1, sizeof *trace);
	int r = trace ? open_path(trace, path, why) : because(why, -ENOMEM, "no memory");

	if (r) {
		trace_close(trace);
		return r;
	}
	*result = trace;
	return 0;
}

void trace_close(struct trace *trace)
{
	if (!trace)
		return;
	/* The program then ends, since nobody reads what it writes. */
	if (trace->file)
		fclose(trace->file);
	while (trace->unpacker && waitpid(trace->unpacker, NULL, 0) < 0 && errno == EINTR)
		;
	free(trace->line);
	free(trace);
}

/* ------------------------------------------------------------------ lines */

/* A decimal number and one blank, or the end of the line. False: there is none. */
static bool take_number(const char **at, uint64_t *number)
{
	const char *text = *at;

	*number = 0;
	while (*text >= '0' && *text <= '9') {
		if (*number > (UINT64_MAX - 9) / 10)
			return false;
		*number = *number * 10 + (uint64_t)(*text++ - '0');
	}
	if (text == *at)
		return false;
	*at = text;
	return true;
}

/* Milliseconds, with up to three digits behind a point. */
static bool take_time(const char **at, uint64_t *us)
{
	unsigned unit = 100;

	/* So that ages can be added to it. */
	if (!take_number(at, us) || *us > UINT64_MAX / 2000)
		return false;
	*us *= 1000;
	if (**at != '.')
		return true;
	for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
		*us += (uint64_t)(**at - '0') * unit;
	return true;
}

static bool take_blank(const char **at)
{
	const char *text = *at;

	while (*text == ' ' || *text == '\t')
		text++;
	if (text == *at)
		return false;
	*at = text;
	return true;
}

static bool take_op(const char **at, struct trace_event *event)
{
	static const char ops[] = "RWDZL", ragged[] = "rwdz";
	char letter = **at;

	if (!letter)
		return false;
	event->ragged = strchr(ragged, letter) != NULL;
	if (event->ragged)
		letter = (char)(letter - 'a' + 'A');
	if (!strchr(ops, letter))
		return false;
	event->op = (enum trace_op)letter;
	(*at)++;
	return true;
}

/* TIME OP FIRST BLOCKS. Later versions may have more behind it. */
static bool parse(const char *line, struct trace_event *event)
{
	const char *at = line;

	if (!take_time(&at, &event->us) || !take_blank(&at) || !take_op(&at, event) || !take_blank(&at))
		return false;
	if (!take_number(&at, &event->first) || !take_blank(&at) || !take_number(&at, &event->blocks))
		return false;
	if (*at && *at != ' ' && *at != '\t' && *at != '\n')
		return false;
	return event->op == TRACE_LOST ||
	       (event->blocks && event->blocks <= TRACE_BLOCKS_MAX && event->first <= TRACE_BLOCKS_MAX - event->blocks);
}

static bool has_nothing(const char *line)
{
	return line[0] == '#' || line[0] == '\n' || !line[0];
}

int trace_next(struct trace *trace, struct trace_event *event, struct zsblk_why *why)
{
	do {
		errno = 0;
		if (getline(&trace->line, &trace->room, trace->file) < 0) {
			if (ferror(trace->file) || errno)
				return because(why, -EIO, "%s: %s", trace->path, strerror(errno ? errno : EIO));
			return check_unpacker(trace, why);
		}
		trace->number++;
	} while (has_nothing(trace->line));
	if (!parse(trace->line, event))
		return because(why, -EINVAL,
			       "%s, line %" PRIu64 ": '%.40s' is no event; one is milliseconds, R, W, D or Z, the first"
			       " block and the number of blocks, such as 1712.25 R 512 1",
			       trace->path, trace->number,
			       (trace->line[strcspn(trace->line, "\n")] = '\0', trace->line));
	/* Requests that end at the same moment may be written in another order. */
	if (event->us < trace->us)
		event->us = trace->us;
	trace->us = event->us;
	return 1;
}
