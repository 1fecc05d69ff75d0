/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said to whoever asked for something that is not done. */
#ifndef REFUSE_H
#define REFUSE_H

#include <zsblk.h>

/* Put the text into *why, cut where it has no room. Returns `error`. */
__attribute__((format(printf, 3, 4))) int host_refuse(struct zsblk_why *why, int error, const char *format, ...);

#endif
