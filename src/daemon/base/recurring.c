/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages that would be said again and again. See recurring.h. */
#include "daemon/base/recurring.h"

#include "daemon/base/clock.h"

#include <stdarg.h>
#include <stdio.h>

#define INTERVAL_US (60u * 1000000u)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool are_alike(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		if (is_digit(*a) && is_digit(*b)) {
			while (is_digit(a[1]))
				a++;
			while (is_digit(b[1]))
				b++;
		} else if (*a != *b) {
			return false;
		}
	}
	return *a == *b;
}

bool recurring_is_due(struct recurring *recurring, const char *text, uint64_t now)
{
	char shown[sizeof recurring->text];

	snprintf(shown, sizeof shown, "%s", text);
	if (recurring->text[0] && now < recurring->at + INTERVAL_US && are_alike(shown, recurring->text)) {
		recurring->left_out++;
		return false;
	}
	snprintf(recurring->text, sizeof recurring->text, "%s", shown);
	recurring->at = now;
	return true;
}

void recurring_say(struct recurring *recurring, enum say_level level, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!recurring_is_due(recurring, text, clock_us()))
		return;
	if (recurring->left_out)
		say(level, "%s (%u times more since this was last said)", text, recurring->left_out);
	else
		say(level, "%s", text);
	recurring->left_out = 0;
}

void recurring_end(struct recurring *recurring)
{
	*recurring = (struct recurring){0};
}
