/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An owner of a store that does what it is told, for spill_test.py. One command a line, one answer a line.
 *
 * spill_driver TABLE: the table of places lies in this file, so that the next process can go on with it.
 *
 *   open LOCATION [NAME=NUMBER...]   open the table's store, or make it: limit (MiB), deadline (ms), existing, take_over,
 *                                    plain, device (its dev_t as a number)
 *   put FIRST COUNT | get FIRST COUNT | drop FIRST COUNT | clean
 *   hold FIRST COUNT                 get, and answer with "held" before: the answer follows when all reads have ended
 *   full                             put until there is an error
 *   status | stats NAME | allocations FIRST COUNT | close
 *
 * Answers: "ok", "ok NUMBER", or the name of an error and what is said of it. get: "ok" and how many of the objects were
 * right, and each error with its number.
 *
 * All allocations of the process are counted: its own, and those of libnbd and its TLS library.
 */
#include "lib/spill_owner.h"

#include <stdatomic.h>

static struct owner owner;
static struct spill_params params;
static char location[400];

/* ------------------------------------------------------------------ allocations */

/* What shared libraries call as well. */
#define SHOWN __attribute__((visibility("default")))

static _Atomic uint64_t allocations;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

SHOWN void *malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(size);
}

SHOWN void *calloc(size_t n, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(n, size);
}

SHOWN void *realloc(void *old, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(old, size);
}

/* ------------------------------------------------------------------ commands */

static void answer(int r, const char *text)
{
	if (r >= 0)
		printf("ok %d\n", r);
	else
		printf("%s %s\n", strerrorname_np(-r), text);
	fflush(stdout);
}

static void set_option(const char *word)
{
	unsigned long long number = 0;
	char name[20] = "";

	must(sscanf(word, "%19[a-z_]=%llu", name, &number) == 2);
	if (strcmp(name, "limit") == 0)
		params.limit = number << 20;
	else if (strcmp(name, "deadline") == 0)
		params.deadline_ms = (unsigned)number;
	else if (strcmp(name, "existing") == 0)
		params.existing = number;
	else if (strcmp(name, "take_over") == 0)
		params.take_over = number;
	else if (strcmp(name, "plain") == 0)
		params.plain = number;
	else if (strcmp(name, "device") == 0)
		params.device = (dev_t)number;
	else
		must(!"an option that is known");
}

static void do_open(char *rest)
{
	struct spill_why why = {""};
	char *word = strtok(rest, " ");

	must(word && strlen(word) < sizeof location);
	spill_params_init(&params);
	strcpy(location, word);
	params.location = location;
	while ((word = strtok(NULL, " ")))
		set_option(word);
	answer(owner_open(&owner, &params, &why), why.text);
}

/* How many reads are right, and how many ended with which error. */
static void do_get(uint32_t first, uint32_t count)
{
	unsigned errors[200] = {0}, right = 0;

	for (uint32_t i = first; i < first + count; i++) {
		int r = owner_get(&owner, i);

		right += r == 0;
		errors[-r]++;
	}
	printf("ok %u", right);
	for (int i = 1; i < 200; i++)
		if (errors[i])
			printf(" %s=%u", strerrorname_np(i), errors[i]);
	printf("\n");
	fflush(stdout);
}

static void do_full(void)
{
	uint32_t number = 0;
	int r = 0;

	while (!r && number + 10 < OWNER_OBJECTS) {
		r = owner_put(&owner, number, 10);
		number += 10;
	}
	printf("%s %u\n", r ? strerrorname_np(-r) : "ok", number);
	fflush(stdout);
}

/* What reading takes out of the heap, a time for each object; without what the test itself allocates. */
static void do_allocations(uint32_t first, uint32_t count)
{
	static uint8_t buffer[SPILL_OBJECT_MOST];
	uint64_t before = allocations;
	int r = 0;

	for (uint32_t i = first; i < first + count && !r; i++) {
		const struct owner_word *word = &owner.table->words[i];
		struct spill_read read = {.place = word->place,
					  .number = i,
					  .buffer = buffer,
					  .bytes = owner_size(&owner, i, word->version)};
		size_t bytes;

		r = spill_get_now(owner.store, &read, &bytes);
	}
	answer(r ? r : (int)(allocations - before), "");
}

static void do_status(void)
{
	struct spill_status status;

	spill_status(owner.store, &status);
	printf("reachable=%d full=%d stuck=%d direct=%d text=%s\n", status.reachable, status.full, status.stuck,
	       status.direct, status.text);
	fflush(stdout);
}

static void do_stats(const char *name)
{
	struct spill_stats stats;

	spill_stats(owner.store, &stats);
	answer((int)(strcmp(name, "reconnects") == 0      ? stats.reconnects
		     : strcmp(name, "discarded") == 0     ? stats.discarded
		     : strcmp(name, "buckets_lost") == 0  ? stats.buckets_lost
		     : strcmp(name, "timed_out") == 0     ? stats.timed_out
		     : strcmp(name, "bytes_written") == 0 ? stats.bytes_written
							  : stats.objects),
	       "");
}

static void carry_out(char *line)
{
	unsigned first = 0, count = 0;
	char name[20] = "";
	int taken = 0;

	line[strcspn(line, "\n")] = '\0';
	sscanf(line, "%19s %n", name, &taken);
	if (strcmp(name, "open") == 0) {
		do_open(line + taken);
		return;
	}
	sscanf(line + taken, "%u %u", &first, &count);
	must(first + count <= OWNER_OBJECTS);
	if (strcmp(name, "hold") == 0) {
		printf("held\n");
		fflush(stdout);
	}
	if (strcmp(name, "get") == 0 || strcmp(name, "hold") == 0) {
		do_get(first, count);
	} else if (strcmp(name, "put") == 0) {
		answer(owner_put(&owner, first, count), "");
	} else if (strcmp(name, "drop") == 0) {
		for (uint32_t i = first; i < first + count; i++)
			owner_drop(&owner, i);
		answer(0, "");
	} else if (strcmp(name, "clean") == 0) {
		answer(owner_clean(&owner), "");
	} else if (strcmp(name, "full") == 0) {
		do_full();
	} else if (strcmp(name, "allocations") == 0) {
		do_allocations(first, count);
	} else if (strcmp(name, "status") == 0) {
		do_status();
	} else if (strcmp(name, "stats") == 0) {
		do_stats(line + taken);
	} else if (strcmp(name, "close") == 0) {
		owner_close(&owner);
		answer(0, "");
	} else {
		must(!"a command that is known");
	}
}

int main(int argc, char **argv)
{
	char line[1000];
	void *table;
	int fd;

	must(argc == 2);
	fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && ftruncate(fd, sizeof(struct owner_table)) == 0);
	table = mmap(NULL, sizeof(struct owner_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(table != MAP_FAILED);
	owner_init(&owner, table, 9000);
	while (fgets(line, sizeof line, stdin))
		carry_out(line);
	/* Before libraries are taken down that the store's threads use. */
	owner_close(&owner);
	return 0;
}
