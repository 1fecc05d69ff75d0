/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hog: fills more memory than the machine has, then reads it all back and checks every byte.
 *
 *     hog [-p PROCESSES] [-m MIB] [-r ROUNDS] [-w PERCENT] [-s SEED] [-t SECONDS] [-H] [-u FILE]
 *
 * Each of PROCESSES fills its share of MIB, then goes over it ROUNDS times in random order,
 * comparing each page with what it must be, and rewriting PERCENT of them with something new; none
 * begins before all are filled. With -H it waits for the end of its standard input between filling
 * and the first round, having said "hog: filled". With -t those that are not done after SECONDS are
 * killed. With -u there are further rounds until there is a file of that name.
 *
 * What a page holds is a function of seed, process, page and generation alone, so nothing but one byte
 * per page, its generation, has to be remembered. The kinds of pages and their shares are chosen after
 * the resident anonymous pages of ordinary programs, which lz4 packs 3.6 to 1.
 *
 * Exit status: 0 all pages right; 1 a page was wrong; 2 the program itself failed; 3 no page was
 * wrong, but a process was killed (by the OOM killer, or for a page that could not be read).
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES    4096
#define PAGE_WORDS    (PAGE_BYTES / sizeof(uint64_t))
#define MAX_PROCESSES 64

struct options {
	unsigned processes;
	unsigned mib;
	unsigned rounds;
	unsigned rewrite_percent;
	unsigned seconds;
	uint64_t seed;
	const char *until;
	bool hold;
};

/* One per process, in shared memory: what it found, even when it is killed. */
struct result {
	uint64_t pages;
	uint64_t checked;
	uint64_t wrong;
	uint64_t fill_ns;
	uint64_t check_ns;
	uint64_t longest_ns; /* the longest that one page took to come */
	_Atomic bool filled; /* or never will be: the process is gone */
};

