/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of zsblkctl. See options.h. */
#include "ctl/options.h"

#include "ctl/complain.h"
#include "ctl/exit.h"
#include "text/duration.h"
#include "text/number.h"
#include "text/size.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

#define TIMEOUT_S      10
#define TIMEOUT_MOST_S 86400
#define INTERVAL_MS    1000
/* The age of a block is a time since the server began, in seconds: ten years are for ever. */
#define AGE_MOST_S (UINT64_C(10) * 365 * 86400)

/* Take the value of the option: EXIT_DONE, or -1 if it is none. */
typedef int option_take_fn(struct options *options, const char *value);

struct option_row {
	const char *name; /* without the dashes */
	uint32_t bit;
	char letter;          /* 0: none */
	const char *argument; /* NULL: it takes none */
	const char *help;
	option_take_fn *take; /* NULL if it takes no argument */
	const char *right;    /* what a value has to be */
};

static int take_control(struct options *options, const char *value)
{
	options->control = value;
	return *value ? EXIT_DONE : -1;
}

static int take_timeout(struct options *options, const char *value)
{
	int64_t seconds;

	if (number_parse(value, 1, TIMEOUT_MOST_S, &seconds) < 0)
		return -1;
	options->timeout_s = (unsigned)seconds;
	return EXIT_DONE;
}

static int take_output(struct options *options, const char *value)
{
	options->output = value;
	return *value ? EXIT_DONE : -1;
}

static int take_format(struct options *options, const char *value)
{
	options->format = value;
	return EXIT_DONE;
}

static int take_older_than(struct options *options, const char *value)
{
	return duration_parse(value, &options->older_than_s) == 0 && options->older_than_s &&
			       options->older_than_s <= AGE_MOST_S
		       ? EXIT_DONE
		       : -1;
}

static int take_type(struct options *options, const char *value)
{
	options->type = value;
	return strcmp(value, "idle") == 0 || strcmp(value, "huge") == 0 || strcmp(value, "huge_idle") == 0 ||
			       strcmp(value, "all") == 0
		       ? EXIT_DONE
		       : -1;
}

static int take_algorithm(struct options *options, const char *value)
{
	options->algorithm = value;
	return *value ? EXIT_DONE : -1;
}

static int take_level(struct options *options, const char *value)
{
	int64_t level;

	if (number_parse(value, INT_MIN, INT_MAX, &level) < 0)
		return -1;
	options->level = (int)level;
	return EXIT_DONE;
}

static int take_threshold(struct options *options, const char *value)
{
	return size_parse(value, &options->threshold) == 0 ? EXIT_DONE : -1;
}

static int take_max_pages(struct options *options, const char *value)
{
	int64_t pages;

	if (number_parse(value, 1, INT64_MAX, &pages) < 0)
		return -1;
	options->max_pages = (uint64_t)pages;
	return EXIT_DONE;
}

static int take_count(struct options *options, const char *value)
{
	int64_t count;

	if (number_parse(value, 1, INT64_MAX, &count) < 0)
		return -1;
	options->count = (uint64_t)count;
	return EXIT_DONE;
}

/* Seconds with up to three decimals. */
static int take_interval(struct options *options, const char *value)
{
	const char *point = strchr(value, '.');
	char text[24] = "";
	int64_t ms;

	snprintf(text, sizeof text, "%.*s%-3.3s", point ? (int)(point - value) : (int)strlen(value), value,
		 point ? point + 1 : "");
	for (char *blank = text; (blank = strchr(blank, ' '));)
		*blank = '0';
	if ((point && strlen(point + 1) > 3) || number_parse(text, 100, 3600000, &ms) < 0)
		return -1;
	options->interval_ms = (unsigned)ms;
	return EXIT_DONE;
}

static int take_view(struct options *options, const char *value)
{
	options->view = value;
	return EXIT_DONE;
}

