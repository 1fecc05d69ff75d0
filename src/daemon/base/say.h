/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of zsblkd and its servers to people, on standard error: with the journal's level prefixes under systemd. A
 * message never blocks, once standard error is the pipe of relay.h: a message that does not fit the pipe is dropped, and
 * the next one says how many were.
 */
#ifndef SAY_H
#define SAY_H

/* syslog(3)'s. */
enum say_level { SAY_ERROR = 3, SAY_WARNING = 4, SAY_NOTICE = 5, SAY_INFO = 6, SAY_DEBUG = 7 };

/* Call once, first. `verbose`: debug messages too. */
void say_init(const char *name, int verbose);
__attribute__((format(printf, 2, 3))) void say(enum say_level level, const char *format, ...);

#endif
