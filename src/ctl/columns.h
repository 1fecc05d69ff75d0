/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables, with the options of zramctl and lsblk: --output, --output-all, --noheadings, --raw, --bytes and --json. libsmartcols lays them
 * out, as it does for zramctl. In JSON a table is {"NAME": [{"column": value...}...]}: names of columns in lower case, sizes in bytes.
 */
#ifndef COLUMNS_H
#define COLUMNS_H

#include "ctl/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum column_kind {
	COLUMN_TEXT,
	COLUMN_COUNT, /* a number without a unit */
	COLUMN_SIZE,  /* bytes; 1.5K unless there is --bytes */
	COLUMN_RATIO, /* two decimals */
	COLUMN_TIME,  /* seconds; "2 h 5 min" unless there is --bytes */
	COLUMN_FLAG,  /* yes or nothing */
};

struct column {
	const char *name;
	enum column_kind kind;
	const char *help;
};

/* The columns of a verb, numbered from 0. They do not change while a table is made of them. */
struct column_set {
	const char *name;  /* of the whole, in JSON */
	const char *usual; /* what --output is when it is not given */
	const struct column *columns;
	size_t n_columns;
};

struct columns;

/*
 * A table without rows. EXIT_DONE; EXIT_WRONG_USE if there is no column that --output names, and EXIT_FAILED without memory: both are on standard
 * error then.
 */
int columns_create(struct columns **columns, const struct column_set *set, const struct options *options);
/* NULL is allowed. */
void columns_free(struct columns *columns);

/* Is the column printed? What takes time to find out need not be found out otherwise. */
bool columns_has(const struct columns *columns, size_t column);

/* Begin a row. Its cells are empty. */
void columns_add_row(struct columns *columns);
/* Put into a cell of the last row what the kind of its column takes: text, or a number of whatever it is. */
void columns_put_text(struct columns *columns, size_t column, const char *text);
void columns_put(struct columns *columns, size_t column, uint64_t value);
void columns_put_signed(struct columns *columns, size_t column, int64_t value);
void columns_put_ratio(struct columns *columns, size_t column, double ratio);

/* On standard output. EXIT_DONE, or EXIT_FAILED if memory ran out for any of it, which is on standard error then. */
int columns_print(struct columns *columns);

/* The lines of --help for the columns, as zramctl has them. */
void columns_help(FILE *out, const struct column_set *set);

#endif
