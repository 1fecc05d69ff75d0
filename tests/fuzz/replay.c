/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fuzz target without a fuzzer: its corpus, and changed copies of it.
 *
 *   fuzz_NAME [--changes N] [--seed S] FILE-OR-FOLDER...
 *
 * Runs every file, then N changed copies of each. What is done follows from the seed, 1 unless
 * given, so every run is the same. With ZSBLK_FUZZ_SECONDS=N it goes on for that long instead, with
 * seeds that follow. An input that ends the program is left in the file "crash-input", to be run
 * alone.
 */
#include "fuzz/input.h"
#include "lib/base.h"
#include "lib/random.h"

#include <dirent.h>
#include <sys/stat.h>

#define LONGEST 16384u
#define FILES   1000u

static struct {
	uint8_t *bytes;
	size_t len;
} files[FILES];
static unsigned nfiles;

static uint8_t input[LONGEST];
static size_t input_len;
static unsigned long runs;

static void keep_input(int sig)
{
	int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n = write(fd, input, input_len);

	(void)n;
	signal(sig, SIG_DFL);
	raise(sig);
}

static void run(void)
{
	uint8_t *copy = malloc(input_len ? input_len : 1);

	/* In a block of its own, so that sanitizers see what is read beyond it. */
	memcpy(copy, input, input_len);
	LLVMFuzzerTestOneInput(copy, input_len);
	free(copy);
	runs++;
}

/* ------------------------------------------------------------------ the corpus */

static void load_file(const char *path)
{
	FILE *f = fopen(path, "rbe");

	must(f && nfiles < FILES);
	files[nfiles].bytes = malloc(LONGEST);
	files[nfiles].len = fread(files[nfiles].bytes, 1, LONGEST, f);
	fclose(f);
	nfiles++;
}

static void load(const char *path)
{
	struct dirent **entries;
	struct stat st;
	char inside[4096];
	int n;

	if (stat(path, &st)) {
		perror(path);
		exit(2);
	}
	if (!S_ISDIR(st.st_mode)) {
		load_file(path);
		return;
	}
	/* In a fixed order. */
	n = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			load_file(inside);
		free(entries[i]);
	}
	free(entries);
}

/* ------------------------------------------------------------------ changes */

static void change_bytes(uint64_t *random)
{
	size_t at = random_below(random, input_len), n = 1 + random_below(random, 8);

	n = n < input_len - at ? n : input_len - at;
	switch (random_below(random, 4)) {
	case 0:
		input[at] ^= (uint8_t)(1u << random_below(random, 8));
		break;
	case 1:
		memset(input + at, random_below(random, 2) ? 0xff : 0, n);
		break;
	case 2:
		input[at] = (uint8_t)(input[at] + random_below(random, 9) - 4);
		break;
	default:
		for (size_t i = 0; i < n; i++)
			input[at + i] = (uint8_t)random_next(random);
	}
}

/* A stretch taken out, or put in from another file. */
static void change_length(uint64_t *random)
{
	unsigned other = (unsigned)random_below(random, nfiles);
	size_t at = random_below(random, input_len + 1), n = random_below(random, 64), from;

	if (random_below(random, 2)) {
		n = n < input_len - at ? n : input_len - at;
		memmove(input + at, input + at + n, input_len - at - n);
		input_len -= n;
		return;
	}
	n = n < files[other].len ? n : files[other].len;
	n = n < LONGEST - input_len ? n : LONGEST - input_len;
	from = random_below(random, files[other].len - n + 1);
	memmove(input + at + n, input + at, input_len - at);
	memcpy(input + at, files[other].bytes + from, n);
	input_len += n;
}

static void run_changed(unsigned file, uint64_t seed)
{
	unsigned changes;

	input_len = files[file].len;
	memcpy(input, files[file].bytes, input_len);
	for (changes = 1 + (unsigned)random_below(&seed, 12); changes--;) {
		if (!input_len || random_below(&seed, 4) == 0)
			change_length(&seed);
		else
			change_bytes(&seed);
	}
	run();
}

int main(int argc, char **argv)
{
	const char *seconds = getenv("ZSBLK_FUZZ_SECONDS");
	time_t end = time(NULL) + (seconds ? atoi(seconds) : 0);
	uint64_t seed = 1, changes = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--changes") == 0 && i + 1 < argc)
			changes = test_amount((unsigned)atoi(argv[++i]));
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else
			load(argv[i]);
	}
	signal(SIGABRT, keep_input);
	signal(SIGSEGV, keep_input);
	signal(SIGBUS, keep_input);
	for (unsigned file = 0; file < nfiles; file++) {
		input_len = files[file].len;
		memcpy(input, files[file].bytes, input_len);
		run();
	}
	for (uint64_t n = 0; nfiles && (seconds ? time(NULL) < end : n < changes); n++)
		for (unsigned file = 0; file < nfiles; file++)
			run_changed(file, seed * 1000003 + n * FILES + file);
	printf("%lu inputs\n", runs);
	for (unsigned file = 0; file < nfiles; file++)
		free(files[file].bytes);
	return 0;
}
