/* SPDX-License-Identifier: BSD-3-Clause */
/* Little-endian numbers at any address, since another machine may hold the store. */
#ifndef SPILL_LITTLE_H
#define SPILL_LITTLE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void little_put32(uint8_t *to, uint32_t number)
{
	number = htole32(number);
	memcpy(to, &number, sizeof number);
}

static inline void little_put64(uint8_t *to, uint64_t number)
{
	number = htole64(number);
	memcpy(to, &number, sizeof number);
}

static inline uint32_t little_get32(const uint8_t *from)
{
	uint32_t number;

	memcpy(&number, from, sizeof number);
	return le32toh(number);
}

static inline uint64_t little_get64(const uint8_t *from)
{
	uint64_t number;

	memcpy(&number, from, sizeof number);
	return le64toh(number);
}

#endif
