/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One object as it lies in a store: encrypted and authenticated, or with a checksum. Pure functions: no I/O, no
 * allocation, any thread.
 */
#ifndef SPILL_OBJECT_H
#define SPILL_OBJECT_H

#include "spill/spill.h"

#define SPILL_OBJECT_HEAD 28u /* before the numbers */

/* How objects of a store are protected. */
struct spill_seal {
	const uint8_t *key; /* SPILL_KEY_BYTES; NULL: a checksum, no encryption */
};

/* What spill_object_decode() found. Pointers point into the bytes that it was given. */
struct spill_found {
	uint64_t sequence;
	const uint8_t *numbers; /* 4 bytes each: spill_found_number() */
	unsigned count;
	const uint8_t *bytes;
	size_t size;
	size_t stored; /* bytes that the object takes in the store, a multiple of SPILL_UNIT */
};

/* Bytes that an object takes in a store. */
size_t spill_object_bytes(size_t size, unsigned count);
/* The same from its size alone, or that rounded up to SPILL_UNIT: with one number. For accounts. */
size_t spill_object_account(size_t size);

/* Write an object for this place, spill_object_bytes() in all. `sequence` was never used before with this key. */
void spill_object_encode(const struct spill_seal *seal, uint64_t place, uint64_t sequence,
			 const struct spill_object *object, uint8_t *to);

/*
 * Verify and decrypt the object at `at`, in place; `got` bytes are there. Nothing is believed before it is verified.
 * -ENODATA: fewer bytes are there than it needs. -EBADMSG: it is not what was written to this place with this key.
 */
int spill_object_decode(const struct spill_seal *seal, uint64_t place, uint8_t *at, size_t got,
			struct spill_found *found);

/* True if no object begins here: zeroes. 4 bytes are looked at. */
bool spill_object_is_none(const uint8_t *at);
/* Look at one again that spill_object_decode() has verified here. */
void spill_object_look(const uint8_t *at, struct spill_found *found);

uint32_t spill_found_number(const struct spill_found *found, unsigned index);
/* True if this is one of its numbers. */
bool spill_found_has(const struct spill_found *found, uint32_t number);

#endif
