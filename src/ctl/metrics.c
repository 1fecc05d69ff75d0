/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metrics as Prometheus wants them: base units (bytes, seconds), names that say the unit, _total for what only grows, and
 * the instance in the label `name`. A figure that a server does not tell, since it is older, has no line.
 */
#include "ctl/metrics.h"

#include "ctl/member.h"

#include <inttypes.h>
#include <string.h>

enum kind { GAUGE, COUNTER, HISTOGRAM };

/* Where a figure comes from. */
enum source { STATISTICS, MEMORY, DESCRIPTION, COLD, STATUS };

struct figure {
	const char *member; /* of the source */
	const char *value;  /* of the metric's label; NULL: it has none */
};

#define FIGURES_MAX 18

struct metric {
	const char *name, *help;
	const char *label; /* NULL: its figures have none but the name of the device */
	enum kind kind;
	enum source source;
	unsigned milli; /* 1: the figure is in thousandths */
	struct figure figures[FIGURES_MAX];
};

#define ONE(member)                                                                                                    \
	{                                                                                                              \
		{                                                                                                      \
			member, NULL                                                                                   \
		}                                                                                                      \
	}

/* clang-format off */
static const struct metric metrics[] = {
	{"zsblk_size_bytes", "Size of the device.", NULL, GAUGE, DESCRIPTION, 0, ONE("size")},
	{"zsblk_stored_bytes", "Stored data before compression; blocks of zeroes do not count.", NULL, GAUGE, STATISTICS, 0,
	 ONE("orig_data_size")},
	{"zsblk_compressed_bytes", "Stored data after compression.", NULL, GAUGE, STATISTICS, 0, ONE("compr_data_size")},
	{"zsblk_pool_used_bytes", "Memory of stored data with what the allocator adds to it.", NULL, GAUGE, STATISTICS, 0,
	 ONE("mem_used_total")},
	{"zsblk_pool_used_max_bytes", "The most that zsblk_pool_used_bytes ever was.", NULL, GAUGE, STATISTICS, 0,
	 ONE("mem_used_max")},
	{"zsblk_pool_limit_bytes", "Most memory for stored data, as it was set; 0: no limit.", NULL, GAUGE, STATISTICS, 0,
	 ONE("mem_limit")},
	{"zsblk_pool_cap_bytes", "Most memory for stored data below the limits of control groups; 0: no limit.", NULL, GAUGE,
	 STATISTICS, 0, ONE("mem_cap")},
	{"zsblk_blocks", "Blocks of 4096 bytes by how they are stored.", "state", GAUGE, STATISTICS, 0,
	 {{"blocks_stored", "object"}, {"same_pages", "same"}}},
	{"zsblk_huge_blocks", "Blocks stored as they are, since they do not compress.", NULL, GAUGE, STATISTICS, 0,
	 ONE("huge_pages")},
	{"zsblk_huge_blocks_stored_total", "Blocks stored as they are so far.", NULL, COUNTER, STATISTICS, 0,
	 ONE("huge_pages_since")},
	{"zsblk_compacted_pages_total", "Pages freed by compaction.", NULL, COUNTER, STATISTICS, 0, ONE("pages_compacted")},
	{"zsblk_reserve_misses_total", "Times that a request found the reserve empty.", NULL, COUNTER, STATISTICS, 0,
	 ONE("reserve_misses")},
	{"zsblk_requests_total", "Requests, failed ones included.", "operation", COUNTER, STATISTICS, 0,
	 {{"reads", "read"}, {"writes", "write"}, {"discards", "discard"}, {"zeroes", "write_zeroes"}}},
	{"zsblk_request_bytes_total", "Bytes of requests that succeeded.", "operation", COUNTER, STATISTICS, 0,
	 {{"read_bytes", "read"}, {"write_bytes", "write"}}},
	{"zsblk_failed_requests_total", "Requests that failed; discard has write_zeroes as well.", "operation", COUNTER,
	 STATISTICS, 0,
	 {{"failed_reads", "read"}, {"failed_writes", "write"}, {"failed_discards", "discard"}}},
	{"zsblk_memory_bytes", "All memory of the server by what it is for; the parts add up.", "part", GAUGE, MEMORY, 0,
	 {{"objects", "objects"}, {"rounding", "rounding"}, {"free_slots", "free_slots"}, {"headers", "headers"},
	  {"tails", "tails"}, {"magazines", "magazines"}, {"free_pages", "free_pages"}, {"table", "table"}, {"map", "map"},
	  {"ages", "ages"}, {"superblock", "superblock"}, {"other", "other"}, {"descriptors", "descriptors"},
	  {"contexts", "contexts"}, {"stripes", "stripes"}, {"aging", "aging"}, {"process", "process"}, {"files", "files"}}},
	{"zsblk_memory_segment_bytes", "Memory of the segment, which outlives the server if it is shared memory.", NULL, GAUGE,
	 MEMORY, 0, ONE("segment")},
	{"zsblk_page_tables_bytes", "What the kernel takes for page tables of the server.", NULL, GAUGE, MEMORY, 0,
	 ONE("page_tables")},
	{"zsblk_groups", "Groups of blocks that are compressed together.", NULL, GAUGE, STATISTICS, 0, ONE("groups")},
	{"zsblk_group_blocks", "Blocks of 4096 bytes that are in groups.", NULL, GAUGE, STATISTICS, 0, ONE("group_blocks")},
	{"zsblk_group_bytes", "Groups after compression.", NULL, GAUGE, STATISTICS, 0, ONE("group_bytes")},
	{"zsblk_cold_reads_total", "Blocks read from groups.", NULL, COUNTER, STATISTICS, 0, ONE("cold_reads")},
	{"zsblk_cold_decodes_total", "Groups that were decoded for these reads.", NULL, COUNTER, STATISTICS, 0,
	 ONE("cold_decodes")},
	{"zsblk_cold_policy_enabled", "1 if data that nobody uses is packed into groups, 0 if not.", NULL, GAUGE, COLD, 0,
	 ONE("on")},
	{"zsblk_cold_packed_blocks_total", "Blocks that the policy has packed into groups.", "age", COUNTER, COLD, 0,
	 {{"cold_blocks", "cold"}, {"frozen_blocks", "frozen"}}},
	{"zsblk_cold_saved_bytes_total", "What the policy's work has saved.", NULL, COUNTER, COLD, 0, ONE("bytes_saved")},
	{"zsblk_cold_storms_total", "Times that the policy had to wait, since much was read from groups at once.", NULL, COUNTER,
	 COLD, 0, ONE("storms")},
	{"zsblk_swapped_bytes", "Data that the kernel has on the device as swap.", NULL, GAUGE, STATUS, 0, ONE("swapped")},
	{"zsblk_replacements_total", "Servers that zsblkd has replaced.", NULL, COUNTER, STATUS, 0, ONE("replacements")},
	{"zsblk_outage_median_seconds", "Median of how long the device was without a server.", NULL, GAUGE, STATUS, 1,
	 ONE("outage_median_ms")},
	{"zsblk_outage_max_seconds", "The longest time that the device was without a server.", NULL, GAUGE, STATUS, 1,
	 ONE("outage_max_ms")},
};
/* clang-format on */

