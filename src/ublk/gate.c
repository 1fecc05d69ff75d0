/* SPDX-License-Identifier: BSD-3-Clause */
/* A gate for threads. See gate.h. */
#include "ublk/gate.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(((struct gate *)0)->state) == sizeof(uint32_t), "the kernel's futex has 32 bits");

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

enum gate_state gate_look(struct gate *gate)
{
	return (enum gate_state)atomic_load_explicit(&gate->state, memory_order_acquire);
}

enum gate_state gate_wait(struct gate *gate)
{
	uint64_t until = now_us() + GATE_AWAKE_US;
	enum gate_state state;

	/* Others of the same class, on the same processor, have their turn meanwhile. */
	while ((state = gate_look(gate)) == GATE_SHUT && now_us() < until)
		sched_yield();
	/* The kernel puts nobody to sleep once the state is another one. */
	while ((state = gate_look(gate)) == GATE_SHUT)
		syscall(SYS_futex, &gate->state, FUTEX_WAIT_PRIVATE, GATE_SHUT, NULL, NULL, 0);
	return state;
}

void gate_set(struct gate *gate, enum gate_state state)
{
	atomic_store_explicit(&gate->state, state, memory_order_release);
	syscall(SYS_futex, &gate->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
