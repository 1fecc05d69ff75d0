/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first page of a store: whose it is, and who uses it. Functions without I/O, unless they say otherwise; any
 * thread.
 */
#ifndef SPILL_IDENTITY_H
#define SPILL_IDENTITY_H

#include "spill/spill.h"

#define SPILL_PAGE 4096u
/* Of a store's end, that has to be blank before the store is made. */
#define SPILL_TAIL (64u * 1024)

enum spill_page {
	SPILL_PAGE_OTHER, /* something else, or damaged */
	SPILL_PAGE_OURS,  /* the first page of a store */
};

/* Who has a store in use. */
struct spill_holder {
	uint8_t machine[16]; /* all 0: not known */
	uint8_t boot[16];    /* the same */
	uint64_t pid_space;  /* of the process number; 0: not known */
	uint32_t pid;        /* 0: nobody */
	uint64_t start;      /* of the process, in clock ticks since boot */
};

enum spill_use {
	SPILL_USE_NONE,    /* nobody has it in use */
	SPILL_USE_OURS,    /* this process */
	SPILL_USE_LIVES,   /* a process that lives */
	SPILL_USE_UNKNOWN, /* a process of which that cannot be told: of another machine, or of another PID namespace */
};

struct spill_identity {
	uint8_t bytes[SPILL_IDENTITY_BYTES];
	bool encrypted;
	struct spill_holder holder; /* one that is damaged counts as unknown: pid is UINT32_MAX */
};

/* Write a first page, SPILL_PAGE bytes. */
void spill_identity_write(const struct spill_identity *identity, uint8_t *page);
/* Read one. *identity is set only for SPILL_PAGE_OURS. */
enum spill_page spill_identity_read(const uint8_t *page, struct spill_identity *identity);

/*
 * What a file, device or export that is no store of ours has in it, for people: "an ext file system", "data at byte N".
 * NULL: `size` bytes from its start are blank. `text` is for the answer.
 */
const char *spill_identity_foreign(const uint8_t *start, size_t size, char *text, size_t text_size);

/* This process, as a holder. Reads /proc and /etc/machine-id. */
void spill_holder_self(struct spill_holder *self);
/* Does the holder live? Reads /proc. */
enum spill_use spill_holder_use(const struct spill_holder *holder, const struct spill_holder *self);

#endif
