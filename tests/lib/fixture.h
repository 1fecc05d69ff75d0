/* SPDX-License-Identifier: BSD-3-Clause */
/* The one device of a test, what it was opened with, and what is said of it. */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

/* Before `dev` is declared: functions of these headers have parameters of that name. */
#include "lib/device.h"

#include "engine/engine.h"

static struct zsblk *dev;
static struct zsblk_params params;
static struct zsblk_why why;

/* For the set-up: 0. */
static inline int fixture_open(uint64_t blocks)
{
	params = device_params(blocks);
	dev = device_open(&params);
	why.text[0] = '\0';
	return 0;
}

/* A tear-down. */
static inline int fixture_close(void **state)
{
	(void)state;
	zsblk_close(dev);
	return 0;
}

#endif
