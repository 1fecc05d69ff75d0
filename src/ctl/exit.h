/* SPDX-License-Identifier: BSD-3-Clause */
/* How zsblkctl ends; zsblkctl(8) has them for people. With several devices the highest one counts. */
#ifndef EXIT_H
#define EXIT_H

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,      /* the server or the daemon has refused, or has tried and failed */
	EXIT_WRONG_USE = 2,   /* of zsblkctl: a word of the command line is wrong, and nothing was asked */
	EXIT_NOT_RUNNING = 3, /* there is no such instance, or nobody answers for it */
	EXIT_NOT_ALLOWED = 4, /* the caller may not, or what is found there cannot be trusted */
	EXIT_NO_ANSWER = 5,   /* the connection ended or the time was up: what was asked may have been done */
	EXIT_WARNED =
		6, /* doctor: there are warnings, and no problems; with problems it is EXIT_FAILED. convert: something was not carried over */
};

/* What two of them come to. */
static inline int exit_worse(int a, int b)
{
	return a > b ? a : b;
}

#endif
