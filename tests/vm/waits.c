/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * waits: how long a page that is swapped out takes to come back when the server is killed meanwhile.
 *
 *     waits idle|busy KILLS PROCESS-NAME MIB
 *     waits steady PAGES PROCESS-NAME MIB
 *
 * KILLS times it kills the process of that name with SIGKILL, and measures how long an access to a page takes:
 *
 *   idle   nothing was in flight at the moment of the kill; a page is asked for right after it
 *   busy   THREADS threads ask for pages all the time; for each, what counts is the longest access of those that
 *          were going on at some time in the first NEAR_NS after the kill
 *
 * With "steady" nothing is killed: it asks for PAGES pages, one after the other.
 *
 * It has MIB of memory, more than the machine, and picks pages at random; each is checked when it comes. Prints one line: how many waits, and their distribution in ms. Exit status: 0; 1 a page was
 * wrong; 2 the program itself failed.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))
#define THREADS    4u
#define MAX_KILLS  1000u
#define NEAR_NS    UINT64_C(50000000)

struct thread {
	pthread_t id;
	uint64_t random;
	_Atomic uint64_t killed; /* when the server was; 0: nothing to measure */
	_Atomic uint64_t wait;   /* the longest so far */
	_Atomic bool known;      /* and it will not get longer */
};

static struct thread threads[THREADS];
static uint64_t *memory;
static uint64_t pages;
static _Atomic bool end;
static _Atomic unsigned wrong;

