/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How servers have fared of late, and what follows for the next one: how long to wait before it is started, how long it may take to
 * come into service, and from which files it is started. Decisions only: nothing is done, and no clock is read.
 */
#ifndef TRIES_H
#define TRIES_H

#include <stdbool.h>
#include <stdint.h>

/* A server that ends by itself, or hangs, within this time in service has not worked: it may be a new version that crashes. */
#ifndef STEADY_US /* shorter in tests/daemon's build */
#define STEADY_US (10u * 1000000u)
#endif

/* Zeroed at first. */
struct tries {
	unsigned started;  /* servers since the last one that came into service */
	unsigned failures; /* servers since the last one that worked */
};

/* How a server ended. */
struct tries_end {
	bool served;        /* it came into service */
	uint64_t served_us; /* and was there for so long */
	bool hung;
	bool killed; /* by SIGKILL, which says nothing of the server */
	/* It was behind the device before this daemon was there, and how it ended is not known: nobody but its parent is told. */
	bool adopted;
};

void tries_count(struct tries *tries, const struct tries_end *end);

/* Microseconds to wait before the next server, after one that did not come into service: 50 ms, doubled with each, at most 5 s. */
uint64_t tries_pause_us(const struct tries *tries);

/*
 * Microseconds that a server may take to come into service: `first_ms`, doubled with each that did not, 16 times that at most. And at
 * most a third of `dead_timeout_s`, after which the kernel fails requests: there is to be a second try before that.
 */
uint64_t tries_limit_us(const struct tries *tries, unsigned first_ms, unsigned dead_timeout_s);

/* Is the next server to be from the files of one that worked? What is installed may be a new version: by turns. */
bool tries_take_kept(const struct tries *tries);

#endif
