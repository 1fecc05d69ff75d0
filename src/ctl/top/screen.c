/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * top on a terminal. See screen.h.
 *
 *   title, sums, heading      page->fixed lines
 *   rows                      from `first` on, as many as there is room for
 *   keys                      the last line
 *
 * ncurses brings the terminal back when a signal ends the program, and tells of a new size as a key (KEY_RESIZE).
 */
#include "ctl/top/screen.h"

#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/terminal.h"

#include <ncurses.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_LEAST_MS 100u
#define INTERVAL_MOST_MS  3600000u

/* Pairs of colours, as ncurses numbers them. */
enum pair { PAIR_AWAY = 1, PAIR_HOT, PAIR_WARM };

struct screen {
	struct watch *watch;
	struct view *view;
	struct page page;
	size_t first; /* row that is seen at the top */
	bool has_colours, shows_help, ends;
};

static const char *const help[] = {
	"q            leave",
	"1 2 3 4 5    views: devices, latency, memory, classes, ages",
	"Tab          the next view",
	"Up Down      in the list: select a device; elsewhere: scroll",
	"Enter        from the list to the selected device",
	"n p          the next device, the one before",
	"PgUp PgDn    scroll by a screen; Home: to the top",
	"> <          sort by the next column, the one before",
	"r            sort backwards",
	"+ -          look less often, more often",
	"Space        look now",
	"",
	"Latencies are those of the time between two looks. In the classes, what changes fast is coloured.",
};

/* ------------------------------------------------------------------ drawing */

static attr_t attribute(const struct screen *screen, enum page_style style)
{
	switch (style) {
	case PAGE_TITLE:
		return A_BOLD;
	case PAGE_HEADING:
		return A_REVERSE;
	case PAGE_SELECTED:
		return A_BOLD | A_UNDERLINE;
	case PAGE_AWAY:
		return screen->has_colours ? (attr_t)COLOR_PAIR(PAIR_AWAY) : A_DIM;
	case PAGE_HOT:
		return screen->has_colours ? (attr_t)COLOR_PAIR(PAIR_HOT) | A_BOLD : A_BOLD;
	case PAGE_WARM:
		return screen->has_colours ? (attr_t)COLOR_PAIR(PAIR_WARM) : A_NORMAL;
	case PAGE_PLAIN:
		break;
	}
	return A_NORMAL;
}

/* A line, cut off at the right edge. What is in it may come from a server: nothing that moves the cursor goes to the terminal. */
static void put_line(int row, const char *text, attr_t attributes)
{
	char clean[PAGE_WIDTH];
	size_t length = 0;

	for (; text[length] && length + 1 < sizeof clean; length++)
		clean[length] = text[length] >= ' ' && text[length] <= '~' ? text[length] : '?';
	clean[length] = '\0';
	if (row < 0 || row >= LINES)
		return;
	attrset((int)attributes);
	mvaddnstr(row, 0, clean, COLS);
	/* Headings and keys are bars from edge to edge. */
	if (attributes & A_REVERSE)
		for (int column = (int)length; column < COLS; column++)
			addch(' ');
	attrset(A_NORMAL);
}

/* Rows that there is room for. */
static size_t room(const struct screen *screen)
{
	size_t fixed = screen->page.fixed + 1;

	return (size_t)LINES > fixed ? (size_t)LINES - fixed : 0;
}

static void keep_in_sight(struct screen *screen)
{
	size_t rows = screen->page.n - screen->page.fixed, seen = room(screen);
	size_t selected = screen->page.selected >= screen->page.fixed ? screen->page.selected - screen->page.fixed : 0;

	if (screen->page.selected && selected < screen->first)
		screen->first = selected;
	if (screen->page.selected && seen && selected >= screen->first + seen)
		screen->first = selected - seen + 1;
	if (screen->first + seen > rows)
		screen->first = rows > seen ? rows - seen : 0;
}

static void draw_help(void)
{
	put_line(0, "zsblkctl top - keys", A_BOLD);
	for (size_t i = 0; i < sizeof help / sizeof help[0]; i++)
		put_line((int)i + 2, help[i], A_NORMAL);
	put_line(LINES - 1, "any key: back", A_REVERSE);
}

static void draw_page(struct screen *screen)
{
	const struct page *page = &screen->page;
	size_t seen = room(screen);

	keep_in_sight(screen);
	for (size_t i = 0; i < page->fixed; i++)
		put_line((int)i, page->lines[i].text, attribute(screen, page->lines[i].style));
	for (size_t i = 0; i < seen && page->fixed + screen->first + i < page->n; i++) {
		const struct page_line *line = &page->lines[page->fixed + screen->first + i];

		put_line((int)(page->fixed + i), line->text, attribute(screen, line->style));
	}
	put_line(LINES - 1, "q leave  1-5 Tab views  n p device  < > r sort  + - interval  ? keys", A_REVERSE);
}

static void draw(struct screen *screen)
{
	time_t now = time(NULL);
	char clock[16] = "";
	struct tm local;
	size_t n;
	const struct watch_device *const *devices = watch_lock(screen->watch, &n);

	if (localtime_r(&now, &local))
		strftime(clock, sizeof clock, "%H:%M:%S", &local);
	view_make(&screen->page, screen->view, devices, n, clock);
	watch_unlock(screen->watch);
	erase();
	if (screen->shows_help)
		draw_help();
	else
		draw_page(screen);
	refresh();
}

