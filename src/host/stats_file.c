/* SPDX-License-Identifier: BSD-3-Clause */
/* The statistics file. See stats_file.h. */
#include "host/stats_file.h"

#include "host/stats_list.h"
#include "host/ticker.h"
#include "process/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATS_TEXT_MAX 2048

struct stats_file {
	struct zsblk *dev;
	stats_file_more_fn *more;
	const char *path;
	char *temporary;
	stats_file_trouble_fn *trouble;
	void *opaque;
	int last_error;
	struct spare spare;
	char written[STATS_TEXT_MAX];
	struct ticker *ticker;
};

/* The median and the 99th percentile of a kind of request. Returns the length as snprintf() does. */
static size_t latency_text(struct zsblk *dev, enum zsblk_latency_kind kind, char *text, size_t size)
{
	const char *name = zsblk_latency_name(kind);
	struct zsblk_latency latency;

	zsblk_get_latency(dev, kind, &latency);
	return (size_t)snprintf(text, size, "%s_p50_ns=%" PRIu64 "\n%s_p99_ns=%" PRIu64 "\n", name,
				zsblk_latency_percentile(&latency, 50), name, zsblk_latency_percentile(&latency, 99));
}

static size_t stats_text(struct zsblk *dev, stats_file_more_fn *more, char *text, size_t size)
{
	struct zsblk_stats stats;
	size_t at;

	zsblk_get_stats(dev, &stats);
	at = (size_t)snprintf(text, size, "disksize=%" PRIu64 "\nalgorithm=%s\nlevel=%d\n", zsblk_size(dev),
			      zsblk_algorithm_name(dev), zsblk_level(dev));
	for (const struct stats_list *one = stats_list; one->name && at < size; one++)
		at += (size_t)snprintf(text + at, size - at, "%s=%" PRIu64 "\n", one->name,
				       stats_list_value(one, &stats));
	for (enum zsblk_latency_kind kind = ZSBLK_LATENCY_READ; kind <= ZSBLK_LATENCY_WRITE && at < size; kind++)
		at += latency_text(dev, kind, text + at, size - at);
	if (more && at < size)
		at += more(text + at, size - at);
	return at < size ? at : size - 1;
}

static int write_whole(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/*
 * Write a new file each time: a file that has the temporary name may be somebody else's, or a link to a file that must
 * not be written. If others can write to the directory (one with the sticky bit, such as /tmp), their file cannot be
 * removed, and that is the error.
 */
static int replace_file(const struct stats_file *file, const char *text, size_t len)
{
	int r, fd;

	unlink(file->temporary);
	fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = write_whole(fd, text, len);
	if (close(fd) < 0 && !r)
		r = -errno;
	if (!r && rename(file->temporary, file->path) < 0)
		r = -errno;
	if (r)
		unlink(file->temporary);
	return r;
}

static void update(struct stats_file *file)
{
	char text[STATS_TEXT_MAX];
	size_t len = stats_text(file->dev, file->more, text, sizeof text);
	int error;

	if (strcmp(text, file->written) == 0)
		return;
	error = -replace_file(file, text, len);
	if (!error)
		memcpy(file->written, text, len + 1);
	if (error != file->last_error)
		file->trouble(file->opaque, file->path, error);
	file->last_error = error;
}

/*
 * Skip the file while memory is short. On tmpfs the file needs a page, and a thread that waits for a page keeps a
 * killed process from ending. Then no other server could take over, and only a server makes room.
 */
static void update_if_cheap(struct stats_file *file)
{
	if (spare_memory_for(&file->spare, false))
		update(file);
}

static bool tick(void *opaque)
{
	update_if_cheap(opaque);
	return true;
}

static void destroy(struct stats_file *file)
{
	spare_close(&file->spare);
	free(file->temporary);
	free(file);
}

int stats_file_start(struct stats_file **result, const char *path, struct zsblk *dev, stats_file_more_fn *more,
		     stats_file_trouble_fn *trouble, void *opaque)
{
	struct stats_file *file = calloc(1, sizeof *file);
	int r;

	if (!file)
		return -ENOMEM;
	file->dev = dev;
	file->more = more;
	file->path = path;
	file->trouble = trouble;
	file->opaque = opaque;
	if (asprintf(&file->temporary, "%s.tmp", path) < 0) {
		file->temporary = NULL;
		destroy(file);
		return -ENOMEM;
	}
	spare_open(&file->spare, NULL);
	update_if_cheap(file);
	r = ticker_start(&file->ticker, "zsblk-stats", 1, tick, file);
	if (r) {
		destroy(file);
		return r;
	}
	*result = file;
	return 0;
}

void stats_file_stop(struct stats_file *file)
{
	if (!file)
		return;
	ticker_stop(file->ticker);
	update(file);
	destroy(file);
}
