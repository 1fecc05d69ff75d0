/* SPDX-License-Identifier: BSD-3-Clause */
/* Targets that take text, and say what is wrong with it. */
#ifndef FUZZ_TEXT_H
#define FUZZ_TEXT_H

#include "fuzz/input.h"
#include "lib/base.h"

#include "daemon/settings/settings.h"

/* The rest of the input in memory of its own size, so that sanitizers see what is read beyond it; free() it. */
static inline char *take_text(struct input *input)
{
	char *text = malloc(input->left + 1);

	must(text);
	memcpy(text, input->at, input->left);
	text[input->left] = '\0';
	input->left = 0;
	return text;
}

/* For people and their terminals: there is a message, it ends, it is one line, and no byte of it controls anything. */
static inline void check_message(const struct wrong *wrong)
{
	size_t length = strnlen(wrong->text, sizeof wrong->text);

	must(length > 0 && length < sizeof wrong->text);
	for (size_t i = 0; i < length; i++)
		must((unsigned char)wrong->text[i] >= ' ' || wrong->text[i] == '\t');
}

#endif
