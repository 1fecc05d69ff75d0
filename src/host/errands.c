/* SPDX-License-Identifier: BSD-3-Clause */
/* Errands that wait, are done, and are over. See errands.h. */
#include "host/errands.h"

#include <errno.h>
#include <string.h>

static struct errand *find(struct errands *errands, uint64_t ticket)
{
	for (unsigned i = 0; i < ERRANDS_MAX; i++)
		if (errands->all[i].state != ERRANDS_FREE && errands->all[i].ticket == ticket)
			return &errands->all[i];
	return NULL;
}

bool errands_add(struct errands *errands, uint64_t ticket, enum jobs_errand_kind kind, jobs_errand_fn *run,
		 const void *memory, size_t bytes)
{
	for (unsigned i = 0; i < ERRANDS_MAX; i++) {
		struct errand *errand = &errands->all[i];

		if (errand->state != ERRANDS_FREE)
			continue;
		errand->state = ERRANDS_WAITING;
		errand->kind = kind;
		errand->ticket = ticket;
		errand->dropped = false;
		errand->run = run;
		errand->why.text[0] = '\0';
		memcpy(errand->memory, memory, bytes);
		return true;
	}
	return false;
}

/* Tickets grow. */
static bool comes_before(const struct errand *one, const struct errand *other)
{
	return one->kind == other->kind ? one->ticket < other->ticket : one->kind == JOBS_CHANGE;
}

struct errand *errands_next(struct errands *errands, bool looks)
{
	struct errand *next = NULL;

	for (unsigned i = 0; i < ERRANDS_MAX; i++) {
		struct errand *errand = &errands->all[i];

		if (errand->state == ERRANDS_WAITING && (looks || errand->kind != JOBS_LOOK) &&
		    (!next || comes_before(errand, next)))
			next = errand;
	}
	return next;
}

void errands_end(struct errand *errand, int result)
{
	errand->result = result;
	errand->state = errand->dropped ? ERRANDS_FREE : ERRANDS_OVER;
}

int errands_collect(struct errands *errands, uint64_t ticket, void *memory, size_t bytes, struct zsblk_why *why)
{
	struct errand *errand = find(errands, ticket);

	if (!errand)
		return -ENOENT;
	if (errand->state != ERRANDS_OVER)
		return -EINPROGRESS;
	memcpy(memory, errand->memory, bytes);
	*why = errand->why;
	errand->state = ERRANDS_FREE;
	return errand->result;
}

void errands_drop(struct errands *errands, uint64_t ticket)
{
	struct errand *errand = find(errands, ticket);

	if (!errand)
		return;
	errand->dropped = true;
	if (errand->state == ERRANDS_OVER || (errand->state == ERRANDS_WAITING && errand->kind == JOBS_LOOK))
		errand->state = ERRANDS_FREE;
}
