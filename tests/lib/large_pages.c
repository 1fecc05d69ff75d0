/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For LD_PRELOAD: a kernel whose pages are larger than this one's, as far as a program sees that in sysconf(), mmap(),
 * shmat(), madvise() and mincore(). ZSBLK_TEST_PAGE is their size in bytes, 16384 if it is not set.
 *
 * madvise() of such a kernel refuses a range that begins inside a page, and rounds the end of one up: what lies behind it
 * in the same page is released, or populated, as well. mincore() says one byte for each page.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SMALL  4096u
#define EXPORT __attribute__((visibility("default")))

EXPORT long sysconf(int name);
#undef mmap
#undef mmap64
EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);

static size_t page(void)
{
	const char *given = getenv("ZSBLK_TEST_PAGE");

	return given ? strtoul(given, NULL, 0) : 16384;
}

static size_t round_up(size_t bytes)
{
	return (bytes + page() - 1) & ~(page() - 1);
}

static int refuse(void)
{
	errno = EINVAL;
	return -1;
}

static void *map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
#ifdef SYS_mmap2
	return (void *)syscall(SYS_mmap2, addr, len, prot, flags, fd, offset / SMALL);
#else
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
#endif
}

long sysconf(int name)
{
	static long (*real)(int);

	if (name == _SC_PAGESIZE)
		return (long)page();
	if (!real)
		real = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
	return real(name);
}

/* Address space that begins on a page, and whose last page is whole. */
static void *place(size_t len, int prot)
{
	uintptr_t start, at;

	if (len > SIZE_MAX / 2) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	start = (uintptr_t)map(NULL, round_up(len) + page(), prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if ((void *)start == MAP_FAILED)
		return MAP_FAILED;
	at = round_up(start);
	if (at > start)
		munmap((void *)start, at - start);
	munmap((void *)(at + round_up(len)), start + page() - at);
	return (void *)at;
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *at;

	if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) || !len)
		return map(addr, len, prot, flags, fd, offset);
	at = place(len, PROT_NONE);
	if (at == MAP_FAILED)
		return at;
	if (fd < 0)
		len = round_up(len);
	return map(at, len, prot, flags | MAP_FIXED, fd, offset);
}

/* Without large file support they are two functions. */
EXPORT void *plain_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset) __asm__("mmap");
void *plain_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return mmap64(addr, len, prot, flags, fd, offset);
}

EXPORT void *shmat(int id, const void *addr, int flags)
{
	static void *(*real)(int, const void *, int);
	struct shmid_ds ds;
	void *at;

	if (!real)
		real = (void *(*)(int, const void *, int))dlsym(RTLD_NEXT, "shmat");
	if (addr || shmctl(id, IPC_STAT, &ds) < 0)
		return real(id, addr, flags);
	at = place(ds.shm_segsz, PROT_READ | PROT_WRITE);
	return at == MAP_FAILED ? at : real(id, at, flags | SHM_REMAP);
}

EXPORT int madvise(void *addr, size_t len, int advice)
{
	if ((uintptr_t)addr % page())
		return refuse();
	if (syscall(SYS_madvise, addr, round_up(len), advice) == 0)
		return 0;
	/* The end of a segment: here the rest of its last page is other memory. */
	return round_up(len) == len ? -1 : (int)syscall(SYS_madvise, addr, len, advice);
}

EXPORT int mincore(void *addr, size_t len, unsigned char *vec)
{
	unsigned char *some;
	size_t n = round_up(len) / SMALL, group = page() / SMALL;
	int r;

	if ((uintptr_t)addr % page())
		return refuse();
	some = calloc(n ? n : 1, 1);
	if (!some)
		return refuse();
	r = (int)syscall(SYS_mincore, addr, round_up(len), some);
	if (r < 0)
		r = (int)syscall(SYS_mincore, addr, len, some);
	for (size_t i = 0; i < n / group && r == 0; i++) {
		vec[i] = 0;
		for (size_t j = 0; j < group; j++)
			vec[i] |= some[i * group + j];
	}
	free(some);
	return r;
}
