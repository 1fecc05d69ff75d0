/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One look at a device: what its server says of itself at one moment. Counters are as the server has them, since it began. Of a server of
 * another version some parts are missing, and then empty.
 */
#ifndef TOP_SAMPLE_H
#define TOP_SAMPLE_H

#include "ctl/connection.h"

#include <stddef.h>
#include <stdint.h>

enum sample_work { SAMPLE_READ, SAMPLE_WRITE, SAMPLE_DISCARD, SAMPLE_COMPRESS, SAMPLE_DECOMPRESS, SAMPLE_WORKS };

/* "read"; static. */
const char *sample_work_name(enum sample_work work);

/* How many took longer than the bucket before, and up to `upper_ns`. */
struct sample_bucket {
	uint64_t upper_ns, count;
};

/* Of one kind of work. Buckets are in order, and empty ones are left out. */
struct sample_histogram {
	uint64_t count, sum_ns, max_ns; /* of what was timed */
	uint64_t sampled;               /* one piece of work in so many is timed */
	struct sample_bucket *buckets;
	size_t n;
};

/* A size class of the allocator. */
struct sample_class {
	uint64_t index, size, objects, capacity, pages, freeable_pages;
};

/* Blocks that were last used at least so long ago, and less than the next one says. */
struct sample_age {
	uint64_t from_s, blocks, bytes;
	uint64_t idle; /* of the blocks, marked as idle */
};

/* A part of the server's memory. */
struct sample_part {
	char name[32];
	uint64_t bytes;
};

struct sample {
	int64_t taken_ms; /* place_now_ms() */
	char device[32], algorithm[24], transport[16], version[24];
	uint64_t pid, started_s, size, ages_since_s;
	uint64_t reads, writes, discards, read_bytes, write_bytes;
	uint64_t data, compressed, total, total_max, limit, same_blocks, raw_blocks;
	struct sample_histogram work[SAMPLE_WORKS];
	struct sample_part *memory;
	size_t n_memory;
	struct sample_class *classes;
	size_t n_classes;
	struct sample_age *ages;
	size_t n_ages;
};

/* What is asked for beside description and statistics. */
enum {
	SAMPLE_LATENCIES = 1 << 0,
	SAMPLE_MEMORY = 1 << 1,
	SAMPLE_CLASSES = 1 << 2,
	SAMPLE_AGES = 1 << 3,
};

/*
 * Ask the server. EXIT_DONE; or another EXIT_*, with the reason in connection_problem(): the server does not answer. What it does not know, or has no memory
 * for, is left out. *sample is to be freed either way.
 */
int sample_take(struct sample *sample, struct connection *connection, unsigned wants);
void sample_free(struct sample *sample);

/* Put what a method has answered into the sample; other methods and strange answers do nothing. For sample_take(), and tests. */
void sample_fill(struct sample *sample, const char *method, struct json_object *reply);

#endif
