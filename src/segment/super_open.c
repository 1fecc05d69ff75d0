/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a segment. See super_open.h.
 *
 * A segment that exists is verified twice. The first time is before it is claimed, so that a segment which is refused
 * stays as it was. The second time is after, since another process may have had the claim in between.
 */
#include "segment/super_open.h"

#include "segment/claim.h"
#include "segment/owner.h"
#include "segment/refused.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

int super_refuse(char *why, size_t why_size, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, why_size, format, args);
	va_end(args);
	return error;
}

#define REFUSE(request, error, ...) super_refuse((request)->why, (request)->why_size, error, __VA_ARGS__)

int super_explain_refusal(int error, const char *step, uint64_t bytes, char *why, size_t why_size)
{
	char setting[256];

	refused_explain(error, step, bytes, setting, sizeof setting);
	return super_refuse(why, why_size, error, "no segment of %" PRIu64 " bytes: %s%s%s", bytes,
			    setting[0] ? "" : step, setting[0] ? "" : ": ", setting[0] ? setting : strerror(-error));
}

static int explain_map(int error, const char *step, const struct segment *seg, const struct super_request *request)
{
	char text[320];

	if (error == -ENOENT)
		return REFUSE(request, error, "%s does not exist; ipcs -m lists the segments there are",
			      request->memory);
	if (strcmp(step, SEGMENT_FOREIGN) == 0) {
		owner_explain(seg->shmid, text, sizeof text);
		return REFUSE(request, -EPERM, "%s: %s", request->memory, text);
	}
	if (request->mode != SUPER_CREATE)
		return REFUSE(request, error, "%s: %s: %s", request->memory, step, strerror(-error));
	return super_explain_refusal(error, step, super_segment_bytes(request->wanted), request->why,
				     request->why_size);
}

static int map(struct segment *seg, const struct super_request *request)
{
	struct segment_spec spec;
	const char *step;
	int r = segment_parse(request->memory, &spec);

	if (r || (spec.kind != SEGMENT_SHM && request->mode != SUPER_CREATE))
		return REFUSE(request, -EINVAL, "memory=%s is no shared segment",
			      request->memory ? request->memory : "anon");
	if (request->mode == SUPER_CREATE)
		r = segment_open(seg, &spec, super_segment_bytes(request->wanted), &step);
	else
		r = segment_attach(seg, &spec, &step);
	return r ? explain_map(r, step, seg, request) : 0;
}

static int claim(struct segment *seg, const struct super_request *request)
{
	int holder, r = claim_take(seg, false, &holder);

	return r ? REFUSE(request, r, "%s is in use by process %d; stop that one first", request->memory, holder) : 0;
}

static int lock(struct segment *seg, const struct super_request *request)
{
	int r = request->lock ? segment_lock(seg) : 0;
	struct rlimit limit = {0};

	if (!r)
		return 0;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	return REFUSE(request, r == -ENOMEM ? -EPERM : r,
		      "%s cannot be locked in memory (SHM_LOCK: %s); it takes CAP_IPC_LOCK, or a "
		      "locked-memory limit (ulimit -l, now %" PRIu64
		      ") of at least %zu bytes; lock=no does without, and then its "
		      "pages can be swapped out",
		      request->memory, strerror(-r), (uint64_t)limit.rlim_cur, seg->bytes);
}

/* The segment holds something. 0 if that is valid, usable here, and what was asked for. */
static int verify(const struct segment *seg, const struct super_request *request, struct super_layout *layout)
{
	int r = super_read(seg, layout, request->why, request->why_size);

	if (!r)
		r = super_permits(layout, true, request->why, request->why_size);
	return r ? r : request->match(request, layout);
}

static int create(struct segment *seg, const struct super_request *request, struct super_layout *layout)
{
	uint64_t needed = super_segment_bytes(request->wanted);
	bool blank = super_is_blank(seg);
	int r = 0;

	if (!blank)
		r = verify(seg, request, layout);
	else if (seg->bytes < needed)
		r = REFUSE(request, -EINVAL, "%s is empty, but its %zu bytes are too few: %" PRIu64 " are needed",
			   request->memory, seg->bytes, needed);
	if (!r)
		r = claim(seg, request);
	if (!r)
		r = lock(seg, request);
	if (r)
		return r;
	if (blank && super_is_blank(seg)) {
		/* Whoever removed it had the claim before us, and nothing that is stored from now on would outlive us. */
		if (segment_is_removed(seg))
			return REFUSE(request, -ENOENT, "%s was removed", request->memory);
		super_format(seg, request->wanted);
		*layout = *request->wanted;
		return 0;
	}
	seg->fresh = false;
	return verify(seg, request, layout);
}

/*
 * A segment of zsblk's is accepted damaged or of a later format, so that it can be removed. Other programs' are
 * refused.
 */
static int attach(struct segment *seg, const struct super_request *request)
{
	struct super_layout layout;

	if (!super_is_blank(seg) && !super_is_ours(seg))
		return super_read(seg, &layout, request->why, request->why_size);
	return claim(seg, request);
}

int super_open(struct segment *seg, const struct super_request *request, struct super_layout *layout)
{
	int r;

	*seg = (struct segment){.shmid = -1};
	r = map(seg, request);
	if (!r && request->mode == SUPER_ATTACH)
		r = attach(seg, request);
	if (!r && request->mode == SUPER_CREATE)
		r = create(seg, request, layout);
	if (r)
		super_open_undo(seg);
	return r;
}

void super_open_undo(struct segment *seg)
{
	/* Without our claim in it, another process may have found the segment and be using it. Leave it then. */
	if (seg->base && seg->kind == SEGMENT_SHM && seg->fresh && seg->claim)
		segment_remove_open(seg);
	claim_drop(seg);
	segment_close(seg);
}
