/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl top: what devices do just now, again and again. On a terminal it is a screen (top/screen.h), with --batch text. */
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/top/screen.h"
#include "ctl/verbs.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The next round is complete; false if that cannot be waited for. */
static bool wait_for_round(struct watch *watch, unsigned *rounds)
{
	struct pollfd fd = {.fd = watch_fd(watch), .events = POLLIN};
	unsigned now = *rounds;
	size_t n;

	while (now == *rounds) {
		if (poll(&fd, 1, -1) < 0)
			return false;
		watch_seen(watch);
		watch_lock(watch, &n);
		now = watch_rounds(watch);
		watch_unlock(watch);
	}
	*rounds = now;
	return true;
}

/* Views of one device are printed for each of them. */
static void print_views(struct watch *watch, struct view *view, struct page *page, const char *clock)
{
	size_t n;
	const struct watch_device *const *devices = watch_lock(watch, &n);
	size_t times = view->kind == VIEW_DEVICES || !n ? 1 : n;

	view->selected[0] = '\0';
	for (size_t i = 0; i < times; i++) {
		/* The first one is selected by itself. */
		if (i)
			view_select_next(view, devices, n, 1);
		view_make(page, view, devices, n, clock);
		/* Title and sums are the same for all. */
		for (size_t line = i ? 2 : 0; line < page->n; line++)
			puts(page->lines[line].text);
	}
	watch_unlock(watch);
	putchar('\n');
	fflush(stdout);
}

static bool any_answers(struct watch *watch)
{
	bool any = false;
	size_t n;
	const struct watch_device *const *devices = watch_lock(watch, &n);

	for (size_t i = 0; i < n; i++)
		any |= devices[i]->answers;
	watch_unlock(watch);
	return any;
}

static int print_all(struct watch *watch, struct view *view, uint64_t count)
{
	struct page page = {0};
	unsigned rounds = 0;
	uint64_t printed = 0;
	int code;

	/* Rates take two looks: nothing is printed after the first one. */
	while (wait_for_round(watch, &rounds) && !ferror(stdout)) {
		time_t now = time(NULL);
		char clock[24] = "";
		struct tm local;

		if (rounds < 2)
			continue;
		if (localtime_r(&now, &local))
			strftime(clock, sizeof clock, "%F %T", &local);
		print_views(watch, view, &page, clock);
		if (++printed == count)
			break;
	}
	code = any_answers(watch) ? EXIT_DONE : EXIT_NOT_RUNNING;
	page_free(&page);
	return code;
}

int verb_top(const struct call *call)
{
	const struct options *options = call->options;
	bool is_batch = options_has(options, OPTION_BATCH);
	struct watch *watch;
	struct view view;
	int r;

	if (!is_batch && options_has(options, OPTION_COUNT))
		return complain(EXIT_WRONG_USE, "--count is for --batch");
	if (!is_batch && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return complain(EXIT_WRONG_USE, "top takes a terminal; use --batch to have text");
	view_init(&view, options->interval_ms);
	if (options->view) {
		view.kind = view_of_name(options->view);
		if (view.kind == VIEWS)
			return complain(EXIT_WRONG_USE, "--view %.40s: give devices, latency, memory, classes or ages",
					options->view);
	}
	r = watch_start(&watch, call, view_wants(view.kind), options->interval_ms);
	if (r)
		return complain(EXIT_FAILED, "devices cannot be looked at: %s", strerror(-r));
	r = is_batch ? print_all(watch, &view, options->count) : screen_run(watch, &view);
	watch_end(watch);
	return r;
}
