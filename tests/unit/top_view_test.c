/* SPDX-License-Identifier: BSD-3-Clause */
/* What top shows: the order of rows, which device is selected, and how figures are written. */
#include "lib/test.h"

#include "ctl/top/view.h"

static void test_figures(void **state)
{
	char text[PAGE_FIGURE], bar[PAGE_BAR];

	assert_string_equal(page_count(0, text), "0");
	assert_string_equal(page_count(2.5, text), "2.5");
	assert_string_equal(page_count(9999, text), "9999");
	assert_string_equal(page_count(12345, text), "12.3k");
	assert_string_equal(page_count(999700, text), "1.00M");
	assert_string_equal(page_time(0, text), "-");
	assert_string_equal(page_time(850, text), "850ns");
	assert_string_equal(page_time(12340, text), "12.3us");
	assert_string_equal(page_time(999900, text), "1.00ms");
	assert_string_equal(page_time(UINT64_C(123456789012), text), "123s");
	assert_string_equal(page_bytes(1536, text), "1.5K");
	assert_string_equal(page_bar(0, 10, 10, bar), "");
	assert_string_equal(page_bar(0.01, 10, 10, bar), "#");
	assert_string_equal(page_bar(20, 10, 10, bar), "##########");
	assert_string_equal(page_bar(1, 0, 10, bar), "");
}

static struct watch_device small = {
	.name = "small", .answers = true, .has_sample = true, .now = {.data = 8192, .total = 4096}};
static struct watch_device large = {
	.name = "large", .answers = true, .has_sample = true, .now = {.data = 81920, .total = 40960}};
static struct watch_device away = {.name = "away", .problem = "nobody listens"};
static const struct watch_device *const devices[] = {&small, &large, &away};

/* The line that has a text; page.n if there is none. */
static size_t line_of(const struct page *page, const char *text)
{
	size_t i = 0;

	while (i < page->n && !strstr(page->lines[i].text, text))
		i++;
	return i;
}

static void test_list(void **state)
{
	struct page page = {0};
	struct view view;

	view_init(&view, 1500);
	view_make(&page, &view, devices, 3, "12:00:00");
	assert_non_null(strstr(page.lines[0].text, "3 devices, every 1.5 s; [devices] latency"));
	assert_non_null(strstr(page.lines[1].text, "stored 88K in 44K, ratio 2.00"));
	assert_non_null(strstr(page.lines[1].text, "1 away"));
	/* By name; the first that answers is selected. */
	assert_true(line_of(&page, "large") > line_of(&page, "nobody listens"));
	assert_true(line_of(&page, "small") > line_of(&page, "large"));
	assert_string_equal(view.selected, "large");
	assert_int_equal(page.lines[page.selected].style, PAGE_SELECTED);
	assert_int_equal(page.fixed, 3);
	page_free(&page);
}

static void test_order(void **state)
{
	struct page page = {0};
	struct view view;

	view_init(&view, 1000);
	/* Backwards from the first column is the last one, the size; two before that are the sums of memory. */
	view_sort_by_next(&view, -1);
	view_sort_by_next(&view, -1);
	view_sort_by_next(&view, -1);
	view_make(&page, &view, devices, 3, "");
	assert_non_null(strstr(page.lines[0].text, "by TOTAL"));
	assert_true(line_of(&page, "large") < line_of(&page, "small"));
	assert_true(line_of(&page, "small") < line_of(&page, "nobody listens"));
	view.is_reversed[VIEW_DEVICES] = true;
	view_make(&page, &view, devices, 3, "");
	assert_true(line_of(&page, "large") > line_of(&page, "small"));
	for (unsigned i = 0; i < 3; i++)
		view_sort_by_next(&view, 1);
	view_make(&page, &view, devices, 3, "");
	assert_non_null(strstr(page.lines[0].text, "by NAME, backwards"));
	page_free(&page);
}

