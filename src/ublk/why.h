/* SPDX-License-Identifier: BSD-3-Clause */
/* Reasons, for people. */
#ifndef WHY_H
#define WHY_H

#include "zsblk.h"

/* Write the reason of `error`, which is returned. */
__attribute__((format(printf, 3, 4))) int why_say(struct zsblk_why *why, int error, const char *format, ...);

#endif
