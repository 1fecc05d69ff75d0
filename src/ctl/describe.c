/* SPDX-License-Identifier: BSD-3-Clause */
/* A device in sentences. See describe.h. */
#include "ctl/describe.h"

#include "ctl/colour.h"
#include "ctl/human.h"
#include "ctl/job.h"
#include "ctl/member.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define BLOCK 4096

/* So many replacements of servers are told one by one. */
#define HISTORY_SHOWN 3

#define BAR_WIDTH   30
#define RANGE_BYTES (2 * HUMAN_BYTES + 8)

/* "30 %", and "under 1 %" of what is little and not nothing. */
static const char *share_text(uint64_t part, uint64_t whole, char text[HUMAN_BYTES])
{
	double percent = whole ? (double)part * 100 / (double)whole : 0;

	if (part && percent < 1)
		snprintf(text, HUMAN_BYTES, "under 1 %%");
	else
		snprintf(text, HUMAN_BYTES, "%.0f %%", percent);
	return text;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* ------------------------------------------------------------------ what it is */

static bool is_swap(const struct describe_facts *facts)
{
	return facts->mountpoint && strcmp(facts->mountpoint, "[SWAP]") == 0;
}

static enum colour colour_of(const struct describe_facts *facts)
{
	const char *state = member_text(facts->daemon, "state");

	if (facts->server_problem)
		return COLOUR_BAD;
	if (facts->daemon_problem || (*state && strcmp(state, "in service") != 0) ||
	    member_number(facts->statistics, "failed_reads") || member_number(facts->statistics, "failed_writes"))
		return COLOUR_DOUBTFUL;
	return COLOUR_GOOD;
}

static void print_title(FILE *out, const struct describe_facts *facts)
{
	const char *device = member_text(facts->description, "device");
	enum colour colour = colour_of(facts);

	if (!*device)
		device = member_text(facts->daemon, "device");
	fprintf(out, "%s%s%s %s%s%s\n", colour_on(colour), strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "\u25cf" : "*",
		colour_off(colour), facts->name, *device ? " - " : "", device);
}

static void print_identity(FILE *out, const struct describe_facts *facts)
{
	struct json_object *description = facts->description;
	int64_t started_s = member_signed(description, "started_s");
	char size[HUMAN_BYTES], time[HUMAN_BYTES];

	human_size(member_number(description, "size"), size);
	if (is_swap(facts))
		fprintf(out, "  Swap of %s", size);
	else if (facts->mountpoint)
		fprintf(out, "  A disk of %s, mounted on %s", size, facts->mountpoint);
	else
		fprintf(out, "  A disk of %s", size);
	fprintf(out, ", served by process %" PRIu64 " (%s, version %s)", member_number(description, "pid"),
		member_text(description, "transport"), member_text(description, "version"));
	if (started_s > 0 && started_s <= facts->now_s)
		fprintf(out, " for %s", human_time((uint64_t)(facts->now_s - started_s), time));
	fprintf(out, ".\n");
	if (is_swap(facts) && strcmp(member_text(description, "lock"), "no") == 0)
		fprintf(out, "  Its memory is not locked: it can be swapped out itself.\n");
}

/* ------------------------------------------------------------------ what it holds */

static void print_content(FILE *out, const struct describe_facts *facts)
{
	struct json_object *statistics = facts->statistics;
	uint64_t data = member_number(statistics, "orig_data_size");
	uint64_t total = member_number(statistics, "mem_used_total");
	uint64_t same = member_number(statistics, "same_pages"), huge = member_number(statistics, "huge_pages");
	char sizes[2][HUMAN_BYTES], share[HUMAN_BYTES];

	if (!data) {
		fprintf(out, "  It holds nothing; what comes is compressed with %s.\n",
			member_text(facts->description, "algorithm"));
		return;
	}
	fprintf(out, "  It holds %s of data, %s of its size, in %s of memory", human_size(data, sizes[0]),
		share_text(data, member_number(facts->description, "size"), share), human_size(total, sizes[1]));
	if (total)
		fprintf(out, ": %.2f to 1", (double)data / (double)total);
	fprintf(out, ", with %s.\n", member_text(facts->description, "algorithm"));
	if (same)
		fprintf(out, "  Of that, %s is same-filled and takes next to nothing.\n",
			share_text(same * BLOCK, data, share));
	if (huge)
		fprintf(out, "  Of that, %s does not compress and is stored as it is.\n",
			share_text(huge * BLOCK, data, share));
}

static void print_limit(FILE *out, const struct describe_facts *facts)
{
	uint64_t limit = member_number(facts->statistics, "mem_limit");
	uint64_t cap = member_number(facts->statistics, "mem_cap");
	uint64_t total = member_number(facts->statistics, "mem_used_total");
	char sizes[2][HUMAN_BYTES], share[HUMAN_BYTES];

	human_size(member_number(facts->statistics, "mem_used_max"), sizes[0]);
	if (limit)
		fprintf(out, "  Of its memory limit of %s %s is taken; the most so far was %s.\n",
			human_size(limit, sizes[1]), share_text(total, limit, share), sizes[0]);
	else
		fprintf(out, "  It has no memory limit; the most so far was %s.\n", sizes[0]);
	if (cap && (!limit || cap < limit))
		fprintf(out, "  Its control groups leave %s to it.\n", human_size(cap, sizes[1]));
}

/* ------------------------------------------------------------------ ages */

/* "10 s to 1 min": a range ends where the next one begins. */
static const char *range_text(struct json_object *range, struct json_object *next, char text[RANGE_BYTES])
{
	uint64_t from_s = member_number(range, "from_s");
	char from[HUMAN_BYTES], to[HUMAN_BYTES];

	human_time(from_s, from);
	human_time(member_number(next, "from_s"), to);
	if (!next)
		snprintf(text, RANGE_BYTES, "over %s", from);
	else if (!from_s)
		snprintf(text, RANGE_BYTES, "under %s", to);
	else
		snprintf(text, RANGE_BYTES, "%s to %s", from, to);
	return text;
}

static void print_range(FILE *out, struct json_object *range, struct json_object *next, uint64_t total)
{
	uint64_t bytes = member_number(range, "bytes");
	char size[HUMAN_BYTES], share[HUMAN_BYTES], text[RANGE_BYTES];
	int width = (int)((double)bytes * BAR_WIDTH / (double)total + 0.5);

	if (bytes)
		fprintf(out, "    %-16s %6s %10s  %.*s\n", range_text(range, next, text), human_size(bytes, size),
			share_text(bytes, total, share), width, "##############################");
}

static void print_ages(FILE *out, const struct describe_facts *facts)
{
	size_t n = facts->ages ? json_object_array_length(facts->ages) : 0;
	uint64_t total = 0;
	char time[HUMAN_BYTES];

	for (size_t i = 0; i < n; i++)
		total += member_number(json_object_array_get_idx(facts->ages, i), "bytes");
	if (!total)
		return;
	fprintf(out, "  Time since its data was last used");
	/* A server that takes over begins anew. */
	if (member_has(facts->description, "ages_since_s"))
		fprintf(out, ", known for the last %s",
			human_time(member_number(facts->description, "ages_since_s"), time));
	fprintf(out, ":\n");
	for (size_t i = 0; i < n; i++)
		print_range(out, json_object_array_get_idx(facts->ages, i),
			    i + 1 < n ? json_object_array_get_idx(facts->ages, i + 1) : NULL, total);
}

/* ------------------------------------------------------------------ cold data */

static void print_groups(FILE *out, const char *indent, struct json_object *statistics)
{
	uint64_t data = member_number(statistics, "group_blocks") * BLOCK,
		 bytes = member_number(statistics, "group_bytes");
	uint64_t reads = member_number(statistics, "cold_reads"), decodes = member_number(statistics, "cold_decodes");
	char sizes[2][HUMAN_BYTES];

	if (!data)
		return;
	fprintf(out, "%s%s of its data is in groups of neighbours, in %s: %.2f to 1.\n", indent,
		human_size(data, sizes[0]), human_size(bytes, sizes[1]), bytes ? (double)data / (double)bytes : 0.0);
	if (reads)
		fprintf(out, "%s%" PRIu64 " block%s read from groups so far; %.2f groups were decoded for each.\n",
			indent, reads, reads == 1 ? " was" : "s were", (double)decodes / (double)reads);
}

static void print_policy(FILE *out, const char *indent, struct json_object *cold)
{
	char ages[2][HUMAN_BYTES], size[HUMAN_BYTES];
	uint64_t frozen_s = member_number(cold, "frozen_after_s");

	fprintf(out, "%sData that nobody uses is packed after %s with %s", indent,
		human_time(member_number(cold, "cold_after_s"), ages[0]), member_text(cold, "cold_algorithm"));
	if (frozen_s)
		fprintf(out, ", and after %s with %s", human_time(frozen_s, ages[1]),
			member_text(cold, "frozen_algorithm"));
	fprintf(out, "; now: %s.\n", member_text(cold, "text"));
	if (member_number(cold, "rate"))
		fprintf(out, "%sAt most %s of data is packed in a second.\n", indent,
			human_size(member_number(cold, "rate"), size));
	if (member_number(cold, "budget"))
		fprintf(out, "%sIn 24 hours it is at most %s", indent, human_size(member_number(cold, "budget"), size));
	if (member_number(cold, "budget"))
		fprintf(out, ", of which %s was packed.\n", human_size(member_number(cold, "packed_24h"), size));
	if (!member_has(cold, "pressure"))
		fprintf(out, "%sThe system tells nothing of memory pressure, so that does not count.\n", indent);
}

void describe_cold(FILE *out, const char *indent, struct json_object *cold, struct json_object *statistics)
{
	uint64_t blocks = member_number(cold, "cold_blocks"), frozen = member_number(cold, "frozen_blocks");
	uint64_t storms = member_number(cold, "storms");
	char sizes[3][HUMAN_BYTES];

	if (member_bool(cold, "on"))
		print_policy(out, indent, cold);
	else if (cold)
		fprintf(out, "%sData that nobody uses stays as it is; zsblkctl cold NAME yes has it packed.\n", indent);
	if (blocks || frozen)
		fprintf(out, "%sSo far %s was packed and %s packed more tightly, which saved %s.\n", indent,
			human_size(blocks * BLOCK, sizes[0]), human_size(frozen * BLOCK, sizes[1]),
			human_size(member_number(cold, "bytes_saved"), sizes[2]));
	if (storms)
		fprintf(out, "%s%" PRIu64 " time%s so much was read from groups at once that packing had to wait.\n",
			indent, storms, plural(storms));
	print_groups(out, indent, statistics);
}

/* ------------------------------------------------------------------ what it did lately */

static void print_failures(FILE *out, const struct describe_facts *facts)
{
	uint64_t writes = member_number(facts->statistics, "failed_writes");
	uint64_t reads = member_number(facts->statistics, "failed_reads");
	uint64_t misses = member_number(facts->statistics, "reserve_misses");

	if (writes)
		fprintf(out, "  %" PRIu64 " write%s failed, since memory or the limit was used up.\n", writes,
			writes == 1 ? " has" : "s have");
	if (reads)
		fprintf(out, "  %" PRIu64 " read%s failed: what is stored is damaged; see zsblkctl check.\n", reads,
			reads == 1 ? " has" : "s have");
	if (misses)
		fprintf(out, "  %" PRIu64 " time%s the reserve was empty, and a request had to wait for memory.\n",
			misses, plural(misses));
}

static void print_jobs(FILE *out, const struct describe_facts *facts)
{
	for (size_t i = 0; facts->jobs && i < json_object_array_length(facts->jobs); i++) {
		struct json_object *job = json_object_array_get_idx(facts->jobs, i);

		if (job_is_running(job))
			fprintf(out, "  Job %" PRIu64 ", %s, is at %u %%.\n", member_number(job, "id"),
				member_text(job, "kind"), job_percent(job));
		else
			fprintf(out, "  The last %s, job %" PRIu64 ": %s%s%s\n", member_text(job, "kind"),
				member_number(job, "id"), member_text(job, "state"),
				*member_text(job, "text") ? ": " : "", member_text(job, "text"));
	}
}

static void print_replacement(FILE *out, struct json_object *replacement)
{
	time_t when = (time_t)member_signed(replacement, "when_s");
	char text[40] = "";
	struct tm local;

	if (localtime_r(&when, &local))
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
	/* The words go on from "the server". */
	fprintf(out, "    %s: it %s; out of service for %" PRIu64 " ms\n", text, member_text(replacement, "why"),
		member_number(replacement, "outage_ms"));
}

static void print_history(FILE *out, const struct describe_facts *facts)
{
	uint64_t replaced = member_number(facts->daemon, "replacements");
	struct json_object *history = member_array(facts->daemon, "history");
	size_t n = history ? json_object_array_length(history) : 0;

	if (!replaced)
		return;
	fprintf(out, "  Its server was replaced %" PRIu64 " time%s", replaced, plural(replaced));
	if (member_has(facts->daemon, "outage_max_ms"))
		fprintf(out, ", out of service for %" PRIu64 " ms at most",
			member_number(facts->daemon, "outage_max_ms"));
	fprintf(out, "%s\n", n ? ":" : ".");
	for (size_t i = n > HISTORY_SHOWN ? n - HISTORY_SHOWN : 0; i < n; i++)
		print_replacement(out, json_object_array_get_idx(history, i));
}

static void print_daemon(FILE *out, const struct describe_facts *facts)
{
	const char *state = member_text(facts->daemon, "state"), *fallback = member_text(facts->daemon, "fallback");

	if (facts->daemon_problem)
		fprintf(out, "  Nobody replaces its server: %s.\n", facts->daemon_problem);
	if (*state && strcmp(state, "in service") != 0)
		fprintf(out, "  It is %s. zsblkd says: %s\n", state, member_text(facts->daemon, "sentence"));
	if (*fallback)
		fprintf(out, "  It is served over nbd, since ublk cannot be used: %s\n", fallback);
	print_history(out, facts);
}

void describe(FILE *out, const struct describe_facts *facts)
{
	print_title(out, facts);
	if (facts->server_problem)
		fprintf(out, "  Its server does not answer: %s.\n", facts->server_problem);
	if (facts->description) {
		print_identity(out, facts);
		if (facts->statistics) {
			print_content(out, facts);
			print_limit(out, facts);
		}
	}
	print_failures(out, facts);
	print_ages(out, facts);
	if (facts->cold)
		describe_cold(out, "  ", facts->cold, facts->statistics);
	print_jobs(out, facts);
	print_daemon(out, facts);
}