#define METRICS (sizeof metrics / sizeof *metrics)

/* ------------------------------------------------------------------ lines */

static void print_head(FILE *out, const char *name, const char *help, enum kind kind)
{
	static const char *const kinds[] = {[GAUGE] = "gauge", [COUNTER] = "counter", [HISTOGRAM] = "histogram"};

	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

/* label="value", with what the format has a meaning for escaped. */
static void print_label(FILE *out, const char *label, const char *value)
{
	fprintf(out, "%s=\"", label);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else
			fprintf(out, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
	}
	fputc('"', out);
}

/* A number of units of which `per` are one: exact, since a double has no room for nanoseconds of a year. */
static void print_fraction(FILE *out, uint64_t value, uint64_t per)
{
	fprintf(out, "%" PRIu64, value / per);
	if (value % per == 0)
		return;
	fputc('.', out);
	for (value %= per; value; value %= per) {
		per /= 10;
		fputc((char)('0' + value / per), out);
	}
}

static struct json_object *source_of(const struct metrics_device *device, enum source source)
{
	switch (source) {
	case STATISTICS:
		return device->statistics;
	case MEMORY:
		return device->memory;
	case DESCRIPTION:
		return device->description;
	case COLD:
		return device->cold;
	default:
		return device->status;
	}
}

/* Of a number, or of what is so or not. */
static uint64_t number_of(struct json_object *source, const char *member)
{
	return member_bool(source, member) ? 1 : member_number(source, member);
}

static void print_figure(FILE *out, const struct metric *metric, const struct figure *figure,
			 const struct metrics_device *device)
{
	struct json_object *source = source_of(device, metric->source);

	fprintf(out, "%s{", metric->name);
	print_label(out, "name", device->name);
	if (figure->value) {
		fputc(',', out);
		print_label(out, metric->label, figure->value);
	}
	fputs("} ", out);
	print_fraction(out, number_of(source, figure->member), metric->milli ? 1000 : 1);
	fputc('\n', out);
}

static void print_metric(FILE *out, const struct metric *metric, const struct metrics_device *devices, size_t n)
{
	bool begun = false;

	for (size_t i = 0; i < n; i++) {
		struct json_object *source = source_of(&devices[i], metric->source);

		for (unsigned f = 0; f < FIGURES_MAX && metric->figures[f].member; f++) {
			if (!member_has(source, metric->figures[f].member))
				continue;
			if (!begun)
				print_head(out, metric->name, metric->help, metric->kind);
			begun = true;
			print_figure(out, metric, &metric->figures[f], &devices[i]);
		}
	}
}

/* ------------------------------------------------------------------ what is a text */

static void print_up(FILE *out, const struct metrics_device *devices, size_t n)
{
	print_head(out, "zsblk_up", "1 if the server answers, 0 if not.", GAUGE);
	for (size_t i = 0; i < n; i++) {
		fputs("zsblk_up{", out);
		print_label(out, "name", devices[i].name);
		fprintf(out, "} %d\n", devices[i].description != NULL);
	}
}

static void print_info(FILE *out, const struct metrics_device *devices, size_t n)
{
	static const char *const labels[] = {"device", "transport", "algorithm", "version"};
	bool begun = false;

	for (size_t i = 0; i < n; i++) {
		if (!devices[i].description)
			continue;
		if (!begun)
			print_head(out, "zsblk_device_info", "What the device is. The value is 1.", GAUGE);
		begun = true;
		fputs("zsblk_device_info{", out);
		print_label(out, "name", devices[i].name);
		for (size_t l = 0; l < sizeof labels / sizeof *labels; l++) {
			fputc(',', out);
			print_label(out, labels[l], member_text(devices[i].description, labels[l]));
		}
		fprintf(out, ",level=\"%" PRId64 "\"} 1\n", member_signed(devices[i].description, "level"));
	}
}

/* ------------------------------------------------------------------ histograms */

#define NS 1000000000u

/*
 * The ends of the buckets: two for each doubling from 256 ns to 1 s, and a few behind. The server has 8 for each
 * doubling; all of these are ends of its buckets, so sums of its counts are exact. 0 after the last one.
 */
static uint64_t bound_after(uint64_t bound)
{
	if (!bound)
		return 256;
	if (bound < UINT64_C(1) << 30)
		return bound & (bound - 1) ? bound / 3 * 4 : bound / 2 * 3;
	return bound < UINT64_C(1) << 36 ? bound * 4 : 0;
}

/* How many took at most so many nanoseconds; 0: all. */
static uint64_t count_up_to(struct json_object *buckets, uint64_t bound)
{
	size_t n = buckets ? json_object_array_length(buckets) : 0;
	uint64_t count = 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *bucket = json_object_array_get_idx(buckets, i);

		if (!bound || member_number(bucket, "upper_ns") <= bound)
			count += member_number(bucket, "count");
	}
	return count;
}

