/* SPDX-License-Identifier: BSD-3-Clause */
/* One look at a device. See sample.h. */
#include "ctl/top/sample.h"

#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server has a few hundred classes, and as many buckets. More are not believed. */
#define MOST_ITEMS 4096u
/* Classes are asked for by the page: an answer has 64 KiB at most. */
#define PAGES_MOST 64u

static const char *const work_names[SAMPLE_WORKS] = {"read", "write", "discard", "compress", "decompress"};

const char *sample_work_name(enum sample_work work)
{
	return work_names[work];
}

/* ------------------------------------------------------------------ answers */

/* Room for the items of a list behind the `n` that there are. NULL: there is none to be had, or nothing to be put there. */
static void *make_room(void **items, size_t n, struct json_object *list, size_t size)
{
	size_t more = list ? json_object_array_length(list) : 0;
	void *grown = more && n + more <= MOST_ITEMS ? reallocarray(*items, n + more, size) : NULL;

	if (grown)
		*items = grown;
	return grown;
}

static void copy_text(char *to, size_t size, struct json_object *object, const char *name)
{
	snprintf(to, size, "%s", member_text(object, name));
}

static void fill_description(struct sample *sample, struct json_object *reply)
{
	copy_text(sample->device, sizeof sample->device, reply, "device");
	copy_text(sample->algorithm, sizeof sample->algorithm, reply, "algorithm");
	copy_text(sample->transport, sizeof sample->transport, reply, "transport");
	copy_text(sample->version, sizeof sample->version, reply, "version");
	sample->pid = member_number(reply, "pid");
	sample->started_s = member_number(reply, "started_s");
	sample->size = member_number(reply, "size");
	sample->ages_since_s = member_number(reply, "ages_since_s");
}

static void fill_statistics(struct sample *sample, struct json_object *reply)
{
	struct json_object *all = member_object(reply, "statistics");

	if (!all)
		return;
	sample->reads = member_number(all, "reads");
	sample->writes = member_number(all, "writes");
	sample->discards = member_number(all, "discards") + member_number(all, "zeroes");
	sample->read_bytes = member_number(all, "read_bytes");
	sample->write_bytes = member_number(all, "write_bytes");
	sample->data = member_number(all, "orig_data_size");
	sample->compressed = member_number(all, "compr_data_size");
	sample->total = member_number(all, "mem_used_total");
	sample->total_max = member_number(all, "mem_used_max");
	sample->limit = member_number(all, "mem_limit");
	sample->same_blocks = member_number(all, "same_pages");
	sample->raw_blocks = member_number(all, "huge_pages");
}

static int compare_buckets(const void *a, const void *b)
{
	const struct sample_bucket *one = a, *other = b;

	return (one->upper_ns > other->upper_ns) - (one->upper_ns < other->upper_ns);
}

static void fill_histogram(struct sample_histogram *histogram, struct json_object *latency)
{
	struct json_object *list = member_array(latency, "buckets");

	free(histogram->buckets);
	*histogram = (struct sample_histogram){.count = member_number(latency, "count"),
					       .sum_ns = member_number(latency, "sum_ns"),
					       .max_ns = member_number(latency, "max_ns"),
					       .sampled = member_number(latency, "sampled")};
	if (!make_room((void **)&histogram->buckets, 0, list, sizeof *histogram->buckets))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *bucket = json_object_array_get_idx(list, i);

		histogram->buckets[histogram->n++] =
			(struct sample_bucket){member_number(bucket, "upper_ns"), member_number(bucket, "count")};
	}
	qsort(histogram->buckets, histogram->n, sizeof *histogram->buckets, compare_buckets);
}

static void fill_latencies(struct sample *sample, struct json_object *reply)
{
	struct json_object *list = member_array(reply, "latencies");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *latency = json_object_array_get_idx(list, i);

		for (enum sample_work work = 0; work < SAMPLE_WORKS; work++)
			if (strcmp(member_text(latency, "what"), work_names[work]) == 0)
				fill_histogram(&sample->work[work], latency);
	}
}