static void die(const char *what)
{
	fprintf(stderr, "waits: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

/* ------------------------------------------------------------------ pages */

static uint64_t content(uint64_t page, size_t word)
{
	return (page << 16 | word) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(void)
{
	memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		      0);
	if (memory == MAP_FAILED)
		die("mmap");
	madvise(memory, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	for (uint64_t page = 0; page < pages; page++)
		for (size_t i = 0; i < PAGE_WORDS; i++)
			memory[page * PAGE_WORDS + i] = i % 16 ? 0 : content(page, i);
}

static bool is_in_memory(uint64_t page)
{
	unsigned char there = 0;

	mincore(memory + page * PAGE_WORDS, PAGE_BYTES, &there);
	return there & 1;
}

static void check(uint64_t page)
{
	for (size_t i = 0; i < PAGE_WORDS; i++)
		if (memory[page * PAGE_WORDS + i] != (i % 16 ? 0 : content(page, i))) {
			fprintf(stderr, "waits: page %" PRIu64 " is wrong at word %zu\n", page, i);
			wrong++;
			return;
		}
}

/* A page that is in swap, at random: xorshift64. */
static uint64_t pick(struct thread *t)
{
	for (unsigned tries = 0; tries < 100000; tries++) {
		uint64_t page;

		t->random ^= t->random << 13;
		t->random ^= t->random >> 7;
		t->random ^= t->random << 17;
		page = t->random % pages;
		if (!is_in_memory(page))
			return page;
	}
	fprintf(stderr, "waits: all pages are in memory; MIB has to be more than there is\n");
	exit(2);
}

static void touch(struct thread *t, uint64_t page)
{
	volatile uint64_t *word = memory + page * PAGE_WORDS;
	uint64_t begun = now_ns(), ended, killed;

	(void)*word;
	ended = now_ns();
	killed = t->killed;
	if (killed && begun >= killed + NEAR_NS)
		t->known = true;
	else if (killed && ended > killed && ended - begun > t->wait)
		t->wait = ended - begun;
	check(page);
}

static void *run(void *opaque)
{
	struct thread *t = opaque;
	while (!end)
		touch(t, pick(t));
	return NULL;
}

/* ------------------------------------------------------------------ kills */

/* The process of that name, as its first line in /proc says; 0: none. */
static pid_t find(const char *name)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t pid = 0;

	while (dir && !pid && (entry = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !(f = fopen(path, "re")))
			continue;
		if (fgets(comm, sizeof comm, f) && (comm[strcspn(comm, "\n")] = '\0', strcmp(comm, name) == 0))
			pid = atoi(entry->d_name);
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return pid;
}

static uint64_t kill_it(const char *name)
{
	pid_t pid = find(name);
	uint64_t when = now_ns();

	if (!pid || kill(pid, SIGKILL) < 0) {
		fprintf(stderr, "waits: there is no process %s to kill\n", name);
		exit(2);
	}
	return when;
}

/* Nothing in flight: there is no other thread, and this one has been asleep. */
static unsigned kill_idle(const char *name, uint64_t *waits)
{
	struct thread *t = &threads[0];
	uint64_t page = pick(t);

	sleep_ms(500);
	t->wait = 0;
	t->killed = kill_it(name);
	touch(t, page);
	t->killed = 0;
	waits[0] = t->wait;
	return 1;
}

static unsigned kill_busy(const char *name, uint64_t *waits)
{
	uint64_t when;

	sleep_ms(300 + (unsigned)rand() % 400);
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i].wait = 0;
		threads[i].known = false;
	}
	when = kill_it(name);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i].killed = when;
	for (unsigned i = 0; i < THREADS; i++) {
		while (!threads[i].known)
			sleep_ms(1);
		threads[i].killed = 0;
		waits[i] = threads[i].wait;
	}
	return THREADS;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* One page after the other; each counts, however short. */
static unsigned ask_steadily(unsigned n, uint64_t *waits)
{
	struct thread *t = &threads[0];

	for (unsigned i = 0; i < n; i++) {
		uint64_t page = pick(t);

		waits[i] = now_ns();
		(void)*(volatile uint64_t *)(memory + page * PAGE_WORDS);
		waits[i] = now_ns() - waits[i];
		check(page);
	}
	return n;
}

int main(int argc, char **argv)
{
	static uint64_t waits[MAX_KILLS * THREADS];
	unsigned kills = argc == 5 ? (unsigned)atoi(argv[2]) : 0, n = 0;
	bool busy = argc == 5 && strcmp(argv[1], "busy") == 0, steady = argc == 5 && strcmp(argv[1], "steady") == 0;
	int digits = steady ? 3 : 0;

	pages = argc == 5 ? strtoull(argv[4], NULL, 10) * (1048576 / PAGE_BYTES) : 0;
	if (!kills || !pages || kills > (steady ? MAX_KILLS * THREADS : MAX_KILLS) ||
	    (!busy && !steady && strcmp(argv[1], "idle") != 0)) {
		fprintf(stderr, "usage: waits idle|busy|steady KILLS|PAGES PROCESS-NAME MIB\n");
		return 2;
	}
	fill();
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i].random = i + 1;
		if (busy && pthread_create(&threads[i].id, NULL, run, &threads[i]))
			die("pthread_create");
	}
	if (steady)
		n = ask_steadily(kills, waits);
	for (unsigned i = 0; !steady && i < kills; i++) {
		n += busy ? kill_busy(argv[3], waits + n) : kill_idle(argv[3], waits + n);
		/* The next kill meets a server that has been at work for a while. */
		sleep_ms(1500);
	}
	end = true;
	for (unsigned i = 0; busy && i < THREADS; i++)
		pthread_join(threads[i].id, NULL);
	qsort(waits, n, sizeof waits[0], compare);
	printf("%s kills=%u waits=%u wrong=%u ms: min=%.*f p10=%.*f median=%.*f p90=%.*f p99=%.*f max=%.*f\n", argv[1],
	       steady ? 0 : kills, n, wrong, digits, (double)waits[0] / 1e6, digits, (double)waits[n / 10] / 1e6,
	       digits, (double)waits[n / 2] / 1e6, digits, (double)waits[n * 9 / 10] / 1e6, digits,
	       (double)waits[n * 99 / 100] / 1e6, digits, (double)waits[n - 1] / 1e6);
	return wrong ? 1 : 0;
}
