/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Swap of one's own, and a memory control group whose pages go there.
 *
 * A process of its own, the keeper, makes them and takes them away again: when it is told to, and when the process that asked for them ends,
 * in whatever way. It is in a session of its own, and no signal but SIGKILL ends it. It touches no swap, no zram device and no control
 * group that it did not make.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "zsblk.h"

#include <stdbool.h>
#include <sys/types.h>

struct keeper_wanted {
	uint64_t swap_bytes;   /* of the swap device */
	uint64_t memory_bytes; /* that the group may have */
	char *const *command;  /* what runs in the group; the last one is NULL */
};

/* What the keeper has made. */
struct keeper_made {
	char device[32];   /* the swap device, in /dev */
	char group[320];   /* the control group's folder */
	unsigned version;  /* of control groups: 1 or 2 */
	pid_t command_pid; /* the keeper's child */
};

struct keeper;

/*
 * Have the keeper make all of it, and start the command in the group. On success *keeper is the caller's until keeper_end(). Errors have their
 * reason in *why; nothing is left then.
 */
int keeper_begin(struct keeper **keeper, const struct keeper_wanted *wanted, struct keeper_made *made,
		 struct zsblk_why *why);
/* True if the group's processes wait, since the kernel finds no memory for them below the limit. */
bool keeper_is_stuck(const struct keeper_made *made);
/* Another limit. 0 or a negative errno. */
int keeper_set_memory(const struct keeper_made *made, uint64_t bytes);
/* End all processes of the group, switch the swap off, remove all that was made. 0, or -EIO with what is left in *why. */
int keeper_end(struct keeper *keeper, struct zsblk_why *why);

#endif
