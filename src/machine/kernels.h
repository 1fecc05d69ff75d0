/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels whose ublk or io_uring is known to be broken. A pure function over a table; any thread. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdbool.h>

/*
 * Why a kernel must not be used, or NULL if nothing is known against it. `release` and `version` are what uname(2) says. The first
 * three numbers of the release decide, or those of a Debian package in the version.
 */
const char *kernels_verdict(const char *release, const char *version);

/*
 * Before Linux 6.15 a recovery must not be begun (START_USER_RECOVERY) when the last one was begun and left before all queues had
 * a server: the driver crashes, or refuses. service.c says what is done about it.
 */
bool kernels_begin_recovery_once(const char *release, const char *version);

#endif