/* The selection is a device, and not a row: it stays when others come, go or change places. */
static void test_selection(void **state)
{
	struct page page = {0};
	struct view view;

	view_init(&view, 1000);
	view_make(&page, &view, devices, 3, "");
	assert_string_equal(view.selected, "large");
	view_select_next(&view, devices, 3, -1);
	view_select_next(&view, devices, 3, -1);
	assert_string_equal(view.selected, "away");
	view_select_next(&view, devices, 3, 1);
	view_select_next(&view, devices, 3, 1);
	view_select_next(&view, devices, 3, 1);
	assert_string_equal(view.selected, "small");
	view.is_reversed[VIEW_DEVICES] = true;
	view_make(&page, &view, devices, 3, "");
	assert_string_equal(view.selected, "small");
	view_select_next(&view, devices, 3, -1);
	assert_string_equal(view.selected, "small");
	view_select_next(&view, devices, 3, 1);
	assert_string_equal(view.selected, "large");
	/* It has gone. */
	view_make(&page, &view, devices, 1, "");
	assert_string_equal(view.selected, "small");
	view_make(&page, &view, NULL, 0, "");
	assert_true(line_of(&page, "No device runs") < page.n);
	view_select_next(&view, NULL, 0, 1);
	page_free(&page);
}

/* A view of one device, for one that was never seen and for one that does not tell. */
static void test_views(void **state)
{
	struct page page = {0};
	struct view view;

	view_init(&view, 1000);
	for (enum view_kind kind = VIEW_LATENCY; kind < VIEWS; kind++) {
		assert_int_equal(view_of_name(view_name(kind)), kind);
		view.kind = kind;
		strcpy(view.selected, "away");
		view_make(&page, &view, devices, 3, "");
		assert_true(line_of(&page, "nobody listens") < page.n);
		assert_int_equal(page.fixed, page.n);
		strcpy(view.selected, "large");
		view_make(&page, &view, devices, 3, "");
		assert_true(page.n > page.fixed);
		assert_int_equal(page.lines[page.fixed - 1].style, PAGE_HEADING);
	}
	assert_int_equal(view_of_name("nothing"), VIEWS);
	page_free(&page);
}

/* Sums are shown, and not counted twice. */
static void test_memory(void **state)
{
	struct sample_part parts[] = {{"objects", 300}, {"table", 100}, {"segment", 400},
				      {"process", 100}, {"total", 500}, {"page_tables", 50}};
	struct watch_device device = large;
	const struct watch_device *const one[] = {&device};
	struct page page = {0};
	struct view view;

	device.now.memory = parts;
	device.now.n_memory = sizeof parts / sizeof parts[0];
	view_init(&view, 1000);
	view.kind = VIEW_MEMORY;
	view_make(&page, &view, one, 1, "");
	assert_non_null(strstr(page.lines[line_of(&page, "objects")].text, " 60.0%  ##"));
	assert_non_null(strstr(page.lines[line_of(&page, "segment")].text, " 80.0%"));
	assert_non_null(strstr(page.lines[line_of(&page, "total")].text, "500B 100.0%"));
	assert_null(strchr(page.lines[line_of(&page, "total")].text, '#'));
	assert_null(strchr(page.lines[line_of(&page, "page_tables")].text, '%'));
	page_free(&page);
}

static void test_classes(void **state)
{
	struct sample_class classes[] = {{.index = 1, .size = 64, .objects = 64, .capacity = 64, .pages = 1},
					 {.index = 2, .size = 4096, .objects = 9, .capacity = 9, .pages = 9},
					 {.index = 3, .size = 80}};
	struct watch_device device = large;
	const struct watch_device *const one[] = {&device};
	struct page page = {0};
	struct view view;

	device.now.classes = classes;
	device.now.n_classes = 3;
	view_init(&view, 1000);
	view.kind = VIEW_CLASSES;
	view_make(&page, &view, one, 1, "");
	/* By memory; an empty class is left out. */
	assert_int_equal(page.n - page.fixed, 2);
	assert_memory_equal(page.lines[page.fixed].text, "  4096", 6);
	assert_memory_equal(page.lines[page.fixed + 1].text, "    64", 6);
	page_free(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),   cmocka_unit_test(test_list),  cmocka_unit_test(test_order),
		cmocka_unit_test(test_selection), cmocka_unit_test(test_views), cmocka_unit_test(test_memory),
		cmocka_unit_test(test_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
