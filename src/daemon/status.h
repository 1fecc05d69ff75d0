/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the instance is doing, in words: for --status, for systemd, and for the log when the instance is ready. The figures are in a file
 * on tmpfs, which may be swapped out to this very device, so a child reads it.
 */
#ifndef STATUS_H
#define STATUS_H

#include "daemon/instance.h"
#include "daemon/keeper/keeper.h"

#include <stddef.h>
#include <stdint.h>

/* What a status is made of. */
struct status_facts {
	const char *device;   /* "/dev/nbd0" */
	const char *fallback; /* why the transport is not a better one; NULL or empty: there is none */
	const char *figures;  /* job_figures_read(); empty: not known now */
	pid_t server;         /* 0: none */
	bool is_serving;
	bool is_from_kept; /* the server is from the files of the one before, since what is installed did not work */
	struct history_figures servers;
	bool swap_is_off;    /* by somebody else */
	bool cannot_restart; /* no other server would come up with the present parameters */
	bool segment_is_removed;
	bool is_stopping;  /* a stop was asked for, or a start has failed */
	bool is_detaching; /* and the device is being taken out of use */
	bool is_swap;
	uint64_t swapped_kib; /* what swapoff has still to read back */
};

/* In words, for people; what does not fit is cut off. Nothing else: tested by a table. */
void status_describe(const struct status_facts *facts, char *text, size_t size);

struct status;

/* Fill in what the other parts of the daemon know; the keeper, the device and the segment are asked already. */
typedef void status_look_fn(void *opaque, struct status_facts *facts);

/* 0, -ENOMEM or an error of job_create(). */
int status_create(struct status **status, struct instance *instance, status_look_fn *look, void *opaque);
/* NULL is allowed. */
void status_free(struct status *status);

/* Answer a client, once the figures are read. */
void status_ask(struct status *status, unsigned client);
/* Tell systemd and the log that the instance is ready, once the figures are read. */
void status_ready(struct status *status);
/* Tell systemd how things are: with figures, which are read first, or at once and without. */
void status_tell_figures(struct status *status);
void status_tell(struct status *status);

#endif
