/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store against a table that always tells the truth: what a place of the table names is there, with the right bytes.
 *
 * A child opens the store, reads every object, and then puts, replaces, drops, reads, cleans and changes the limit, at
 * random, while two threads read. It is killed at a random moment, or closes the store; then the next one goes on with
 * the same table, which outlives the processes as a segment does. The store has little more room than the objects need,
 * so that buckets are used again all the time.
 *
 * spill_model [--kills N] [--seed N] [--plain] [--most BYTES]
 */
#include "lib/spill_owner.h"

#include <getopt.h>
#include <stdatomic.h>

#define LIMIT   (UINT64_C(24) << 20)
#define READERS 2u

static struct owner owner;
static struct spill_params params;
static uint64_t seed;
static _Atomic bool is_over;

/* About two thirds of the room when all of them are there. */
static uint32_t objects(void)
{
	size_t number = (size_t)(LIMIT / 3 * 2 / (owner.most / 2 + 48));

	return (uint32_t)(number < OWNER_OBJECTS ? number : OWNER_OBJECTS);
}

static void *read_on(void *opaque)
{
	uint64_t random = seed ^ (uintptr_t)opaque;

	while (!is_over) {
		int r = owner_get(&owner, (uint32_t)random_below(&random, objects()));

		must(r == 0);
	}
	return NULL;
}

static void put_some(uint64_t *random)
{
	uint32_t count = (uint32_t)random_below(random, 40) + 1;
	uint32_t first = (uint32_t)random_below(random, objects() - count);
	int r = owner_put(&owner, first, count);

	must(r == 0 || r == -ENOSPC);
	if (r)
		for (uint32_t i = 0; i < count; i++)
			owner_drop(&owner, (uint32_t)random_below(random, objects()));
}

/* With a limit below what is in use there may be no room for cleaning either. */
static void clean_one(void)
{
	bool more;
	int r = spill_clean_step(owner.store, &more);

	must(r == 0 || r == -ENOSPC);
}

static void step(uint64_t *random)
{
	static const uint64_t limits[] = {LIMIT / 4 * 3, LIMIT / 2, LIMIT, SPILL_LEAST};

	switch (random_below(random, 16)) {
	case 0:
	case 1:
		for (unsigned i = 0; i < 20; i++)
			owner_drop(&owner, (uint32_t)random_below(random, objects()));
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		clean_one();
		break;
	case 6:
		must(spill_set_limit(owner.store, limits[random_below(random, 4)]) == 0);
		break;
	case 7:
		must(owner_get(&owner, (uint32_t)random_below(random, objects())) == 0);
		break;
	default:
		put_some(random);
		break;
	}
}

static void work(uint64_t random)
{
	struct spill_why why;
	pthread_t reader[READERS];
	unsigned steps = (unsigned)random_below(&random, 120);

	if (owner_open(&owner, &params, &why)) {
		fprintf(stderr, "spill_model: --seed %" PRIu64 ": %s\n", seed, why.text);
		abort();
	}
	must(owner_get_all(&owner) == 0);
	for (uintptr_t i = 0; i < READERS; i++)
		must(pthread_create(&reader[i], NULL, read_on, (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < steps; i++)
		step(&random);
	is_over = true;
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(reader[i], NULL);
	must(spill_set_limit(owner.store, 0) == 0 && owner_clean(&owner) == 0);
	must(owner_get_all(&owner) == 0);
	owner_close(&owner);
}

/* One process on the store. True: it was killed. */
static bool run_one(uint64_t *random)
{
	uint64_t its = random_next(random);
	struct timespec moment = {.tv_nsec = (long)random_below(random, 60000000)};
	bool is_to_be_killed = random_below(random, 4) != 0;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		work(its);
		_exit(0);
	}
	must(pid > 0);
	if (is_to_be_killed) {
		nanosleep(&moment, NULL);
		kill(pid, SIGKILL);
	}
	must(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return false;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	fprintf(stderr, "spill_model: --seed %" PRIu64 ": status %d\n", seed, status);
	exit(1);
}

static unsigned take_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"kills", required_argument, NULL, 'k'},
		{"seed", required_argument, NULL, 's'},
		{"plain", no_argument, NULL, 'p'},
		{"most", required_argument, NULL, 'm'},
		{NULL, 0, NULL, 0},
	};
	unsigned kills = 60;
	size_t most = 20000;
	int option;

	seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		if (option == 'k')
			kills = (unsigned)strtoul(optarg, NULL, 0);
		else if (option == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (option == 'p')
			params.plain = true;
		else if (option == 'm')
			most = strtoul(optarg, NULL, 0);
		else
			exit(2);
	owner_init(&owner, owner_new_table(), most);
	return test_amount(kills);
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/zsblk-spill-XXXXXX", path[sizeof folder + 10];
	unsigned runs, killed = 0;
	uint64_t random;

	spill_params_init(&params);
	runs = take_options(argc, argv);
	printf("# spill_model --seed %" PRIu64 "\n", seed);
	must(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/store", folder);
	params.location = path;
	params.limit = LIMIT;
	/* A process may be killed when the store is made, and the table does not know of it yet. */
	params.existing = params.take_over = true;
	random = seed;
	for (unsigned i = 0; i < runs; i++)
		killed += run_one(&random);
	work(random);
	printf("# %u processes, %u of them killed, sequence %" PRIu64 "\n", runs, killed, owner.table->sequence);
	unlink(path);
	rmdir(folder);
	return 0;
}
