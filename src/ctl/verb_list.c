/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl list: a table of devices, with the columns of zramctl(8), so that a script moves over with a rename. */
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/mountpoint.h"
#include "ctl/verbs.h"

#include <limits.h>

enum {
	NAME,
	DISKSIZE,
	DATA,
	COMPR,
	ALGORITHM,
	STREAMS,
	ZERO_PAGES,
	TOTAL,
	MEM_LIMIT,
	MEM_USED,
	MIGRATED,
	COMP_RATIO,
	MOUNTPOINT,
	INSTANCE,
	LEVEL,
	HUGE_PAGES,
	TRANSPORT,
	PID,
	VERSION,
};

static const struct column columns[] = {
	[NAME] = {"NAME", COLUMN_TEXT, "the device; what the server was found by, if the kernel has no device of it"},
	[DISKSIZE] = {"DISKSIZE", COLUMN_SIZE, "size of the device"},
	[DATA] = {"DATA", COLUMN_SIZE, "uncompressed size of stored data"},
	[COMPR] = {"COMPR", COLUMN_SIZE, "compressed size of stored data"},
	[ALGORITHM] = {"ALGORITHM", COLUMN_TEXT, "algorithm that blocks are compressed with"},
	[STREAMS] = {"STREAMS", COLUMN_COUNT, "requests that can be compressed at a time"},
	[ZERO_PAGES] = {"ZERO-PAGES", COLUMN_COUNT, "same-filled blocks"},
	[TOTAL] = {"TOTAL", COLUMN_SIZE, "memory for stored data, with what the allocator adds to it"},
	[MEM_LIMIT] = {"MEM-LIMIT", COLUMN_SIZE, "most memory that stored data may take; 0: no limit"},
	[MEM_USED] = {"MEM-USED", COLUMN_SIZE, "most memory that stored data has taken so far"},
	[MIGRATED] = {"MIGRATED", COLUMN_COUNT, "pages freed by compaction so far"},
	[COMP_RATIO] = {"COMP-RATIO", COLUMN_RATIO, "DATA / TOTAL"},
	[MOUNTPOINT] = {"MOUNTPOINT", COLUMN_TEXT, "where the device is mounted, or [SWAP]"},
	[INSTANCE] = {"INSTANCE", COLUMN_TEXT, "name of the instance of zsblkd"},
	[LEVEL] = {"LEVEL", COLUMN_COUNT, "level of the algorithm"},
	[HUGE_PAGES] = {"HUGE-PAGES", COLUMN_COUNT, "blocks stored as they are, since they do not compress"},
	[TRANSPORT] = {"TRANSPORT", COLUMN_TEXT, "how requests reach the server: nbdkit or ublk"},
	[PID] = {"PID", COLUMN_COUNT, "process of the server"},
	[VERSION] = {"VERSION", COLUMN_TEXT, "version of the server"},
};

/* The usual ones are zramctl's in zramctl's order, and one more behind them. */
const struct column_set verb_list_columns = {
	.name = "devices",
	.usual = "NAME,ALGORITHM,DISKSIZE,DATA,COMPR,TOTAL,STREAMS,MOUNTPOINT,INSTANCE",
	.columns = columns,
	.n_columns = sizeof columns / sizeof columns[0],
};

static void put_description(struct columns *table, const struct connection *connection, struct json_object *description)
{
	const char *device = member_text(description, "device");
	char mountpoint[PATH_MAX];

	columns_put_text(table, NAME, *device ? device : connection_name(connection));
	if (connection_is_instance(connection))
		columns_put_text(table, INSTANCE, connection_name(connection));
	columns_put(table, DISKSIZE, member_number(description, "size"));
	columns_put_text(table, ALGORITHM, member_text(description, "algorithm"));
	columns_put_signed(table, LEVEL, member_signed(description, "level"));
	columns_put_text(table, TRANSPORT, member_text(description, "transport"));
	columns_put(table, PID, member_number(description, "pid"));
	columns_put_text(table, VERSION, member_text(description, "version"));
	if (member_has(description, "streams"))
		columns_put(table, STREAMS, member_number(description, "streams"));
	if (columns_has(table, MOUNTPOINT) && mountpoint_find(device, mountpoint, sizeof mountpoint))
		columns_put_text(table, MOUNTPOINT, mountpoint);
}

static void put_statistics(struct columns *table, struct json_object *statistics)
{
	uint64_t data = member_number(statistics, "orig_data_size");
	uint64_t total = member_number(statistics, "mem_used_total");

	columns_put(table, DATA, data);
	columns_put(table, COMPR, member_number(statistics, "compr_data_size"));
	columns_put(table, ZERO_PAGES, member_number(statistics, "same_pages"));
	columns_put(table, TOTAL, total);
	columns_put(table, MEM_LIMIT, member_number(statistics, "mem_limit"));
	columns_put(table, MEM_USED, member_number(statistics, "mem_used_max"));
	columns_put(table, MIGRATED, member_number(statistics, "pages_compacted"));
	columns_put(table, HUGE_PAGES, member_number(statistics, "huge_pages"));
	if (total)
		columns_put_ratio(table, COMP_RATIO, (double)data / (double)total);
}

static int list_one(struct columns *table, struct connection *connection)
{
	struct json_object *description = NULL, *statistics = NULL;
	int r = connection_call(connection, CONNECTION_SERVER, "GetDescription", NULL, &description);

	if (!r)
		r = connection_call(connection, CONNECTION_SERVER, "GetStatistics", NULL, &statistics);
	if (r) {
		connection_complain(connection, r);
	} else {
		columns_add_row(table);
		put_description(table, connection, description);
		put_statistics(table, member_object(statistics, "statistics"));
	}
	json_object_put(description);
	json_object_put(statistics);
	return r;
}

int verb_list(const struct call *call)
{
	struct columns *table;
	int worst = columns_create(&table, &verb_list_columns, call->options);

	if (worst)
		return worst;
	for (size_t i = 0; i < call->n_connections; i++)
		worst = exit_worse(worst, list_one(table, call->connections[i]));
	worst = exit_worse(worst, columns_print(table));
	columns_free(table);
	return worst;
}