static void die(const char *what)
{
	fprintf(stderr, "hog: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ------------------------------------------------------------------ content */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* xorshift64: cheap, since it also runs under emulation. */
static uint64_t next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static void fill_same(uint64_t *words, uint64_t word)
{
	for (size_t i = 0; i < PAGE_WORDS; i++)
		words[i] = word;
}

static void fill_random(uint64_t *words, uint64_t *state)
{
	for (size_t i = 0; i < PAGE_WORDS; i++)
		words[i] = next(state);
}

/* Words out of a small vocabulary, as in logs, markup and source. */
static void fill_text(uint64_t *words, uint64_t *state)
{
	static const char vocabulary[32][8] = {
		"the ",    "page ", "memory ", "of ",   "block ", "and ", "to ",    "write ",
		"kernel ", "a ",    "device ", "in ",   "reads ", "is ",  "pool ",  "for ",
		"swap ",   "that ", "object ", "with ", "\n",     ", ",   ". ",     "not ",
		"queue ",  "on ",   "thread ", "by ",   "limit ", "it ",  "class ", "as ",
	};
	char *text = (char *)words;
	size_t used = 0;

	while (used < PAGE_BYTES) {
		uint64_t bits = next(state);

		for (unsigned i = 0; i < 6 && used < PAGE_BYTES; i++, bits >>= 5) {
			const char *word = vocabulary[bits & 31];
			size_t len = strnlen(word, sizeof(vocabulary[0]));

			if (len > PAGE_BYTES - used)
				len = PAGE_BYTES - used;
			memcpy(text + used, word, len);
			used += len;
		}
		/* A number now and then keeps it from being too regular. */
		if ((bits & 3) == 0 && used < PAGE_BYTES)
			text[used++] = (char)('0' + (bits >> 2) % 10);
	}
}

/* Small structures with pointers into one heap, lengths and flags. */
static void fill_pointers(uint64_t *words, uint64_t *state)
{
	uint64_t heap = UINT64_C(0x00007f0000000000) | (next(state) & UINT64_C(0xfff00000));

	for (size_t i = 0; i < PAGE_WORDS; i++) {
		uint64_t bits = next(state);

		switch (i & 7) {
		case 0:
			words[i] = heap + 0x1a40;
			break;
		case 1:
		case 4:
			words[i] = heap + (bits & UINT64_C(0xffff0));
			break;
		case 3:
			words[i] = bits & 63;
			break;
		case 6:
			words[i] = bits & 1 ? heap + 0x2000 : 0;
			break;
		default:
			words[i] = 0;
		}
	}
}

/* Mostly zero, a few values: fresh heaps, bitmaps, tables. */
static void fill_sparse(uint64_t *words, uint64_t *state)
{
	memset(words, 0, PAGE_BYTES);
	for (size_t i = 0; i < PAGE_WORDS / 16; i++) {
		uint64_t bits = next(state);

		words[bits % PAGE_WORDS] = bits >> 40;
	}
}

static void make_page(uint64_t *words, uint64_t seed, unsigned process, uint64_t page, unsigned generation)
{
	uint64_t state = mix(seed + mix(page + mix(process * UINT64_C(0x9e3779b97f4a7c15) + generation))) | 1;
	unsigned kind = (unsigned)(next(&state) >> 32) % 100;

	if (kind < 6)
		fill_same(words, 0);
	else if (kind < 12)
		fill_same(words, next(&state));
	else if (kind < 18)
		fill_random(words, &state);
	else if (kind < 36)
		fill_text(words, &state);
	else if (kind < 74)
		fill_pointers(words, &state);
	else
		fill_sparse(words, &state);
}

/* ------------------------------------------------------------------ order */

/*
 * The i-th page of a random order of n pages: a Feistel network over the next even power of two,
 * walked until it falls inside, so that no list of page numbers has to be kept.
 */
static uint64_t shuffled(uint64_t i, uint64_t n, uint64_t key)
{
	unsigned half = 1;

	while ((UINT64_C(1) << (2 * half)) < n)
		half++;

	uint64_t mask = (UINT64_C(1) << half) - 1;

	do {
		uint64_t left = i >> half, right = i & mask;

		for (unsigned round = 0; round < 4; round++) {
			uint64_t swap = left ^ (mix(right + key + round) & mask);

			left = right;
			right = swap;
		}
		i = left << half | right;
	} while (i >= n);
	return i;
}

/* ------------------------------------------------------------------ one process */

static void *map(uint64_t bytes, int kind)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static void wait_for_end_of_input(void)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

static void report_wrong(unsigned process, uint64_t page, const uint64_t *found, const uint64_t *expected)
{
	size_t i = 0;

	while (found[i] == expected[i])
		i++;
	fprintf(stderr,
		"hog: process %u page %" PRIu64 " wrong at byte %zu: %016" PRIx64 " instead of %016" PRIx64 "\n",
		process, page, i * sizeof(uint64_t), found[i], expected[i]);
}

static void check_round(const struct options *o, unsigned process, unsigned round, uint64_t *memory,
			uint8_t *generations, struct result *result)
{
	uint64_t expected[PAGE_WORDS], key = mix(o->seed + process * 1000u + round);

	for (uint64_t i = 0; i < result->pages; i++) {
		uint64_t page = shuffled(i, result->pages, key);
		volatile uint64_t *words = memory + page * PAGE_WORDS;
		uint64_t start = now_ns(), waited;

		(void)words[0];
		waited = now_ns() - start;
		if (waited > result->longest_ns)
			result->longest_ns = waited;

		make_page(expected, o->seed, process, page, generations[page]);
		if (memcmp(memory + page * PAGE_WORDS, expected, PAGE_BYTES) != 0) {
			if (result->wrong++ < 10)
				report_wrong(process, page, memory + page * PAGE_WORDS, expected);
		}
		result->checked++;
		if (mix(key + page) % 100 < o->rewrite_percent) {
			generations[page]++;
			make_page(memory + page * PAGE_WORDS, o->seed, process, page, generations[page]);
		}
	}
}

/* All have their memory before any looks at it again: so all of it is needed at the same time. */
static void wait_for_others(const struct options *o, const struct result *results)
{
	for (unsigned i = 0; i < o->processes; i++)
		while (!results[i].filled)
			usleep(10000);
}

/* A page's generation is one byte. */
static bool goes_on(const struct options *o, unsigned round)
{
	return o->until && round < UINT8_MAX && access(o->until, F_OK) != 0;
}

static int run_process(const struct options *o, unsigned process, struct result *results)
{
	struct result *result = &results[process];
	uint64_t pages = (uint64_t)o->mib * (1048576 / PAGE_BYTES) / o->processes;
	uint64_t *memory = map(pages * PAGE_BYTES, MAP_PRIVATE);
	uint8_t *generations = map(pages, MAP_PRIVATE);
	uint64_t start = now_ns();

	/* Pages of 4 KiB, whatever the system's default is. */
	(void)madvise(memory, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	for (uint64_t page = 0; page < pages; page++)
		make_page(memory + page * PAGE_WORDS, o->seed, process, page, 0);
	result->pages = pages;
	result->fill_ns = now_ns() - start;
	result->filled = true;
	wait_for_others(o, results);

	if (o->hold) {
		printf("hog: filled\n");
		fflush(stdout);
		wait_for_end_of_input();
	}

	start = now_ns();
	for (unsigned round = 0; round < o->rounds || goes_on(o, round); round++)
		check_round(o, process, round, memory, generations, result);
	result->check_ns = now_ns() - start;
	return result->wrong ? 1 : 0;
}

/* ------------------------------------------------------------------ all of them */

static pid_t pids[MAX_PROCESSES];

static void kill_all(int signal)
{
	(void)signal;
	for (unsigned i = 0; i < MAX_PROCESSES; i++) {
		if (pids[i])
			kill(pids[i], SIGKILL);
	}
}

static unsigned long number(const char *text, const char *what, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno || end == text || *end || value > max) {
		fprintf(stderr, "hog: %s: not a number up to %lu: %s\n", what, max, text);
		exit(2);
	}
	return value;
}

static struct options parse(int argc, char **argv)
{
	struct options o = {.processes = 2, .mib = 64, .rounds = 2, .rewrite_percent = 25, .seed = 1};
	int c;

	while ((c = getopt(argc, argv, "p:m:r:w:s:t:u:H")) != -1) {
		switch (c) {
		case 'p':
			o.processes = (unsigned)number(optarg, "processes", MAX_PROCESSES);
			break;
		case 'm':
			o.mib = (unsigned)number(optarg, "MiB", 1u << 20);
			break;
		case 'r':
			/* A page's generation is one byte. */
			o.rounds = (unsigned)number(optarg, "rounds", UINT8_MAX);
			break;
		case 'w':
			o.rewrite_percent = (unsigned)number(optarg, "percent", 100);
			break;
		case 's':
			o.seed = number(optarg, "seed", UINT32_MAX);
			break;
		case 't':
			o.seconds = (unsigned)number(optarg, "seconds", 86400);
			break;
		case 'u':
			o.until = optarg;
			break;
		case 'H':
			o.hold = true;
			break;
		default:
			fprintf(stderr, "usage: hog [-p PROCESSES] [-m MIB] [-r ROUNDS] [-w PERCENT] [-s SEED]"
					" [-t SECONDS] [-H] [-u FILE]\n");
			exit(2);
		}
	}
	if (o.processes == 0 || optind != argc) {
		fprintf(stderr, "hog: at least one process, and no arguments but options\n");
		exit(2);
	}
	return o;
}

static uint64_t longer(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct result *results = map(o.processes * sizeof(*results), MAP_SHARED);
	struct result sum = {0};
	unsigned killed = 0, failed = 0;
	uint64_t start = now_ns();
	pid_t pid;
	int status;

	for (unsigned i = 0; i < o.processes; i++) {
		pid = fork();
		if (pid < 0)
			die("fork");
		if (pid == 0)
			_exit(run_process(&o, i, results));
		pids[i] = pid;
	}
	/* When nothing else moves, this process still has to. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		perror("hog: mlockall");
	signal(SIGALRM, kill_all);
	alarm(o.seconds);
	while ((pid = wait(&status)) > 0) {
		for (unsigned i = 0; i < o.processes; i++)
			if (pids[i] == pid)
				results[i].filled = true;
		if (WIFSIGNALED(status))
			killed++;
		else if (WEXITSTATUS(status) > 1)
			failed++;
	}
	for (unsigned i = 0; i < o.processes; i++) {
		sum.pages += results[i].pages;
		sum.checked += results[i].checked;
		sum.wrong += results[i].wrong;
		sum.fill_ns = longer(sum.fill_ns, results[i].fill_ns);
		sum.check_ns = longer(sum.check_ns, results[i].check_ns);
		sum.longest_ns = longer(sum.longest_ns, results[i].longest_ns);
	}
	printf("hog: processes=%u killed=%u pages=%" PRIu64 " checked=%" PRIu64 " wrong=%" PRIu64 " fill_ms=%" PRIu64
	       " check_ms=%" PRIu64 " longest_ms=%" PRIu64 " total_ms=%" PRIu64 "\n",
	       o.processes, killed, sum.pages, sum.checked, sum.wrong, sum.fill_ns / 1000000, sum.check_ns / 1000000,
	       sum.longest_ns / 1000000, (now_ns() - start) / 1000000);
	if (sum.wrong)
		return 1;
	if (failed)
		return 2;
	return killed ? 3 : 0;
}
