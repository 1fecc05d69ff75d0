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

/* Of a call's state; other methods use the other number. */
#define TICKET 1

static enum varlink_result run(struct host *host, struct varlink_call *call, enum jobs_errand_kind kind,
			       jobs_errand_fn *errand, void *memory, size_t bytes, bool *done)
{
	struct zsblk_why why = {""};
	int r;

	*done = false;
	if (!call->state[TICKET]) {
		call->state[TICKET] = jobs_send(host->jobs, kind, errand, memory, bytes);
		return VARLINK_AGAIN;
	}
	r = jobs_collect(host->jobs, call->state[TICKET], memory, bytes, &why);
	if (r == -EINPROGRESS)
		return VARLINK_AGAIN;
	if (r < 0)
		refuse(call, r, &why);
	*done = r == 0;
	return VARLINK_DONE;
}

enum varlink_result control_errand(struct host *host, struct varlink_call *call, jobs_errand_fn *errand, void *memory,
				   size_t bytes, bool *done)
{
	return run(host, call, JOBS_CHANGE, errand, memory, bytes, done);
}

enum varlink_result control_errand_look(struct host *host, struct varlink_call *call, jobs_errand_fn *errand,
					void *memory, size_t bytes, bool *done)
{
	return run(host, call, JOBS_LOOK, errand, memory, bytes, done);
}

void control_errand_drop(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;

	if (call->state[TICKET])
		jobs_drop(host->jobs, call->state[TICKET]);
}
