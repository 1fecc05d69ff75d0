/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads for background work, of the engine and of front ends; and numbers of threads, to spread threads over locks.
 */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>
#include <stddef.h>

/*
 * The stack size to ask for, so that a thread has `bytes` of stack for itself. The C library takes the thread-local
 * variables of the program and of its libraries out of the same memory: a few hundred bytes as a rule, 780 KiB under
 * the thread sanitizer. For pthread_attr_setstacksize().
 */
size_t thread_stack_bytes(size_t bytes);

/*
 * Start a thread with a small stack and all signals blocked. The thread has the caller's scheduling class. A process of
 * a real-time class needs that: when memory is short, an ordinary thread waits for memory and a real-time thread does
 * not. The thread that waits holds the lock on the address space, and then the real-time threads wait for that lock. A
 * thread with long work has to yield now and then.
 *
 * `name` is for ps and top, 15 characters at most. Returns 0 or a negative errno.
 */
int thread_start_background(pthread_t *thread, const char *name, void *(*run)(void *), void *opaque);

/* The same with `bytes` of stack for itself, as thread_stack_bytes() has it: for libraries that want more. */
int thread_start_with_stack(pthread_t *thread, const char *name, size_t bytes, void *(*run)(void *), void *opaque);

/*
 * From now on the calling thread, which thread_start_background() has started, is an ordinary one, whose work comes after that of
 * requests: without a real-time class, and no I/O flusher, since a flusher that needs memory may not swap, and would try for ever below the
 * kernel's min watermark. First its stack is touched, while it still has the server's class: a thread that waits for the first page of its
 * stack holds the lock on the address space, and the server's real-time threads would wait for that lock.
 */
void thread_become_ordinary(void);

/*
 * The number of the calling thread: 0 for the first thread that asks, 1 for the next one. A thread keeps its number. No
 * number is used again before 2^32 threads have asked.
 */
unsigned thread_number(void);

#endif
