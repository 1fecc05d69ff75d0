/* SPDX-License-Identifier: BSD-3-Clause */
/* What every unit test needs: cmocka, and base.h. */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base.h"

#endif
