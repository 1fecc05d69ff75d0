/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that take long, but are no jobs. See control_errand.h. */
#include "host/control_errand.h"

#include "host/host.h"

#include <errno.h>
#include <string.h>

static void refuse(struct varlink_call *call, int error, const struct zsblk_why *why)
{
	const char *name = error == -EINVAL || error == -ENOTEMPTY ? "Refused" : error == -EBUSY ? "InUse" : "Failed";

	varlink_refuse(call, name, "%s", why->text[0] ? why->text : strerror(-error));
}

enum varlink_result control_errand(struct host *host, struct varlink_call *call, jobs_errand_fn *errand, void *memory,
				   size_t bytes, bool *done)
{
	struct zsblk_why why = {""};
	int r;

	*done = false;
	if (!call->state[0]) {
		call->state[0] = jobs_send(host->jobs, errand, memory, bytes);
		return VARLINK_AGAIN;
	}
	r = jobs_collect(host->jobs, call->state[0], memory, bytes, &why);
	if (r == -EINPROGRESS)
		return VARLINK_AGAIN;
	if (r < 0)
		refuse(call, r, &why);
	*done = r == 0;
	return VARLINK_DONE;
}
