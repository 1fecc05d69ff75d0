/* SPDX-License-Identifier: BSD-3-Clause */
/* The process's own memory: what malloc() keeps and gives back, and code that is read in. Each in a process of its own. */
#include "lib/emulator.h"
#include "lib/test.h"

#include "process/memory.h"
#include "process/system_page.h"
#include "zsblk.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static bool has_own_malloc(void)
{
	if (!RUNNING_UNDER_SANITIZER && !running_under_valgrind())
		return false;
	print_message("# what runs this has a malloc() of its own\n");
	return true;
}

static bool is_in_memory(const char *start, size_t bytes)
{
	static unsigned char present[1024];
	size_t page = (size_t)system_page();
	uintptr_t from = (uintptr_t)start / page * page, to = ((uintptr_t)start + bytes + page - 1) / page * page;

	must((to - from) / page <= sizeof present);
	must(mincore((void *)from, to - from, present) == 0);
	for (size_t i = 0; i < (to - from) / page; i++)
		if (!(present[i] & 1))
			return false;
	return true;
}

/* ------------------------------------------------------------------ malloc() */

/* Pointers are volatile: a compiler may leave out malloc() and free() of memory that nobody uses, and clang does. */
static void keep_heap(void *opaque)
{
	const char *end, *volatile some[3];

	memory_keep_heap(MIB, 0);
	end = sbrk(0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < COUNT_OF(some); i++) {
			some[i] = malloc(300 * KIB);
			must(some[i] && some[i] < end && is_in_memory(some[i], 300 * KIB));
		}
		for (unsigned i = 0; i < COUNT_OF(some); i++)
			free((void *)some[i]);
		must(sbrk(0) == end);
	}
	/* What is larger than all that is kept makes the heap larger, and nothing goes back. */
	some[0] = malloc(4 * MIB);
	must(some[0] && mallinfo2().hblks == 0);
	end = sbrk(0);
	free((void *)some[0]);
	must(sbrk(0) == end);
	_exit(42);
}

static void keep_heap_but_large(void *opaque)
{
	void *volatile most, *volatile small, *volatile large;

	memory_keep_heap(MIB, 256 * KIB);
	/* There is room for it in what is kept. */
	most = malloc(900 * KIB);
	must(most && mallinfo2().hblks == 0);
	/* From here on there is none. */
	small = malloc(200 * KIB);
	must(small && mallinfo2().hblks == 0);
	free(small);
	large = malloc(2 * MIB);
	must(large && mallinfo2().hblks == 1);
	free(large);
	must(mallinfo2().hblks == 0);
	free(most);
	_exit(42);
}

/* Left to itself, malloc() has no mapping of its own for the second one. */
static void map_large(void *opaque)
{
	void *volatile at;

	memory_map_large(512 * KIB);
	for (unsigned round = 0; round < 2; round++) {
		at = malloc(512 * KIB);
		must(at && mallinfo2().hblks == 1);
		free(at);
		must(mallinfo2().hblks == 0);
	}
	_exit(42);
}

static void test_heap(void **state)
{
	if (has_own_malloc())
		skip();
	assert_int_equal(WEXITSTATUS(test_in_child(keep_heap, NULL)), 42);
	assert_int_equal(WEXITSTATUS(test_in_child(keep_heap_but_large, NULL)), 42);
	assert_int_equal(WEXITSTATUS(test_in_child(map_large, NULL)), 42);
}

/* ------------------------------------------------------------------ code */

static unsigned asked; /* how many objects there are */

static bool none(const char *name)
{
	asked++;
	return false;
}

static bool is_zstd(const char *name)
{
	return strstr(name, "libzstd");
}

/* Have the object's code brought in again when it is read next. */
static int drop_code(struct dl_phdr_info *info, size_t size, void *opaque)
{
	uintptr_t page = (uintptr_t)system_page();

	if (!is_zstd(info->dlpi_name))
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && segment->p_flags & PF_X)
			return madvise((void *)(start / page * page), segment->p_filesz, MADV_DONTNEED) == 0;
	}
	return 0;
}

static long faults(void)
{
	struct rusage usage;

	must(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_minflt + usage.ru_majflt;
}

static void touch_objects(void *opaque)
{
	long before, without, with;

	must(zsblk_algorithm(0)); /* for the linker: zstd is there */
	memory_touch_objects(NULL);
	memory_touch_objects(none);
	must(asked >= 2);
	if (!dl_iterate_phdr(drop_code, NULL))
		_exit(43);
	before = faults();
	memory_touch_objects(none);
	without = faults() - before;
	before = faults();
	memory_touch_objects(is_zstd);
	with = faults() - before;
	must(without == 0 && with > 0);
	before = faults();
	memory_touch_objects(is_zstd);
	must(faults() == before);
	_exit(42);
}

static void test_code(void **state)
{
	int status;

	if (has_own_malloc() || advice_is_ignored())
		skip();
	status = WEXITSTATUS(test_in_child(touch_objects, NULL));
	if (status == 43) {
		print_message("# zstd is no library of its own here\n");
		skip();
	}
	assert_int_equal(status, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_code),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
