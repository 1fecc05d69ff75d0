/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The segment. See segment.h.
 *
 * Why System V shared memory: SHM_LOCK keeps its pages in memory even while no process has them mapped. mlock() ends
 * with the process. The pages of a dead server could then be swapped out, to the device that it no longer serves.
 */
#include "segment/segment.h"

#include "process/system_page.h"
#include "segment/owner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif

int segment_parse(const char *memory, struct segment_spec *spec)
{
	const char *digits;
	unsigned long value;
	char *end;

	*spec = (struct segment_spec){.kind = SEGMENT_ANON};
	if (!memory || strcmp(memory, "anon") == 0)
		return 0;
	if (strncmp(memory, "shm:", 4) != 0)
		return -EINVAL;
	spec->kind = SEGMENT_SHM;
	digits = memory + 4;
	if (strncmp(digits, "id=", 3) == 0) {
		spec->by_id = true;
		digits += 3;
	}
	if (*digits < '0' || *digits > '9')
		return -EINVAL;
	errno = 0;
	value = strtoul(digits, &end, !spec->by_id && strncmp(digits, "0x", 2) == 0 ? 16 : 10);
	if (errno || *end)
		return -EINVAL;
	/* Key 0 is IPC_PRIVATE: nobody could find such a segment again. */
	if (spec->by_id ? value > INT32_MAX : value == 0 || value > UINT32_MAX)
		return -EINVAL;
	spec->key = (int)value;
	return 0;
}

/*
 * If this process has asked for new mappings to be locked and populated (mlockall(MCL_FUTURE), nbdkit --swap), the
 * kernel would fill a sparse segment to its end. Ask for lock on fault instead: memory that is used is locked as
 * before. A new mapping tells whether that is so, since no call does.
 */
static void prefer_lock_on_fault(void)
{
	unsigned char resident = 0;
	size_t bytes = (size_t)system_page();
	void *probe = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (probe == MAP_FAILED)
		return;
	if (mincore(probe, bytes, &resident) == 0 && (resident & 1))
		mlockall(MCL_FUTURE | MCL_ONFAULT);
	munmap(probe, bytes);
}

void *segment_private_map(size_t bytes)
{
	void *mem;

	prefer_lock_on_fault();
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return NULL;
	/* With huge pages, the touch of one page would take 2 MiB. */
	madvise(mem, bytes, MADV_NOHUGEPAGE);
	return mem;
}

void segment_private_unmap(void *mem, size_t bytes)
{
	if (mem)
		munmap(mem, bytes);
}

/*
 * What others have stored is no part of a core dump, in whatever process has the segment, nor is page 0, which may have the
 * key of a backing store. All of the mapping: with a part of it the kernel would count one more attachment for each process
 * (shm_nattch), and whether a segment is in use is told by that count.
 */
static void hide_from_dumps(const struct segment *seg)
{
	madvise(seg->base, seg->bytes, MADV_DONTDUMP);
}

static int open_anon(struct segment *seg, uint64_t bytes, const char **step)
{
	*step = "mmap";
	seg->base = segment_private_map((size_t)bytes);
	if (!seg->base)
		return -errno;
	seg->bytes = (size_t)bytes;
	seg->fresh = true;
	hide_from_dumps(seg);
	return 0;
}

/* Between the two calls another process may make the segment, or remove it. Then look again. */
static int find_or_create_shm(struct segment *seg, const struct segment_spec *spec, uint64_t bytes)
{
	do {
		seg->shmid = shmget(spec->key, 0, 0);
		if (seg->shmid >= 0 || errno != ENOENT || !bytes)
			break;
		seg->shmid = shmget(spec->key, (size_t)bytes, IPC_CREAT | IPC_EXCL | SHM_NORESERVE | 0600);
		seg->fresh = seg->shmid >= 0;
	} while (seg->shmid < 0 && errno == EEXIST);
	return seg->shmid < 0 ? -errno : 0;
}

int segment_lock(struct segment *seg)
{
	if (seg->kind == SEGMENT_ANON)
		return 0;
	return shmctl(seg->shmid, SHM_LOCK, NULL) < 0 ? -errno : 0;
}

/* 0 or a negative errno. -ENOENT stands for all errors that mean "there is no such segment". */
static int check_owner(const struct segment *seg, struct shmid_ds *ds, const char **step)
{
	int r = owner_check(seg->shmid, ds);

	*step = r == -EPERM ? SEGMENT_FOREIGN : "shmctl(IPC_STAT)";
	return r == -EINVAL || r == -EIDRM ? -ENOENT : r;
}

