/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes as people give them to programs: a number of bytes, or one with a suffix. */
#ifndef SIZE_H
#define SIZE_H

#include <stdint.h>

/*
 * The bytes that a suffix stands for: B, K, M, G, T, P or E, in powers of 1024, in upper or lower case. 0 if the character is none of
 * them. Any thread.
 */
uint64_t size_unit(char suffix);

/*
 * Take a size in the language of nbdkit's own parameters (nbdkit(1) of version 1.32): a decimal number, and at most one suffix,
 * which may be S as well, for sectors of 512 bytes. Blanks and a + before the number are allowed.
 *
 * 0, or -EINVAL if the text is no size, or one of more than INT64_MAX bytes; *bytes is left alone then. Allocates nothing. Any
 * thread.
 */
int size_parse(const char *text, uint64_t *bytes);

#endif
