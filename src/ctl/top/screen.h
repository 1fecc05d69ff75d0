/* SPDX-License-Identifier: BSD-3-Clause */
/* top on a terminal: draws pages with ncurses, and does what keys say. The only file that knows of ncurses. One thread. */
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include "ctl/top/view.h"
#include "ctl/top/watch.h"

/* Until the person presses q. EXIT_DONE; or EXIT_FAILED once it was said that the terminal is none that ncurses knows. */
int screen_run(struct watch *watch, struct view *view);

#endif
