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

/* The engine has a function of that name. */
#undef fail
#undef fail_msg
#define fail_msg(...)                                                                                                  \
	do {                                                                                                           \
		print_error(__VA_ARGS__);                                                                              \
		print_error("\n");                                                                                     \
		_fail(__FILE__, __LINE__);                                                                             \
	} while (0)

#include "lib/base.h"

#endif
