/* SPDX-License-Identifier: BSD-3-Clause */
/* Stripes. See stripe.h. */
#include "engine/stripe.h"

#include "process/lock.h"
#include "segment/segment.h"

#include <errno.h>

#define PER_CPU 64
#define LEAST   256u
#define MOST    4096u /* 256 KiB */

int stripes_init(struct stripes *stripes, long cpus)
{
	stripes->n = LEAST;
	while (stripes->n < MOST && (long)stripes->n < cpus * PER_CPU)
		stripes->n *= 2;
	stripes->shift = 64u - (unsigned)__builtin_ctzll(stripes->n);
	stripes->all = segment_private_map(stripes->n * sizeof *stripes->all);
	if (!stripes->all)
		return -ENOMEM;
	for (size_t i = 0; i < stripes->n; i++)
		lock_init(&stripes->all[i].lock);
	return 0;
}

void stripes_destroy(struct stripes *stripes)
{
	if (!stripes->all)
		return;
	for (size_t i = 0; i < stripes->n; i++)
		pthread_mutex_destroy(&stripes->all[i].lock);
	segment_private_unmap(stripes->all, stripes->n * sizeof *stripes->all);
	stripes->all = NULL;
}

void stripes_pass(const struct stripes *stripes)
{
	for (size_t i = 0; i < stripes->n; i++) {
		pthread_mutex_lock(&stripes->all[i].lock);
		pthread_mutex_unlock(&stripes->all[i].lock);
	}
}