/* ------------------------------------------------------------------ keys */

static void show(struct screen *screen, enum view_kind kind)
{
	screen->view->kind = kind;
	screen->first = 0;
	/* What this view needs may not have been asked for yet. */
	watch_want(screen->watch, view_wants(kind), screen->view->interval_ms, true);
}

static void select_next(struct screen *screen, int step)
{
	size_t n;
	const struct watch_device *const *devices = watch_lock(screen->watch, &n);

	view_select_next(screen->view, devices, n, step);
	watch_unlock(screen->watch);
}

static void scroll_by(struct screen *screen, long rows)
{
	if (rows < 0 && screen->first < (size_t)-rows)
		screen->first = 0;
	else
		screen->first += (size_t)rows;
}

static void change_interval(struct screen *screen, bool longer)
{
	unsigned *interval_ms = &screen->view->interval_ms;

	*interval_ms = longer ? *interval_ms * 2 : *interval_ms / 2;
	if (*interval_ms < INTERVAL_LEAST_MS)
		*interval_ms = INTERVAL_LEAST_MS;
	if (*interval_ms > INTERVAL_MOST_MS)
		*interval_ms = INTERVAL_MOST_MS;
	watch_want(screen->watch, view_wants(screen->view->kind), *interval_ms, true);
}

static void step_to(struct screen *screen, int step)
{
	if (screen->view->kind == VIEW_DEVICES)
		select_next(screen, step);
	else
		scroll_by(screen, step);
}

static void sort_by(struct screen *screen, int key)
{
	struct view *view = screen->view;

	if (key == 'r')
		view->is_reversed[view->kind] = !view->is_reversed[view->kind];
	else
		view_sort_by_next(view, key == '>' ? 1 : -1);
}

static void move_by_key(struct screen *screen, int key)
{
	switch (key) {
	case KEY_UP:
	case 'k':
		step_to(screen, -1);
		break;
	case KEY_DOWN:
	case 'j':
		step_to(screen, 1);
		break;
	case KEY_PPAGE:
		scroll_by(screen, -(long)room(screen));
		break;
	case KEY_NPAGE:
		scroll_by(screen, (long)room(screen));
		break;
	case KEY_HOME:
		screen->first = 0;
		break;
	default:
		break;
	}
}

static void act_on(struct screen *screen, int key)
{
	enum view_kind kind = screen->view->kind;

	if (screen->shows_help && key != KEY_RESIZE) {
		screen->shows_help = false;
		return;
	}
	if (key >= '1' && key < '1' + (int)VIEWS)
		show(screen, (enum view_kind)(key - '1'));
	else if (key == 'q' || key == 'Q')
		screen->ends = true;
	else if (key == '?' || key == 'h')
		screen->shows_help = true;
	else if (key == '\t')
		show(screen, (kind + 1) % VIEWS);
	else if ((key == '\n' || key == '\r' || key == KEY_ENTER) && kind == VIEW_DEVICES)
		show(screen, VIEW_LATENCY);
	else if (key == '<' || key == '>' || key == 'r')
		sort_by(screen, key);
	else if (key == 'n' || key == 'p')
		select_next(screen, key == 'n' ? 1 : -1);
	else if (key == '+' || key == '-')
		change_interval(screen, key == '+');
	else if (key == ' ')
		watch_want(screen->watch, view_wants(kind), screen->view->interval_ms, true);
	else
		move_by_key(screen, key);
}

/* ------------------------------------------------------------------ the loop */

static void loop(struct screen *screen)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = watch_fd(screen->watch), .events = POLLIN}};

	while (!screen->ends) {
		int key;

		draw(screen);
		/* A signal ends the wait as well: the one of a new size. */
		if (poll(fds, 2, -1) > 0 && fds[1].revents)
			watch_seen(screen->watch);
		/* The terminal has gone. */
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			return;
		while (!screen->ends && (key = getch()) != ERR)
			act_on(screen, key);
	}
}

static void prepare_colours(struct screen *screen)
{
	if (!terminal_has_colours(STDOUT_FILENO) || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	init_pair(PAIR_AWAY, COLOR_RED, -1);
	init_pair(PAIR_HOT, COLOR_RED, -1);
	init_pair(PAIR_WARM, COLOR_YELLOW, -1);
	screen->has_colours = true;
}

int screen_run(struct watch *watch, struct view *view)
{
	struct screen screen = {.watch = watch, .view = view};
	const char *kind = getenv("TERM");
	SCREEN *terminal = newterm(NULL, stdout, stdin);

	if (!terminal)
		return complain(EXIT_FAILED,
				"the terminal '%.40s' (TERM) is not known here; set TERM, or use top --batch",
				kind ? kind : "");
	cbreak();
	noecho();
	keypad(stdscr, true);
	nodelay(stdscr, true);
	curs_set(0);
	prepare_colours(&screen);
	loop(&screen);
	endwin();
	delscreen(terminal);
	page_free(&screen.page);
	return EXIT_DONE;
}
