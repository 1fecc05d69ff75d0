/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables. See columns.h. */
#include "ctl/columns.h"

#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/human.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct columns {
	const struct column_set *set;
	const struct options *options;
	struct libscols_table *table;
	struct libscols_line *row;
	struct libscols_column **cells; /* of each column of the set; NULL: not printed */
	bool failed;
};

static size_t find(const struct column_set *set, const char *name, size_t length)
{
	size_t i = 0;

	while (i < set->n_columns &&
	       (strlen(set->columns[i].name) != length || strncasecmp(set->columns[i].name, name, length) != 0))
		i++;
	return i;
}

static bool is_number(const struct column *column)
{
	return column->kind != COLUMN_TEXT && column->kind != COLUMN_FLAG;
}

static int add_column(struct columns *columns, size_t i)
{
	const struct column *column = &columns->set->columns[i];
	struct libscols_column *cell;

	/* A column that is named twice is printed once, where it was named first. */
	if (columns->cells[i])
		return EXIT_DONE;
	cell = scols_table_new_column(columns->table, column->name, 0, is_number(column) ? SCOLS_FL_RIGHT : 0);
	if (!cell)
		return complain(EXIT_FAILED, "no memory");
	if (is_number(column))
		scols_column_set_json_type(cell, SCOLS_JSON_NUMBER);
	else if (column->kind == COLUMN_FLAG)
		scols_column_set_json_type(cell, SCOLS_JSON_BOOLEAN);
	columns->cells[i] = cell;
	return EXIT_DONE;
}

static int add_named(struct columns *columns, const char *names)
{
	int r = EXIT_DONE;

	while (!r && *names) {
		size_t length = strcspn(names, ","), i = find(columns->set, names, length);

		if (i == columns->set->n_columns)
			return complain(EXIT_WRONG_USE, "--output: there is no column '%.*s' here; --help lists them",
					(int)(length > 60 ? 60 : length), names);
		r = add_column(columns, i);
		names += length;
		names += *names == ',';
	}
	return r;
}

static int add_columns(struct columns *columns)
{
	const char *output = columns->options->output;
	int r = EXIT_DONE;

	if (options_has(columns->options, OPTION_OUTPUT_ALL)) {
		for (size_t i = 0; !r && i < columns->set->n_columns; i++)
			r = add_column(columns, i);
		return r;
	}
	if (!output || *output == '+')
		r = add_named(columns, columns->set->usual);
	if (!r && output)
		r = add_named(columns, output + (*output == '+'));
	return r;
}

int columns_create(struct columns **result, const struct column_set *set, const struct options *options)
{
	struct columns *columns = calloc(1, sizeof *columns);
	int r = EXIT_FAILED;

	if (columns) {
		*columns = (struct columns){.set = set, .options = options};
		columns->cells = calloc(set->n_columns, sizeof *columns->cells);
		columns->table = scols_new_table();
	}
	if (!columns || !columns->cells || !columns->table) {
		complain(r, "no memory");
	} else {
		scols_table_enable_json(columns->table, options_has(options, OPTION_JSON));
		scols_table_enable_raw(columns->table,
				       options_has(options, OPTION_RAW) && !options_has(options, OPTION_JSON));
		scols_table_enable_noheadings(columns->table, options_has(options, OPTION_NOHEADINGS));
		scols_table_set_name(columns->table, set->name);
		r = add_columns(columns);
	}
	if (r) {
		columns_free(columns);
		return r;
	}
	*result = columns;
	return EXIT_DONE;
}

void columns_free(struct columns *columns)
{
	if (!columns)
		return;
	scols_unref_table(columns->table);
	free(columns->cells);
	free(columns);
}

bool columns_has(const struct columns *columns, size_t column)
{
	return columns->cells[column];
}

void columns_add_row(struct columns *columns)
{
	columns->row = scols_table_new_line(columns->table, NULL);
	columns->failed |= !columns->row;
}

void columns_put_text(struct columns *columns, size_t column, const char *text)
{
	if (columns->row && columns->cells[column])
		columns->failed |= scols_line_set_column_data(columns->row, columns->cells[column], text) != 0;
}

void columns_put(struct columns *columns, size_t column, uint64_t value)
{
	bool is_exact = options_has(columns->options, OPTION_BYTES | OPTION_JSON);
	enum column_kind kind = columns->set->columns[column].kind;
	char text[HUMAN_BYTES];

	if (kind == COLUMN_SIZE && !is_exact)
		human_size(value, text);
	else if (kind == COLUMN_TIME && !is_exact)
		human_time(value, text);
	else if (kind == COLUMN_FLAG && !options_has(columns->options, OPTION_JSON))
		snprintf(text, sizeof text, "%s", value ? "yes" : "");
	else
		snprintf(text, sizeof text, "%" PRIu64, value);
	columns_put_text(columns, column, text);
}

void columns_put_signed(struct columns *columns, size_t column, int64_t value)
{
	char text[HUMAN_BYTES];

	snprintf(text, sizeof text, "%" PRId64, value);
	columns_put_text(columns, column, text);
}

void columns_put_ratio(struct columns *columns, size_t column, double ratio)
{
	char text[40];

	snprintf(text, sizeof text, "%.2f", ratio);
	columns_put_text(columns, column, text);
}

int columns_print(struct columns *columns)
{
	if (!columns->failed && scols_print_table(columns->table) == 0)
		return EXIT_DONE;
	return complain(EXIT_FAILED, "no memory");
}

void columns_help(FILE *out, const struct column_set *set)
{
	for (size_t i = 0; i < set->n_columns; i++)
		fprintf(out, "  %18s  %s\n", set->columns[i].name, set->columns[i].help);
}