static int attach_shm(struct segment *seg, const char **step)
{
	unsigned char resident;
	struct shmid_ds ds;
	void *base;
	int r = check_owner(seg, &ds, step);

	if (r)
		return r;
	*step = "shmat";
	prefer_lock_on_fault();
	base = shmat(seg->shmid, NULL, 0);
	if (base == (void *)-1)
		return errno == EINVAL || errno == EIDRM ? -ENOENT : -errno;
	seg->base = base;
	/*
	 * The identifier may have been used again since the first check. While the segment is attached it is not used
	 * again, so this check is of the segment that was attached.
	 */
	r = check_owner(seg, &ds, step);
	if (r)
		return r;
	seg->bytes = ds.shm_segsz;
	madvise(seg->base, seg->bytes, MADV_NOHUGEPAGE);
	hide_from_dumps(seg);
	segment_after_mlockall(seg);
	/*
	 * The next server will find used pages with mincore(). If that is forbidden, refuse now, before there is data.
	 */
	*step = "mincore";
	return segment_resident(seg, 0, SEGMENT_PAGE, &resident);
}

/* `bytes`: the size of the segment to make if there is none; 0: make none. */
static int open_shm(struct segment *seg, const struct segment_spec *spec, uint64_t bytes, const char **step)
{
	int r = 0;

	*step = "shmget";
	if (spec->by_id)
		seg->shmid = spec->key;
	else
		r = find_or_create_shm(seg, spec, bytes);
	if (!r)
		r = attach_shm(seg, step);
	if (!r)
		return 0;
	segment_close(seg);
	if (seg->fresh)
		shmctl(seg->shmid, IPC_RMID, NULL);
	return r;
}

static int check_system(uint64_t bytes, const char **step)
{
	*step = "pages of the system that are not 4, 8, 16, 32 or 64 KiB";
	if (system_page() > SEGMENT_MAX_SYSTEM_PAGE || system_page() % SEGMENT_PAGE)
		return -ENOTSUP;
	*step = "mapping on a 32-bit system";
	return bytes > SIZE_MAX / 2 ? -ENOMEM : 0;
}

int segment_open(struct segment *seg, const struct segment_spec *spec, uint64_t bytes, const char **step)
{
	int r;

	*seg = (struct segment){.kind = spec->kind, .shmid = -1};
	r = check_system(bytes, step);
	if (r)
		return r;
	return spec->kind == SEGMENT_ANON ? open_anon(seg, bytes, step) : open_shm(seg, spec, bytes, step);
}

int segment_attach(struct segment *seg, const struct segment_spec *spec, const char **step)
{
	int r;

	*seg = (struct segment){.kind = SEGMENT_SHM, .shmid = -1};
	r = check_system(0, step);
	if (r)
		return r;
	*step = "attaching";
	return spec->kind == SEGMENT_SHM ? open_shm(seg, spec, 0, step) : -EINVAL;
}

int segment_create(struct segment *seg, int key, uint64_t bytes, const char **step)
{
	int r;

	*seg = (struct segment){.kind = SEGMENT_SHM, .fresh = true};
	r = check_system(bytes, step);
	if (r)
		return r;
	*step = "shmget";
	seg->shmid = shmget(key, (size_t)bytes, IPC_CREAT | IPC_EXCL | SHM_NORESERVE | 0600);
	if (seg->shmid < 0)
		return -errno;
	r = attach_shm(seg, step);
	if (r) {
		segment_close(seg);
		shmctl(seg->shmid, IPC_RMID, NULL);
	}
	return r;
}

bool segment_is_removed(const struct segment *seg)
{
	struct shmid_ds ds;

	if (seg->kind == SEGMENT_ANON)
		return false;
	if (shmctl(seg->shmid, IPC_STAT, &ds) < 0)
		return errno == EINVAL || errno == EIDRM;
	return ds.shm_perm.mode & SHM_DEST;
}

void segment_close(struct segment *seg)
{
	if (seg->base) {
		if (seg->kind == SEGMENT_SHM)
			shmdt(seg->base);
		else
			munmap(seg->base, seg->bytes);
	}
	seg->base = NULL;
}

int segment_remove_open(struct segment *seg)
{
	return shmctl(seg->shmid, IPC_RMID, NULL) < 0 ? -errno : 0;
}

void segment_after_mlockall(struct segment *seg)
{
	if (seg->kind == SEGMENT_SHM)
		munlock(seg->base, seg->bytes);
}

/*
 * `keep`: the contents have to stay. Then a system without MADV_POPULATE_WRITE leaves the pages to their first touch.
 */
