/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the record of a segment of format 1. Built against the library of the commit that `make` names, and run by that
 * script: make OUTPUT. The record goes there uncompressed. make --compare RECORD RECORD: do they differ in what may differ only?
 *
 * A child fills a device through the library, overwriting and discarding, so that zspages are partly filled
 * and objects were moved; then it is killed in the middle of more of the same on the last block, which is never looked at.
 */
#include "format1.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zsblk.h>

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void put(struct zsblk *dev, uint64_t block, uint64_t like)
{
	uint8_t bytes[FORMAT1_PAGE];

	format1_block(like, bytes);
	must(zsblk_write(dev, bytes, sizeof bytes, block * FORMAT1_PAGE) == 0, "zsblk_write");
}

static struct zsblk *open_device(const char *memory)
{
	struct zsblk_params params;
	struct zsblk_why why = {""};
	struct zsblk *dev;

	zsblk_params_init(&params);
	params.size = (FORMAT1_BLOCKS + 1) * (uint64_t)FORMAT1_PAGE;
	params.memory = memory;
	params.lock_shared = false;
	if (zsblk_open(&params, &dev, &why) || zsblk_start(dev, &why)) {
		fprintf(stderr, "%s\n", why.text);
		exit(1);
	}
	return dev;
}

static void fill_and_go_on(const char *memory, int done)
{
	struct zsblk *dev = open_device(memory);

	for (uint64_t block = 0; block < FORMAT1_BLOCKS; block++)
		put(dev, block, block + 5);
	for (uint64_t block = 0; block < FORMAT1_BLOCKS; block += 2)
		must(zsblk_discard(dev, FORMAT1_PAGE, block * FORMAT1_PAGE) == 0, "zsblk_discard");
	zsblk_compact(dev);
	for (uint64_t block = 0; block < FORMAT1_BLOCKS; block++)
		put(dev, block, block);
	must(write(done, "", 1) == 1, "write");
	for (uint64_t i = 0;; i++)
		put(dev, FORMAT1_BLOCKS, i);
}

static void record(FILE *f, const uint8_t *base, uint64_t bytes, uint64_t identity)
{
	unsigned char *resident = malloc(bytes / FORMAT1_PAGE);
	uint64_t pages = 0;

	must(resident && mincore((void *)base, bytes, resident) == 0, "mincore");
	for (uint64_t page = 0; page < bytes / FORMAT1_PAGE; page++)
		pages += resident[page] & 1;
	fwrite(&bytes, 8, 1, f);
	fwrite(&identity, 8, 1, f);
	fwrite(&pages, 8, 1, f);
	for (uint64_t page = 0; page < bytes / FORMAT1_PAGE; page++)
		if (resident[page] & 1) {
			fwrite(&page, 8, 1, f);
			fwrite(base + page * FORMAT1_PAGE, FORMAT1_PAGE, 1, f);
		}
	free(resident);
}

static int make(int argc, char **argv)
{
	int key = 0x66310000 | (getpid() & 0xffff), done[2], id;
	char memory[24], byte;
	struct shmid_ds ds;
	uint8_t *base;
	FILE *f;
	pid_t pid;

	must(argc == 2 && (f = fopen(argv[1], "wx")), "usage: make OUTPUT");
	snprintf(memory, sizeof memory, "shm:0x%x", (unsigned)key);
	must(pipe(done) == 0, "pipe");
	pid = fork();
	if (pid == 0)
		fill_and_go_on(memory, done[1]);
	must(pid > 0 && read(done[0], &byte, 1) == 1, "the child");
	usleep(20000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	id = shmget(key, 0, 0);
	base = shmat(id, NULL, SHM_RDONLY);
	must(id >= 0 && base != (void *)-1 && shmctl(id, IPC_STAT, &ds) == 0, "the segment");
	must(ds.shm_cpid == pid, "a segment with this key that is not ours");
	record(f, base, ds.shm_segsz, (uint64_t)pid);
	shmctl(id, IPC_RMID, NULL);
	must(fclose(f) == 0, argv[1]);
	return 0;
}

/* ------------------------------------------------------------------ comparing */

/* Where format 1 has the claim; and the word of the last block, in a segment with so few blocks: map and table follow the superblock. */
#define CLAIM     224u
#define LAST_WORD (2 * FORMAT1_PAGE + 8 * FORMAT1_BLOCKS)
/* The pages up to the end of the table. */
#define TABLE_END (LAST_WORD / FORMAT1_PAGE + 1)

struct record {
	uint64_t bytes, identity, pages;
	struct {
		uint64_t number;
		uint8_t bytes[FORMAT1_PAGE];
	} * page;
};

static struct record read_record(const char *path)
{
	struct record record;
	FILE *f = fopen(path, "r");

	must(f && fread(&record, 8, 3, f) == 3 && record.pages < 1 << 20, path);
	record.page = calloc(record.pages, sizeof *record.page);
	must(record.page && fread(record.page, sizeof *record.page, record.pages, f) == record.pages, path);
	fclose(f);
	return record;
}

/* A page up to the end of the table, or NULL. Not what the process that was killed has of its own, nor what it was doing. */
static const uint8_t *page_of(struct record *record, uint64_t number)
{
	for (uint64_t i = 0; i < record->pages; i++) {
		uint8_t *bytes = record->page[i].bytes;

		if (record->page[i].number != number)
			continue;
		if (number == 0)
			memset(bytes + CLAIM, 0, 8);
		if (number == LAST_WORD / FORMAT1_PAGE)
			memset(bytes + LAST_WORD % FORMAT1_PAGE, 0, 8);
		return bytes;
	}
	return NULL;
}

static int compare(const char *one_path, const char *other_path)
{
	struct record one = read_record(one_path), other = read_record(other_path);
	unsigned different = one.bytes != other.bytes;

	for (uint64_t number = 0; number < TABLE_END; number++) {
		const uint8_t *a = page_of(&one, number), *b = page_of(&other, number);

		if (!a || !b || memcmp(a, b, FORMAT1_PAGE) != 0) {
			printf("page %llu is another one\n", (unsigned long long)number);
			different++;
		}
	}
	if (!different)
		puts("superblock, map and words are the same");
	return different != 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--compare") == 0)
		return compare(argv[2], argv[3]);
	return make(argc, argv);
}
