/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For contrib/coverage: gcov writes its figures when a program ends by exit(). With the linker's --wrap=_exit it does so when a child
 * ends by _exit() as well.
 */
extern void __gcov_dump(void) __attribute__((weak));
__attribute__((noreturn)) void __real__exit(int status);
__attribute__((noreturn)) void __wrap__exit(int status);

void __wrap__exit(int status)
{
	/* Not in programs that the compiler has not prepared for gcov. */
	if (__gcov_dump)
		__gcov_dump();
	__real__exit(status);
}