static int populate(uint8_t *start, size_t len, bool keep)
{
	uintptr_t first = (uintptr_t)system_page_floor((uintptr_t)start);
	uintptr_t end = (uintptr_t)system_page_ceil((uintptr_t)start + len);

	if (madvise((void *)first, end - first, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno == EINTR || errno == EAGAIN)
		return -EAGAIN;
	if (errno != EINVAL)
		return errno == EFAULT ? -ENOMEM : -errno;
	/* Before Linux 5.14. Touch nothing outside the range: the rest of its system pages may be in use. */
	for (size_t at = 0; !keep && at < len; at += SEGMENT_PAGE)
		*(volatile uint8_t *)(start + at) = 0;
	return 0;
}

int segment_private_populate(void *mem, size_t bytes)
{
	int r;

	do
		r = populate(mem, bytes, true);
	while (r == -EAGAIN);
	return r;
}

uint64_t segment_private_resident(const void *mem, size_t bytes)
{
	unsigned char resident[4096];
	size_t page = (size_t)system_page(), step = sizeof resident * page;
	uint64_t pages = 0;

	for (size_t at = 0; mem && at < bytes; at += step) {
		size_t len = bytes - at < step ? bytes - at : step;

		if (mincore((uint8_t *)mem + at, len, resident) < 0)
			break;
		for (size_t i = 0; i < (len + page - 1) / page; i++)
			pages += resident[i] & 1;
	}
	return pages * page;
}

int segment_populate(struct segment *seg, uint64_t offset, uint64_t len)
{
	unsigned every = __atomic_load_n(&seg->fail_every, __ATOMIC_RELAXED);

	if (every && __atomic_add_fetch(&seg->fail_count, 1, __ATOMIC_RELAXED) % every == 0)
		return -ENOMEM;
	return populate(seg->base + offset, (size_t)len, false);
}

/*
 * The system refuses MADV_DONTNEED for locked memory, and knows MADV_DONTNEED_LOCKED since Linux 5.18. The one that
 * worked last is tried first, which saves a system call for each range.
 */
static int release_anon(struct segment *seg, uint8_t *start, size_t len)
{
	bool locked = __atomic_load_n(&seg->release_locked, __ATOMIC_RELAXED);

	if (madvise(start, len, locked ? MADV_DONTNEED_LOCKED : MADV_DONTNEED) == 0)
		return 0;
	if (madvise(start, len, locked ? MADV_DONTNEED : MADV_DONTNEED_LOCKED) < 0)
		return -errno;
	__atomic_store_n(&seg->release_locked, !locked, __ATOMIC_RELAXED);
	return 0;
}

/*
 * The kernel refuses a range that begins inside a system page, but rounds the end of a range up. That would take away a
 * page behind the range, so the range is rounded inwards here. At the segment's own end nothing lies behind.
 */
int segment_release(struct segment *seg, uint64_t offset, uint64_t len)
{
	uint64_t first = system_page_ceil(offset), end = offset + len;
	uint8_t *start = seg->base + first;

	end = end == seg->bytes ? system_page_ceil(end) : system_page_floor(end);
	if (first >= end)
		return 0;
	len = end - first;
	if (seg->kind == SEGMENT_SHM)
		return madvise(start, (size_t)len, MADV_REMOVE) < 0 ? -errno : 0;
	return release_anon(seg, start, (size_t)len);
}

/* segment_resident() where system pages are larger: one answer of mincore() stands for several pages. */
static int resident_in_groups(const struct segment *seg, uint64_t offset, uint64_t end, unsigned char *vec)
{
	unsigned char some[256];
	uint64_t page = system_page();

	for (uint64_t at = system_page_floor(offset); at < end; at += sizeof some * page) {
		uint64_t left = system_page_ceil(end) - at;
		uint64_t len = left < sizeof some * page ? left : sizeof some * page;
		uint64_t stop = at + len < end ? at + len : end;

		if (mincore(seg->base + at, (size_t)len, some) < 0)
			return -errno;
		for (; offset < stop; offset += SEGMENT_PAGE)
			*vec++ = some[(offset - at) / page];
	}
	return 0;
}

int segment_resident(const struct segment *seg, uint64_t offset, uint64_t len, unsigned char *vec)
{
	if (system_page() != SEGMENT_PAGE)
		return resident_in_groups(seg, offset, offset + len, vec);
	return mincore(seg->base + offset, (size_t)len, vec) < 0 ? -errno : 0;
}

int segment_count_resident(const struct segment *seg, uint64_t offset, uint64_t len, uint64_t *pages)
{
	unsigned char resident[4096];
	uint64_t end = offset + len;

	*pages = 0;
	for (uint64_t at = offset; at < end; at += sizeof resident * SEGMENT_PAGE) {
		uint64_t left = (end - at) / SEGMENT_PAGE, n = left < sizeof resident ? left : sizeof resident;
		int r = segment_resident(seg, at, n * SEGMENT_PAGE, resident);

		if (r)
			return r;
		for (uint64_t i = 0; i < n; i++)
			*pages += resident[i] & 1;
	}
	return 0;
}

uint64_t segment_pages(const struct segment *seg)
{
	unsigned long long rss, swap;
	uint64_t pages = UINT64_MAX;
	char line[512];
	FILE *f;
	int id;

	if (seg->kind != SEGMENT_SHM)
		return UINT64_MAX;
	f = fopen("/proc/sysvipc/shm", "re");
	/* Fields of a line: the identifier (2), and at the end the bytes in memory (15) and in swap (16). */
	while (f && pages == UINT64_MAX && fgets(line, sizeof line, f))
		if (sscanf(line, "%*d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &id, &rss,
			   &swap) == 3 &&
		    id == seg->shmid)
			pages = (rss + swap) / SEGMENT_PAGE;
	if (f)
		fclose(f);
	return pages;
}
