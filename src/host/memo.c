/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings in the memo. See memo.h. */
#include "host/memo.h"

#include "zsblk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* One line is changed, and all of them are written. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Take the line of this key out of the memo. False: there is none; *now and *given are empty. */
static bool take_line(char *memo, const char *key, char now[MEMO_VALUE_MAX], char given[MEMO_VALUE_MAX])
{
	size_t key_length = strlen(key);

	now[0] = given[0] = '\0';
	for (char *line = memo, *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		next += *next == '\n';
		if (strncmp(line, key, key_length) != 0 || line[key_length] != '=')
			continue;
		/* What is no line of ours has no value, and goes. */
		if (sscanf(line + key_length + 1, "%63[^\t\n]\t%63[^\t\n]", now, given) != 2)
			now[0] = given[0] = '\0';
		memmove(line, next, strlen(next) + 1);
		return true;
	}
	return false;
}

_Static_assert(MEMO_VALUE_MAX == 64, "the format of take_line()");

bool memo_adopt(struct zsblk *dev, const char *key, const char *given, char now[MEMO_VALUE_MAX])
{
	char memo[ZSBLK_MEMO_MAX], was_given[MEMO_VALUE_MAX];
	bool there, counts;

	pthread_mutex_lock(&lock);
	zsblk_memo(dev, memo);
	there = take_line(memo, key, now, was_given);
	counts = there && now[0] && strcmp(was_given, given) == 0;
	if (there && !counts)
		(void)zsblk_set_memo(dev, memo);
	pthread_mutex_unlock(&lock);
	return counts;
}

int memo_note(struct zsblk *dev, const char *key, const char *given, const char *now)
{
	char memo[ZSBLK_MEMO_MAX], old_now[MEMO_VALUE_MAX], old_given[MEMO_VALUE_MAX];
	size_t length;
	int r, added;

	pthread_mutex_lock(&lock);
	zsblk_memo(dev, memo);
	take_line(memo, key, old_now, old_given);
	length = strlen(memo);
	added = snprintf(memo + length, sizeof memo - length, "%s%s=%s\t%s\n",
			 length && memo[length - 1] != '\n' ? "\n" : "", key, now, given);
	r = (size_t)added < sizeof memo - length ? zsblk_set_memo(dev, memo) : -E2BIG;
	pthread_mutex_unlock(&lock);
	return r;
}
