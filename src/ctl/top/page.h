/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of text that are made for a screen or a file, and how figures are written in them: never wider than a column. */
#ifndef TOP_PAGE_H
#define TOP_PAGE_H

#include <stddef.h>
#include <stdint.h>

/* What is behind this is cut off: no screen is that wide. */
#define PAGE_WIDTH 400u

enum page_style {
	PAGE_PLAIN,
	PAGE_TITLE,    /* of the whole */
	PAGE_HEADING,  /* of columns */
	PAGE_SELECTED, /* the row that keys are about */
	PAGE_AWAY,     /* nobody answers */
	PAGE_HOT,      /* much happens here */
	PAGE_WARM,     /* something does */
};

struct page_line {
	char text[PAGE_WIDTH];
	enum page_style style;
};

struct page {
	struct page_line *lines;
	size_t n, room;
	size_t fixed;    /* lines that stay when the rest is scrolled */
	size_t selected; /* a line that is to be seen; 0: whichever */
};

/* Lines are added at the end; without memory they are left out. */
__attribute__((format(printf, 3, 4))) void page_add(struct page *page, enum page_style style, const char *format, ...);
/* Behind what the last line has. */
__attribute__((format(printf, 2, 3))) void page_append(struct page *page, const char *format, ...);
/* No lines; the memory stays for the next ones. */
void page_clear(struct page *page);
void page_free(struct page *page);

#define PAGE_FIGURE 16

/* "950", "12.3k", "4.5M": at most six characters. Returns `text`. */
const char *page_count(double count, char text[PAGE_FIGURE]);
/* Of bytes: "1.5G", at most six characters. */
const char *page_bytes(double bytes, char text[PAGE_FIGURE]);
/* Of nanoseconds: "850ns", "12.3us", "1.25ms", "3.4s"; "-" for 0, which stands for none. At most six characters. */
const char *page_time(uint64_t ns, char text[PAGE_FIGURE]);

#define PAGE_BAR 33
/* A bar of up to `width` (at most 32) characters for the share `part` of `whole`; one at least, if there is any. */
const char *page_bar(double part, double whole, unsigned width, char text[PAGE_BAR]);

#endif
