/* SPDX-License-Identifier: BSD-3-Clause */
/* A message with fields: what is written is read again, and nothing in a value can end the field or the line. */
#include "lib/test.h"

#include "daemon/base/record.h"

#include <limits.h>

static unsigned parse(struct record *record, struct iovec *fields)
{
	assert_int_equal(record->line[record->used - 1], '\n');
	assert_null(memchr(record->line, '\n', record->used - 1));
	return record_parse(record->line, record->used - 1, fields);
}

static void expect(const struct iovec *field, const char *text)
{
	assert_int_equal(field->iov_len, strlen(text));
	assert_memory_equal(field->iov_base, text, strlen(text));
}

static void test_fields(void **state)
{
	struct iovec fields[RECORD_FIELDS];
	struct record record;

	record_begin(&record);
	record_add(&record, "MESSAGE", "process %d serves again\nMESSAGE=forged\x1f", 42);
	record_add(&record, "ZSBLK_OUTAGE_MS", "%.1f", 1.5);
	record_add(&record, "EMPTY", "%s", "");
	record_end(&record);
	assert_int_equal(parse(&record, fields), 3);
	expect(&fields[0], "MESSAGE=process 42 serves again MESSAGE=forged ");
	expect(&fields[1], "ZSBLK_OUTAGE_MS=1.5");
	expect(&fields[2], "EMPTY=");
}

/* What does not fit is cut off, and the line goes through a pipe in one piece. */
static void test_room(void **state)
{
	char text[RECORD_BYTES + 1];
	struct iovec fields[RECORD_FIELDS];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (int length = RECORD_BYTES - 40; length <= (int)RECORD_BYTES; length++) {
		struct record record;

		record_begin(&record);
		record_add(&record, "A", "%.*s", length, text);
		for (int i = 0; i < 20; i++)
			record_add(&record, "LONG_NAME", "%d", i);
		record_end(&record);
		assert_true(record.used <= RECORD_BYTES && record.used <= PIPE_BUF);
		assert_true(parse(&record, fields) >= 1);
		assert_memory_equal(fields[0].iov_base, "A=xxx", 5);
	}
}

static void test_others(void **state)
{
	static const char *const lines[] = {"", "<5>a message", "\x1d", "\x1d\x1f\x1f"};
	struct iovec fields[RECORD_FIELDS];
	char line[200];

	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		strcpy(line, lines[i]);
		assert_int_equal(record_parse(line, strlen(line), fields), 0);
	}
	/* More than there is room for. */
	line[0] = RECORD_START;
	for (unsigned i = 0; i < 40; i++)
		strcpy(line + 1 + 4 * i, "A=b\x1f");
	assert_int_equal(record_parse(line, 161, fields), RECORD_FIELDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
