/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes: evaluated to what there can be, or refused with a reason.
 *
 * Input: a byte for the size of memory, then the text.
 */
#include "fuzz/text.h"

#include "daemon/settings/expression.h"
#include "zsblk.h"

#include <errno.h>

/* A number alone is in MiB. */
static void check_plain(const char *text, uint64_t bytes)
{
	size_t digits = strspn(text, "0123456789");

	if (digits && digits < 10 && !text[digits])
		must(bytes == strtoull(text, NULL, 10) << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *input_bytes, size_t len)
{
	struct input input = {input_bytes, len};
	unsigned set_up = (unsigned)take(&input, 1);
	uint64_t bytes = 1, again = 2, ram = set_up % 8 ? UINT64_C(1) << (26 + set_up % 8 * 2) : 0;
	struct wrong wrong = {""};
	char *text = take_text(&input);
	int r = expression_bytes(text, ram, &bytes, &wrong);

	if (r == 0) {
		must(bytes <= ZSBLK_MAX_SIZE);
		must(expression_bytes(text, ram, &again, NULL) == 0 && again == bytes);
		check_plain(text, bytes);
	} else {
		must(r == -EINVAL && bytes == 1);
		/* It shows the text, whatever that is; files hold no bytes that control anything. */
		must(strnlen(wrong.text, sizeof wrong.text) < sizeof wrong.text && wrong.text[0]);
	}
	free(text);
	return 0;
}