static void print_labels(FILE *out, const char *metric, const char *suffix, const char *name, const char *what)
{
	fprintf(out, "%s%s{", metric, suffix);
	print_label(out, "name", name);
	fputc(',', out);
	print_label(out, "operation", what);
}

static void print_histogram(FILE *out, const char *metric, const char *name, struct json_object *latency)
{
	struct json_object *buckets = member_array(latency, "buckets");
	const char *what = member_text(latency, "what");

	for (uint64_t bound = bound_after(0); bound; bound = bound_after(bound)) {
		print_labels(out, metric, "_bucket", name, what);
		fputs(",le=\"", out);
		print_fraction(out, bound, NS);
		fprintf(out, "\"} %" PRIu64 "\n", count_up_to(buckets, bound));
	}
	print_labels(out, metric, "_bucket", name, what);
	fprintf(out, ",le=\"+Inf\"} %" PRIu64 "\n", count_up_to(buckets, 0));
	print_labels(out, metric, "_sum", name, what);
	fputs("} ", out);
	print_fraction(out, member_number(latency, "sum_ns"), NS);
	fputc('\n', out);
	print_labels(out, metric, "_count", name, what);
	fprintf(out, "} %" PRIu64 "\n", count_up_to(buckets, 0));
}

static void print_sampled(FILE *out, const char *metric, const char *name, struct json_object *latency)
{
	print_labels(out, metric, "", name, member_text(latency, "what"));
	fprintf(out, "} %" PRIu64 "\n", member_number(latency, "sampled"));
}