static void fill_memory(struct sample *sample, struct json_object *reply)
{
	struct json_object *all = member_object(reply, "memory");
	size_t n = all ? (size_t)json_object_object_length(all) : 0;

	free(sample->memory);
	sample->n_memory = 0;
	sample->memory = n && n <= MOST_ITEMS ? calloc(n, sizeof *sample->memory) : NULL;
	if (!sample->memory)
		return;
	json_object_object_foreach(all, key, value)
	{
		struct sample_part *part = &sample->memory[sample->n_memory++];

		snprintf(part->name, sizeof part->name, "%s", key);
		part->bytes = value ? json_object_get_uint64(value) : 0;
	}
}

static void fill_classes(struct sample *sample, struct json_object *reply)
{
	struct json_object *list = member_array(reply, "classes");

	if (!make_room((void **)&sample->classes, sample->n_classes, list, sizeof *sample->classes))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		sample->classes[sample->n_classes++] = (struct sample_class){
			.index = member_number(one, "index"),
			.size = member_number(one, "size"),
			.objects = member_number(one, "objects"),
			.capacity = member_number(one, "capacity"),
			.pages = member_number(one, "pages"),
			.freeable_pages = member_number(one, "freeable_pages"),
		};
	}
}

static void fill_ages(struct sample *sample, struct json_object *reply)
{
	struct json_object *list = member_array(reply, "ages");

	if (!make_room((void **)&sample->ages, sample->n_ages, list, sizeof *sample->ages))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		sample->ages[sample->n_ages++] = (struct sample_age){.from_s = member_number(one, "from_s"),
								     .blocks = member_number(one, "blocks"),
								     .bytes = member_number(one, "bytes"),
								     .idle = member_number(one, "idle")};
	}
}

/* ------------------------------------------------------------------ asking */

static const struct {
	const char *method;
	unsigned wanted; /* 0: always, and a server that does not know it cannot be shown */
	void (*fill)(struct sample *sample, struct json_object *reply);
} methods[] = {
	{"GetDescription", 0, fill_description},
	{"GetStatistics", 0, fill_statistics},
	{"GetLatencies", SAMPLE_LATENCIES, fill_latencies},
	{"GetMemory", SAMPLE_MEMORY, fill_memory},
	{"GetClasses", SAMPLE_CLASSES, fill_classes},
	{"GetAges", SAMPLE_AGES, fill_ages},
};

#define METHODS (sizeof methods / sizeof methods[0])

void sample_fill(struct sample *sample, const char *method, struct json_object *reply)
{
	for (size_t i = 0; i < METHODS; i++)
		if (strcmp(methods[i].method, method) == 0)
			methods[i].fill(sample, reply);
}

/* The next page of a list; false: there is none. */
static bool next_page(struct json_object *reply, struct json_object **parameters)
{
	if (!member_has(reply, "next"))
		return false;
	*parameters = json_object_new_object();
	member_put_number(*parameters, "first", member_number(reply, "next"));
	return true;
}

static int ask(struct sample *sample, struct connection *connection, const char *method)
{
	struct json_object *parameters = NULL;
	bool more = true;
	int r = EXIT_DONE;

	for (unsigned page = 0; !r && more && page < PAGES_MOST; page++) {
		struct json_object *reply = NULL;

		r = connection_call(connection, CONNECTION_SERVER, method, parameters, &reply);
		if (r)
			break;
		sample_fill(sample, method, reply);
		more = next_page(reply, &parameters);
		json_object_put(reply);
	}
	return r;
}

int sample_take(struct sample *sample, struct connection *connection, unsigned wants)
{
	int r = EXIT_DONE;

	*sample = (struct sample){.taken_ms = place_now_ms()};
	for (size_t i = 0; !r && i < METHODS; i++) {
		if (methods[i].wanted && !(methods[i].wanted & wants))
			continue;
		r = ask(sample, connection, methods[i].method);
		/* A server of another version, or one without ages, has refused just this. */
		if (r == EXIT_FAILED && methods[i].wanted)
			r = EXIT_DONE;
	}
	return r;
}

void sample_free(struct sample *sample)
{
	for (enum sample_work work = 0; work < SAMPLE_WORKS; work++)
		free(sample->work[work].buckets);
	free(sample->memory);
	free(sample->classes);
	free(sample->ages);
	*sample = (struct sample){0};
}
