/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels whose ublk or io_uring is known to be broken. A pure function over a table; any thread. */
#ifndef KERNELS_H
#define KERNELS_H

/*
 * Why a kernel must not be used, or NULL if nothing is known against it. `release` and `version` are what uname(2) says. The first
 * three numbers of the release decide, or those of a Debian package in the version.
 */
const char *kernels_verdict(const char *release, const char *version);

#endif
