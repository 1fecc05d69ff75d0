/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes as people write them in configuration files, in the language of zram-generator: a number is in
 * MiB, `ram` is the machine's memory, and there are + - * / ( ), min() and max(). Beyond that, a number
 * or parenthesis may have a suffix, in powers of 1024: B, K, M, G, T.
 */
#ifndef EXPRESSION_H
#define EXPRESSION_H

#include <stdint.h>

struct wrong;

/* Longer ones are refused: nobody can read them, nor a message that shows them. */
#define EXPRESSION_MAX_CHARS 100

/*
 * Evaluate one, to the nearest byte: 0 to ZSBLK_MAX_SIZE. `ram_bytes` 0: `ram` is refused.
 * 0, or -EINVAL with the reason, which shows the text and the place; `*bytes` is left alone then. `wrong` may be NULL.
 * Allocates nothing. Any number of threads at a time.
 */
int expression_bytes(const char *text, uint64_t ram_bytes, uint64_t *bytes, struct wrong *wrong);

#endif
