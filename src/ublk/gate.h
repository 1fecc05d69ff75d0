/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gate: threads come to it, wait, and go on at the same moment.
 *
 * Threads that sleep are woken one after the other, some tens of microseconds each. So a thread waits awake for the first few milliseconds,
 * and is through at once. After that the thread sleeps: threads of a real-time class that stay awake keep their processors from
 * everybody else, and whoever is to open the gate may be waiting for one.
 */
#ifndef GATE_H
#define GATE_H

#include <stdatomic.h>

/* A thread stays awake for so long. To wake the threads of 32 queues takes less. */
#define GATE_AWAKE_US 5000u

enum gate_state { GATE_SHUT, GATE_OPEN, GATE_GIVEN_UP };

/* Any number of threads. Zeroed at first: shut. */
struct gate {
	_Atomic int state;
};

/* Until the gate is not shut any more. Returns what it is then. Allocates nothing. */
enum gate_state gate_wait(struct gate *gate);
/* Open it, or tell all that wait that it will not be opened. */
void gate_set(struct gate *gate, enum gate_state state);
/* As it is now. */
enum gate_state gate_look(struct gate *gate);

#endif
