/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsblkctl blocks: what is stored of each block, as zram's file block_state has it. A device has millions of blocks: they are printed as they
 * come, in columns of a fixed width, and nothing is kept of them.
 */
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/human.h"
#include "ctl/member.h"
#include "ctl/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* At a time; the server gives no more. */
#define PORTION 512

struct range {
	uint64_t first, end; /* end: the first block behind it */
};

struct printing {
	const struct options *options;
	bool is_zram;
	uint64_t printed;
	uint64_t now_s; /* the clock that zram takes times of */
};

/* ------------------------------------------------------------------ the range */

/* 0 with what stands behind the number, or -EINVAL. */
static int take_number(const char **text, uint64_t *number)
{
	char *end;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	errno = 0;
	*number = strtoull(*text, &end, 10);
	*text = end;
	return errno ? -EINVAL : 0;
}

/* "7", "7-9", "7-" or "7+3". */
static int parse_range(const char *text, struct range *range)
{
	uint64_t second;
	char sign;

	if (take_number(&text, &range->first) < 0 || range->first == UINT64_MAX)
		return -EINVAL;
	range->end = range->first + 1;
	sign = *text;
	if (!sign)
		return 0;
	if (sign == '-' && !text[1]) {
		range->end = UINT64_MAX;
		return 0;
	}
	text++;
	if ((sign != '-' && sign != '+') || take_number(&text, &second) < 0 || *text)
		return -EINVAL;
	if (sign == '+')
		range->end = second > UINT64_MAX - range->first ? UINT64_MAX : range->first + second;
	else
		range->end = second == UINT64_MAX ? second : second + 1;
	return range->end > range->first ? 0 : -EINVAL;
}

/* ------------------------------------------------------------------ one block */

/* The letters of block_state: same-filled, huge, idle, and tried in vain. */
static const char *flags_of(struct json_object *block, char flags[5])
{
	const char *state = member_text(block, "state");

	snprintf(flags, 5, "%c%c%c%c", strcmp(state, "same") == 0 ? 's' : '.', strcmp(state, "raw") == 0 ? 'h' : '.',
		 member_bool(block, "idle") ? 'i' : '.', member_bool(block, "tried") ? 'n' : '.');
	return flags;
}

/* zram has two flags more: written back (to a device, where nothing goes here) and recompressed (an algorithm is named in our own format). */
static void print_as_zram(const struct printing *printing, struct json_object *block)
{
	uint64_t age = member_number(block, "age_s");
	char flags[5];

	flags_of(block, flags);
	printf("%12" PRIu64 " %12" PRIu64 ".%06u %c%c%c%c%c%c\n", member_number(block, "block"),
	       member_has(block, "age_s") && age < printing->now_s ? printing->now_s - age : 0, 0u, flags[0], '.',
	       flags[1], flags[2], '.', flags[3]);
}

static void print_as_json(struct printing *printing, struct json_object *block)
{
	printf("%s\n   %s", printing->printed ? "," : "",
	       json_object_to_json_string_ext(block, JSON_C_TO_STRING_SPACED));
}

static const char *size_text(const struct printing *printing, uint64_t size, char text[HUMAN_BYTES])
{
	if (!options_has(printing->options, OPTION_BYTES))
		return human_size(size, text);
	snprintf(text, HUMAN_BYTES, "%" PRIu64, size);
	return text;
}

static void print_for_people(const struct printing *printing, struct json_object *block)
{
	char flags[5], size[HUMAN_BYTES], stored[HUMAN_BYTES], age[HUMAN_BYTES] = "";

	if (member_has(block, "age_s") && options_has(printing->options, OPTION_BYTES))
		snprintf(age, sizeof age, "%" PRIu64, member_number(block, "age_s"));
	else if (member_has(block, "age_s"))
		human_time(member_number(block, "age_s"), age);
	printf("%12" PRIu64 " %-10s %-5s %-9s %5s %6s  %s\n", member_number(block, "block"),
	       member_text(block, "state"), flags_of(block, flags), member_text(block, "algorithm"),
	       size_text(printing, member_number(block, "size"), size),
	       size_text(printing, member_number(block, "stored"), stored), age);
}

static void print_block(struct printing *printing, struct json_object *block)
{
	if (printing->is_zram)
		print_as_zram(printing, block);
	else if (options_has(printing->options, OPTION_JSON))
		print_as_json(printing, block);
	else
		print_for_people(printing, block);
	printing->printed++;
}

/* ------------------------------------------------------------------ all */

/* Print what the next portion has, and move *first behind it. */
static int print_portion(struct connection *connection, struct printing *printing, struct range *left)
{
	struct json_object *parameters = json_object_new_object(), *reply = NULL, *blocks;
	uint64_t wanted = left->end - left->first, next;
	int r;

	member_put_number(parameters, "first", left->first);
	member_put_number(parameters, "count", wanted < PORTION ? wanted : PORTION);
	r = connection_call(connection, CONNECTION_SERVER, "GetBlocks", parameters, &reply);
	if (r)
		return connection_complain(connection, r);
	blocks = member_array(reply, "blocks");
	for (size_t i = 0; blocks && i < json_object_array_length(blocks); i++) {
		struct json_object *block = json_object_array_get_idx(blocks, i);

		if (member_number(block, "block") < left->end)
			print_block(printing, block);
	}
	next = member_number(reply, "next");
	left->first = member_has(reply, "next") && next > left->first ? next : left->end;
	json_object_put(reply);
	return EXIT_DONE;
}

static void print_head(const struct printing *printing)
{
	if (options_has(printing->options, OPTION_JSON))
		printf("{\"blocks\": [");
	else if (!printing->is_zram && !options_has(printing->options, OPTION_NOHEADINGS))
		printf("%12s %-10s %-5s %-9s %5s %6s  %s\n", "BLOCK", "STATE", "FLAGS", "ALGORITHM", "SIZE", "STORED",
		       "AGE");
}

int verb_blocks(const struct call *call)
{
	struct connection *connection = call->connections[0];
	struct printing printing = {.options = call->options, .is_zram = call->options->format};
	struct range left = {0, UINT64_MAX};
	struct timespec now;
	int r = EXIT_DONE;

	if (printing.is_zram && strcmp(call->options->format, "zram") != 0)
		return complain(EXIT_WRONG_USE, "--format %.60s: give zram", call->options->format);
	if (printing.is_zram && options_has(call->options, OPTION_JSON))
		return complain(EXIT_WRONG_USE, "give --format or --json, not both");
	if (call->n_words && parse_range(call->words[0], &left) < 0)
		return complain(EXIT_WRONG_USE,
				"'%.60s' is no range of blocks: give 7, 7-9, 7- (to the end) or 7+3 (three of them)",
				call->words[0]);
	clock_gettime(CLOCK_BOOTTIME, &now);
	printing.now_s = (uint64_t)now.tv_sec;
	print_head(&printing);
	/* Nobody may be reading any more: a pipe to head. */
	while (!r && left.first < left.end && !ferror(stdout))
		r = print_portion(connection, &printing, &left);
	if (options_has(call->options, OPTION_JSON))
		printf("%s]}\n", printing.printed ? "\n" : "");
	return r;
}
