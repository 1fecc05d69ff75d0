/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When does a server hang? A transport asks it for something now and then, and tells this. Two things count: an answer that does not come,
 * and requests of the device of which none is completed. Decisions only: nothing is asked here, and no clock is read. One thread.
 */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The transport looks so often in each timeout: a hang is noticed a sixth of the timeout late, at most. */
#define WATCH_LOOKS 6u

/* All times are in microseconds, of CLOCK_MONOTONIC. */
struct watch {
	uint64_t timeout;     /* longest that an answer may take */
	uint64_t stuck;       /* longest that the device may have requests and complete none */
	uint64_t looked;      /* when the last look was */
	uint64_t asked;       /* when the question that is out was asked */
	uint64_t longest;     /* that an answer took so far */
	bool is_out;          /* a question is */
	uint64_t completed;   /* requests of the device, as of `stuck_since`, */
	uint64_t stuck_since; /* when the last one was seen to be completed, or none was in flight */
};

void watch_init(struct watch *watch, unsigned timeout_ms, unsigned stuck_ms, uint64_t now);
/* From one look to the next, in microseconds. */
uint64_t watch_interval(const struct watch *watch);
void watch_asked(struct watch *watch, uint64_t now);
void watch_answered(struct watch *watch, uint64_t now);

/* What a look at the device has found. */
struct watch_device {
	bool is_known; /* false: it could not be read now, which says nothing */
	uint64_t in_flight, completed;
};

enum watch_verdict {
	WATCH_WAIT, /* all is well, or it is too early to tell */
	WATCH_ASK,  /* all is well, and no question is out: it is time for the next one */
	WATCH_HUNG, /* why: for people, going on from "the server" */
};

/*
 * A look, to be made every watch_interval(). A look that comes late says that the machine or the daemon stood still; that time does not
 * count. `answer_is_there`: an answer has come, and only was not taken yet.
 */
enum watch_verdict watch_look(struct watch *watch, uint64_t now, const struct watch_device *device,
			      bool answer_is_there, char *why, size_t size);

/*
 * From one block that is probed to the next, modulo `blocks`, which is not 0: about two thirds of the device, so that a lock that is
 * held for ever is found somewhere, and such that each block has its turn.
 */
uint64_t watch_stride(uint64_t blocks);

#endif