static bool is_of_codec(struct json_object *latency)
{
	return strstr(member_text(latency, "what"), "compress") != NULL;
}

/* Print something of each latency of one sort, under one head. */
typedef void print_latency_fn(FILE *out, const char *metric, const char *name, struct json_object *latency);

static void print_latencies(FILE *out, const char *metric, const char *help, enum kind kind, bool codec,
			    print_latency_fn *print, const struct metrics_device *devices, size_t n)
{
	bool begun = false;

	for (size_t i = 0; i < n; i++) {
		size_t kinds = devices[i].latencies ? json_object_array_length(devices[i].latencies) : 0;

		for (size_t k = 0; k < kinds; k++) {
			struct json_object *latency = json_object_array_get_idx(devices[i].latencies, k);

			if (is_of_codec(latency) != codec)
				continue;
			if (!begun)
				print_head(out, metric, help, kind);
			begun = true;
			print(out, metric, devices[i].name, latency);
		}
	}
}

void metrics_print(FILE *out, const struct metrics_device *devices, size_t n)
{
	print_up(out, devices, n);
	print_info(out, devices, n);
	for (size_t i = 0; i < METRICS; i++)
		print_metric(out, &metrics[i], devices, n);
	print_latencies(
		out, "zsblk_request_duration_seconds",
		"How long requests take in the server; zsblk_request_duration_sampling says how many of them are timed.",
		HISTOGRAM, false, print_histogram, devices, n);
	print_latencies(out, "zsblk_request_duration_sampling", "One request in so many is timed, chosen at random.",
			GAUGE, false, print_sampled, devices, n);
	print_latencies(
		out, "zsblk_codec_duration_seconds",
		"How long a block of 4096 bytes takes to compress or decompress; zsblk_codec_duration_sampling says how many are timed.",
		HISTOGRAM, true, print_histogram, devices, n);
	print_latencies(out, "zsblk_codec_duration_sampling", "One block in so many is timed, chosen at random.", GAUGE,
			true, print_sampled, devices, n);
}
