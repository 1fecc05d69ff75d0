/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of text. See page.h. */
#include "ctl/top/page.h"

#include "ctl/human.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void page_add(struct page *page, enum page_style style, const char *format, ...)
{
	va_list args;

	if (page->n == page->room) {
		size_t room = page->room ? 2 * page->room : 64;
		struct page_line *more = reallocarray(page->lines, room, sizeof *more);

		if (!more)
			return;
		page->lines = more;
		page->room = room;
	}
	page->lines[page->n].style = style;
	va_start(args, format);
	vsnprintf(page->lines[page->n++].text, PAGE_WIDTH, format, args);
	va_end(args);
}

void page_append(struct page *page, const char *format, ...)
{
	size_t length;
	va_list args;

	if (!page->n)
		return;
	length = strlen(page->lines[page->n - 1].text);
	va_start(args, format);
	vsnprintf(page->lines[page->n - 1].text + length, PAGE_WIDTH - length, format, args);
	va_end(args);
}

void page_clear(struct page *page)
{
	page->n = page->fixed = page->selected = 0;
}

void page_free(struct page *page)
{
	free(page->lines);
	*page = (struct page){0};
}

/* ------------------------------------------------------------------ figures */

/* Three digits and more of a number that has a unit behind it. */
static const char *with_unit(double value, const char *unit, char text[PAGE_FIGURE])
{
	snprintf(text, PAGE_FIGURE, "%.*f%s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit);
	return text;
}

const char *page_count(double count, char text[PAGE_FIGURE])
{
	static const char *const units[] = {"k", "M", "G", "T"};
	unsigned unit = 0;

	if (count < 9999.5) {
		snprintf(text, PAGE_FIGURE, count > 0 && count < 9.95 ? "%.1f" : "%.0f", count);
		return text;
	}
	for (count /= 1000; count >= 999.5 && unit < 3; unit++)
		count /= 1000;
	return with_unit(count, units[unit], text);
}

const char *page_bytes(double bytes, char text[PAGE_FIGURE])
{
	char human[HUMAN_BYTES];

	snprintf(text, PAGE_FIGURE, "%.15s", human_size(bytes > 0 ? (uint64_t)bytes : 0, human));
	return text;
}

const char *page_time(uint64_t ns, char text[PAGE_FIGURE])
{
	static const char *const units[] = {"us", "ms", "s"};
	double value = (double)ns / 1000;
	unsigned unit = 0;

	if (ns < 1000) {
		snprintf(text, PAGE_FIGURE, ns ? "%uns" : "-", (unsigned)ns);
		return text;
	}
	for (; value >= 999.5 && unit < 2; unit++)
		value /= 1000;
	return with_unit(value, units[unit], text);
}

const char *page_bar(double part, double whole, unsigned width, char text[PAGE_BAR])
{
	double share = whole > 0 && part > 0 ? part / whole : 0;
	unsigned length = (unsigned)((share < 1 ? share : 1) * width + 0.5);

	if (share > 0 && !length)
		length = 1;
	memset(text, '#', length);
	text[length] = '\0';
	return text;
}
