/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl classes: the size classes of the allocator, with the columns of zsmalloc's table in debugfs (Documentation/mm/zsmalloc.rst). */
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/verbs.h"

enum {
	CLASS,
	SIZE,
	FULL_10, /* zspages that are less full than this */
	FULL_100 = FULL_10 + 10,
	OBJ_ALLOCATED,
	OBJ_USED,
	PAGES_USED,
	PAGES_PER_ZSPAGE,
	FREEABLE,
	OBJS_PER_ZSPAGE,
	IS_HUGE,
	COLUMNS,
};

static const struct column columns[] = {
	[CLASS] = {"CLASS", COLUMN_COUNT, "number of the class"},
	[SIZE] = {"SIZE", COLUMN_COUNT, "bytes of an object"},
	[FULL_10] = {"10%", COLUMN_COUNT, "zspages of which at most 10 % is in use"},
	{"20%", COLUMN_COUNT, "more than that, and at most 20 %"},
	{"30%", COLUMN_COUNT, "and so on"},
	{"40%", COLUMN_COUNT, "and so on"},
	{"50%", COLUMN_COUNT, "and so on"},
	{"60%", COLUMN_COUNT, "and so on"},
	{"70%", COLUMN_COUNT, "and so on"},
	{"80%", COLUMN_COUNT, "and so on"},
	{"90%", COLUMN_COUNT, "and so on"},
	{"99%", COLUMN_COUNT, "more than 90 %, and not full"},
	[FULL_100] = {"100%", COLUMN_COUNT, "zspages that are full"},
	[OBJ_ALLOCATED] = {"OBJ_ALLOCATED", COLUMN_COUNT, "objects that its zspages have room for"},
	[OBJ_USED] = {"OBJ_USED", COLUMN_COUNT, "objects in use"},
	[PAGES_USED] = {"PAGES_USED", COLUMN_COUNT, "pages of its zspages"},
	[PAGES_PER_ZSPAGE] = {"PAGES_PER_ZSPAGE", COLUMN_COUNT, "pages of a whole zspage"},
	[FREEABLE] = {"FREEABLE", COLUMN_COUNT, "pages that compaction could free at best"},
	[OBJS_PER_ZSPAGE] = {"OBJS_PER_ZSPAGE", COLUMN_COUNT, "objects of a whole zspage"},
	[IS_HUGE] = {"HUGE", COLUMN_FLAG, "each object has a page of its own"},
};

const struct column_set verb_classes_columns = {
	.name = "classes",
	.usual =
		"CLASS,SIZE,10%,20%,30%,40%,50%,60%,70%,80%,90%,99%,100%,OBJ_ALLOCATED,OBJ_USED,PAGES_USED,PAGES_PER_ZSPAGE,FREEABLE",
	.columns = columns,
	.n_columns = COLUMNS,
};

/* The columns that are added up, and where their figures are. */
static const struct {
	unsigned column;
	const char *member;
} sums[] = {{OBJ_ALLOCATED, "capacity"}, {OBJ_USED, "objects"}, {PAGES_USED, "pages"}, {FREEABLE, "freeable_pages"}};

#define SUMS (sizeof sums / sizeof sums[0])

struct total {
	uint64_t of[COLUMNS];
};

static void put_sum(struct columns *table, struct total *total, unsigned column, uint64_t value)
{
	total->of[column] += value;
	columns_put(table, column, value);
}

static void put_class(struct columns *table, struct json_object *class, struct total *total)
{
	struct json_object *groups = member_array(class, "fullness");

	columns_add_row(table);
	columns_put(table, CLASS, member_number(class, "index"));
	columns_put(table, SIZE, member_number(class, "size"));
	for (size_t i = 0; groups && FULL_10 + i <= FULL_100 && i < json_object_array_length(groups); i++)
		put_sum(table, total, FULL_10 + (unsigned)i,
			json_object_get_uint64(json_object_array_get_idx(groups, i)));
	for (size_t i = 0; i < SUMS; i++)
		put_sum(table, total, sums[i].column, member_number(class, sums[i].member));
	columns_put(table, PAGES_PER_ZSPAGE, member_number(class, "pages_per_zspage"));
	columns_put(table, OBJS_PER_ZSPAGE, member_number(class, "objects_per_zspage"));
	columns_put(table, IS_HUGE, member_bool(class, "huge"));
}

/* As the kernel does, below the table. */
static void put_total(struct columns *table, const struct total *total)
{
	columns_add_row(table);
	columns_put_text(table, CLASS, "Total");
	for (unsigned i = FULL_10; i <= FULL_100; i++)
		columns_put(table, i, total->of[i]);
	for (size_t i = 0; i < SUMS; i++)
		columns_put(table, sums[i].column, total->of[sums[i].column]);
}

/* Classes come in portions: an answer is bounded. *next: where the next one begins; false if this was the last. */
static int put_portion(struct connection *connection, struct columns *table, struct total *total, uint64_t *next,
		       bool *more)
{
	struct json_object *parameters = json_object_new_object(), *reply = NULL, *classes;
	uint64_t first = *next;
	int r;

	member_put_number(parameters, "first", first);
	r = connection_call(connection, CONNECTION_SERVER, "GetClasses", parameters, &reply);
	if (r)
		return r;
	classes = member_array(reply, "classes");
	for (size_t i = 0; classes && i < json_object_array_length(classes); i++)
		put_class(table, json_object_array_get_idx(classes, i), total);
	*next = member_number(reply, "next");
	*more = member_has(reply, "next") && *next > first;
	json_object_put(reply);
	return EXIT_DONE;
}

int verb_classes(const struct call *call)
{
	struct connection *connection = call->connections[0];
	struct total total = {0};
	struct columns *table;
	uint64_t next = 0;
	bool more = true;
	int r = columns_create(&table, &verb_classes_columns, call->options);

	if (r)
		return r;
	while (!r && more) {
		r = put_portion(connection, table, &total, &next, &more);
		if (r)
			connection_complain(connection, r);
	}
	if (!r && !options_has(call->options, OPTION_JSON))
		put_total(table, &total);
	if (!r)
		r = columns_print(table);
	columns_free(table);
	return r;
}