static const struct option_row rows[] = {
	{"control", OPTION_CONTROL, 0, "SOCKET", "speak to the server behind this socket, and give no NAME",
	 take_control, "the path of a socket"},
	{"timeout", OPTION_TIMEOUT, 0, "SECONDS", "wait so long for an answer (default 10)", take_timeout,
	 "a number of seconds from 1 to 86400"},
	{"json", OPTION_JSON, 'J', NULL, "print JSON; sizes are in bytes", NULL, NULL},
	{"raw", OPTION_RAW, 0, NULL, "print columns with one blank between them", NULL, NULL},
	{"noheadings", OPTION_NOHEADINGS, 'n', NULL, "leave out the names of the columns", NULL, NULL},
	{"bytes", OPTION_BYTES, 'b', NULL, "print sizes in bytes", NULL, NULL},
	{"output", OPTION_OUTPUT, 'o', "COLUMNS", "print these columns, or with a + in front: these as well",
	 take_output, "names of columns with commas between them"},
	{"output-all", OPTION_OUTPUT_ALL, 0, NULL, "print all columns", NULL, NULL},
	{"format", OPTION_FORMAT, 0, "FORMAT", "print it as the kernel prints it: see zsblkctl(8)", take_format, ""},
	{"wait", OPTION_WAIT, 0, NULL, "wait for the end of the job", NULL, NULL},
	{"cancel", OPTION_CANCEL, 0, NULL, "end the job that runs", NULL, NULL},
	{"older-than", OPTION_OLDER_THAN, 0, "AGE", "only what nobody has used for so long: 90, 90s, 15m, 4h or 2d",
	 take_older_than, "a time such as 90 (seconds), 15m, 4h or 2d"},
	{"type", OPTION_TYPE, 0, "TYPE", "which blocks: idle, huge, huge_idle or all (default idle)", take_type,
	 "idle, huge, huge_idle or all"},
	{"algorithm", OPTION_ALGORITHM, 0, "ALGORITHM", "compress with this one", take_algorithm,
	 "the name of an algorithm"},
	{"level", OPTION_LEVEL, 0, "LEVEL", "compress at this level", take_level, "a whole number"},
	{"threshold", OPTION_THRESHOLD, 0, "SIZE", "only blocks that are stored in this many bytes or more",
	 take_threshold, "a size such as 2048 or 2K"},
	{"max-pages", OPTION_MAX_PAGES, 0, "N", "try no more than this many blocks", take_max_pages,
	 "a number, 1 or more"},
	{"unless-used", OPTION_UNLESS_USED, 0, NULL, "only if nothing uses the device", NULL, NULL},
	{"batch", OPTION_BATCH, 0, NULL, "print text instead of a screen", NULL, NULL},
	{"count", OPTION_COUNT, 0, "N", "with --batch: end after so many times", take_count, "a number, 1 or more"},
	{"interval", OPTION_INTERVAL, 'd', "SECONDS", "look so often (default 1)", take_interval,
	 "a number of seconds from 0.1 to 3600, such as 0.5"},
	{"view", OPTION_VIEW, 0, "VIEW", "begin with devices, latency, memory, classes or ages", take_view, ""},
	{"yes", OPTION_YES, 'y', NULL, "write the file without a question", NULL, NULL},
	{"dry-run", OPTION_DRY_RUN, 0, NULL, "only show the file", NULL, NULL},
	{"force", OPTION_FORCE, 0, NULL, "replace a file that is there", NULL, NULL},
	{"help", OPTION_HELP, 'h', NULL, "print this text", NULL, NULL},
	{"version", OPTION_VERSION, 'V', NULL, "print the version", NULL, NULL},
};

#define ROWS (sizeof rows / sizeof rows[0])

static int take(struct options *options, const struct option_row *row, const char *value)
{
	options->given |= row->bit;
	if (row->take && row->take(options, value) != EXIT_DONE)
		return complain(EXIT_WRONG_USE, "--%s %.60s: give %s", row->name, value, row->right);
	return EXIT_DONE;
}

/* getopt_long()'s table: an option's value is 256 and its row. */
static void fill(struct option table[ROWS + 1], char letters[2 * ROWS + 2])
{
	char *next = letters;

	*next++ = ':';
	for (size_t i = 0; i < ROWS; i++) {
		table[i] = (struct option){.name = rows[i].name,
					   .has_arg = rows[i].argument ? required_argument : no_argument,
					   .val = 256 + (int)i};
		if (!rows[i].letter)
			continue;
		*next++ = rows[i].letter;
		if (rows[i].argument)
			*next++ = ':';
	}
	*next = '\0';
	table[ROWS] = (struct option){0};
}

static const struct option_row *row_of(int option)
{
	for (size_t i = 0; i < ROWS; i++)
		if (option == 256 + (int)i || option == rows[i].letter)
			return &rows[i];
	return NULL;
}

int options_parse(struct options *options, int argc, char **argv)
{
	struct option table[ROWS + 1];
	char letters[2 * ROWS + 2];
	int option, r = EXIT_DONE;

	*options = (struct options){.timeout_s = TIMEOUT_S, .interval_ms = INTERVAL_MS};
	fill(table, letters);
	optind = 0;
	opterr = 0;
	while (!r && (option = getopt_long(argc, argv, letters, table, NULL)) >= 0) {
		if (option == '?')
			r = complain(EXIT_WRONG_USE, "option '%.60s' is not known; see zsblkctl --help",
				     argv[optind - 1]);
		else if (option == ':')
			r = complain(EXIT_WRONG_USE, "option '%.60s' needs a value; see zsblkctl --help",
				     argv[optind - 1]);
		else
			r = take(options, row_of(option), optarg);
	}
	return r;
}

void options_print(FILE *out, uint32_t which)
{
	for (size_t i = 0; i < ROWS; i++) {
		char words[40], letter[5] = "    ";

		if (!(rows[i].bit & which))
			continue;
		if (rows[i].letter)
			snprintf(letter, sizeof letter, "-%c, ", rows[i].letter);
		snprintf(words, sizeof words, "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
			 rows[i].argument ? rows[i].argument : "");
		fprintf(out, "  %s%-22s %s\n", letter, words, rows[i].help);
	}
}

const char *options_name(uint32_t which)
{
	static char name[24];

	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].bit & which) {
			snprintf(name, sizeof name, "--%s", rows[i].name);
			break;
		}
	return name;
}
