/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages to measure with: their memory, from a file, and kept in a file. */
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int pages_alloc(struct pages *pages, uint64_t count, struct zsblk_why *why)
{
	void *mem =
		mmap(NULL, count * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return because(why, -ENOMEM, "no memory for %" PRIu64 " pages: use a smaller --limit", count);
	pages->data = mem;
	pages->count = 0;
	pages->room = count;
	return 0;
}

void pages_free(struct pages *pages)
{
	if (pages->data)
		munmap(pages->data, pages->room * BLOCK);
	pages->data = NULL;
}

bool pages_pick_run(uint64_t run, uint64_t runs, uint64_t wanted)
{
	/* Evenly: whenever another whole run is due. */
	return wanted >= runs || (unsigned __int128)(run + 1) * wanted / runs > (unsigned __int128)run * wanted / runs;
}

/* Read to the end of the file or of the buffer. The bytes read, or a negative errno. */
static int64_t read_fully(int fd, uint8_t *buf, uint64_t len, int64_t offset)
{
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = offset < 0 ? read(fd, buf + done, len - done)
				       : pread(fd, buf + done, len - done, offset + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

static int ragged(struct zsblk_why *why, const char *path, uint64_t bytes)
{
	return because(why, -EINVAL,
		       "%s: %" PRIu64 " bytes is not a whole number of %u-byte pages: cut it to %" PRIu64
		       " (truncate -s) or take a file that --save made",
		       path, bytes, BLOCK, bytes / BLOCK * BLOCK);
}

static int read_runs(struct pages *pages, int fd, const char *path, struct zsblk_why *why)
{
	uint64_t runs = (pages->available + PAGES_RUN - 1) / PAGES_RUN;
	uint64_t wanted = pages->room < pages->available ? pages->room / PAGES_RUN : runs;

	for (uint64_t run = 0; run < runs && pages->count < pages->room; run++) {
		uint64_t n = pages->available - run * PAGES_RUN;
		int64_t got;

		if (!pages_pick_run(run, runs, wanted))
			continue;
		if (run % 1024 == 0)
			progress("reading %s: page %" PRIu64 " of %" PRIu64, path, run * PAGES_RUN, pages->available);
		n = n < PAGES_RUN ? n : PAGES_RUN;
		n = n < pages->room - pages->count ? n : pages->room - pages->count;
		got = read_fully(fd, pages->data + pages->count * BLOCK, n * BLOCK, (int64_t)(run * PAGES_RUN * BLOCK));
		if (got < 0)
			return because(why, (int)got, "%s: %s", path, strerror((int)-got));
		pages->count += (uint64_t)got / BLOCK;
	}
	return 0;
}

static int read_stream(struct pages *pages, int fd, const char *path, struct zsblk_why *why)
{
	int64_t got = read_fully(fd, pages->data, pages->room * BLOCK, -1);

	if (got < 0)
		return because(why, (int)got, "%s: %s", path, strerror((int)-got));
	if (got % BLOCK)
		return ragged(why, path, (uint64_t)got);
	pages->count = pages->available = (uint64_t)got / BLOCK;
	return 0;
}

static int read_file(struct pages *pages, int fd, const char *path, uint64_t limit, struct zsblk_why *why)
{
	struct stat st;
	bool sized;
	int r;

	if (fstat(fd, &st) < 0)
		return because(why, -errno, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return because(why, -EISDIR, "%s is a directory: name a file of %u-byte pages", path, BLOCK);
	sized = S_ISREG(st.st_mode);
	if (sized && st.st_size % BLOCK)
		return ragged(why, path, (uint64_t)st.st_size);
	pages->available = sized ? (uint64_t)st.st_size / BLOCK : limit;
	r = pages_alloc(pages, pages->available && pages->available < limit ? pages->available : limit, why);
	if (r)
		return r;
	r = sized ? read_runs(pages, fd, path, why) : read_stream(pages, fd, path, why);
	if (!r && !pages->count)
		return because(why, -ENODATA, "%s is empty: name a file of %u-byte pages", path, BLOCK);
	return r;
}

int pages_from_file(struct pages *pages, const char *path, uint64_t limit, struct zsblk_why *why)
{
	bool is_stdin = !strcmp(path, "-");
	int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return because(why, -errno, "%s: %s: name a file of %u-byte pages", path, strerror(errno), BLOCK);
	if (is_stdin)
		path = "standard input";
	snprintf(pages->source, sizeof pages->source, "%s", path);
	r = read_file(pages, fd, path, limit, why);
	close(fd);
	return r;
}

static int write_fully(int fd, const uint8_t *buf, uint64_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len < 1 << 24 ? len : 1 << 24);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			buf += n;
			len -= (uint64_t)n;
		}
	}
	return 0;
}

int pages_save(const struct pages *pages, const char *option, const char *path, struct zsblk_why *why)
{
	/* Never into a file that somebody else may have open, or may read. */
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), r;

	if (fd < 0 && errno == EEXIST)
		return because(why, -EEXIST, "%s %s: it exists; remove it or choose another name", option, path);
	if (fd < 0)
		return because(why, -errno, "%s %s: %s", option, path, strerror(errno));
	/* The umask may have taken even the owner's rights. */
	r = fchmod(fd, 0600) < 0 ? -errno : write_fully(fd, pages->data, pages->count * BLOCK);
	if (close(fd) < 0 && !r)
		r = -errno;
	if (r) {
		unlink(path);
		return because(why, r, "%s %s: %s", option, path, strerror(-r));
	}
	return 0;
}
