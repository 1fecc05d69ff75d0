/* SPDX-License-Identifier: BSD-3-Clause */
/* Mistakes in a configuration. See mistakes.h. */
#include "daemon/settings/mistakes.h"

bool mistakes_add(struct mistakes *mistakes, int error, const char *text)
{
	if (!mistakes->error) {
		wrong_say(&mistakes->first, "%s", text);
		mistakes->error = error;
	}
	if (mistakes->tell)
		mistakes->tell(mistakes->opaque, text);
	return mistakes->tell;
}
