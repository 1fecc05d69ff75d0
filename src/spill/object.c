/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One object as it lies in a store. See object.h. All numbers are little-endian.
 *
 *    0           4             12            28              28 + 4 count
 *   +-----------+-------------+-------------+---------------+--------------+- - - -+
 *   | what    4 | sequence  8 | proof    16 | numbers       | bytes        | zeroes|   to a multiple of 16
 *   +-----------+-------------+-------------+---------------+--------------+- - - -+
 *                                           |<------ encrypted ----------->|
 *
 *    31            21  20    19      16 15              0
 *   +----------------+------+----------+-----------------+
 *   | marker      11 | seal | count - 1| size - 1     16 |   what: never 0, so zeroes are no object
 *   +----------------+------+----------+-----------------+
 *
 * proof: with a key the tag of XChaCha20-Poly1305 (RFC 8439, with the extended nonce of draft-irtf-cfrg-xchacha-03, as
 * libsodium has it). `what` and `sequence` are its associated data. The nonce is `sequence | place | 0`. The sequence
 * is never used twice, so the nonce is not either; the place in it makes an object at another place a forgery. Without
 * a key the proof is the XXH3 of 128 bits of numbers and bytes, whose seed is the XXH64 of what, sequence and place.
 *
 * The proof covers the seal's bit. So an object without encryption is not taken for one of an encrypted store.
 */
#include "spill/object.h"

#include "spill/little.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <xxhash.h>

#define MARKER    0x5b5u
#define SEALED    (1u << 20)
#define AT_PROOF  12u
#define PROOF     16u
#define AT_NUMBER SPILL_OBJECT_HEAD

_Static_assert(AT_PROOF + PROOF == SPILL_OBJECT_HEAD, "the numbers follow the proof");
_Static_assert(PROOF == crypto_aead_xchacha20poly1305_ietf_ABYTES, "the tag takes the room of the proof");
_Static_assert(SPILL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "keys are those of libsodium");
_Static_assert((SPILL_OBJECT_HEAD + 4) % SPILL_UNIT == 0,
	       "an object with one number loses nothing to rounding of its head");

struct nonce {
	uint8_t bytes[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
};

static size_t round_up(size_t bytes)
{
	return (bytes + SPILL_UNIT - 1) & ~(size_t)(SPILL_UNIT - 1);
}

size_t spill_object_bytes(size_t size, unsigned count)
{
	return round_up(SPILL_OBJECT_HEAD + 4 * (size_t)count + size);
}

size_t spill_object_account(size_t size)
{
	return spill_object_bytes(size, 1);
}

static struct nonce nonce_of(uint64_t place, uint64_t sequence)
{
	struct nonce nonce = {{0}};

	little_put64(nonce.bytes, sequence);
	little_put64(nonce.bytes + 8, place);
	return nonce;
}

static void checksum(uint64_t place, const uint8_t *at, size_t length, uint8_t proof[PROOF])
{
	uint8_t head[AT_PROOF + 8];
	XXH128_canonical_t canonical;

	memcpy(head, at, AT_PROOF);
	little_put64(head + AT_PROOF, place);
	XXH128_canonicalFromHash(&canonical,
				 XXH3_128bits_withSeed(at + AT_NUMBER, length, XXH64(head, sizeof head, 0)));
	memcpy(proof, canonical.digest, PROOF);
}

void spill_object_encode(const struct spill_seal *seal, uint64_t place, uint64_t sequence,
			 const struct spill_object *object, uint8_t *to)
{
	uint32_t what =
		MARKER << 21 | (seal->key ? SEALED : 0) | (object->count - 1) << 16 | (uint32_t)(object->size - 1);
	size_t numbers = 4 * (size_t)object->count, length = numbers + object->size;
	uint8_t *body = to + AT_NUMBER;

	little_put32(to, what);
	little_put64(to + 4, sequence);
	for (unsigned i = 0; i < object->count; i++)
		little_put32(body + 4 * i, object->numbers[i]);
	memcpy(body + numbers, object->bytes, object->size);
	memset(body + length, 0, spill_object_bytes(object->size, object->count) - AT_NUMBER - length);
	if (seal->key) {
		struct nonce nonce = nonce_of(place, sequence);

		crypto_aead_xchacha20poly1305_ietf_encrypt_detached(body, to + AT_PROOF, NULL, body, length, to,
								    AT_PROOF, NULL, nonce.bytes, seal->key);
	} else {
		checksum(place, to, length, to + AT_PROOF);
	}
}

static bool is_proven(const struct spill_seal *seal, uint64_t place, uint8_t *at, size_t length)
{
	struct nonce nonce = nonce_of(place, little_get64(at + 4));
	uint8_t *body = at + AT_NUMBER, proof[PROOF];

	if (seal->key)
		return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(body, NULL, body, length, at + AT_PROOF, at,
									   AT_PROOF, nonce.bytes, seal->key) == 0;
	checksum(place, at, length, proof);
	return memcmp(proof, at + AT_PROOF, PROOF) == 0;
}

bool spill_object_is_none(const uint8_t *at)
{
	return little_get32(at) == 0;
}

void spill_object_look(const uint8_t *at, struct spill_found *found)
{
	uint32_t what = little_get32(at);

	found->sequence = little_get64(at + 4);
	found->count = (what >> 16 & 15) + 1;
	found->size = (size_t)(what & 0xffff) + 1;
	found->numbers = at + AT_NUMBER;
	found->bytes = found->numbers + 4 * (size_t)found->count;
	found->stored = spill_object_bytes(found->size, found->count);
}

int spill_object_decode(const struct spill_seal *seal, uint64_t place, uint8_t *at, size_t got,
			struct spill_found *found)
{
	struct spill_found look;
	uint32_t what;

	if (got < AT_NUMBER)
		return -ENODATA;
	what = little_get32(at);
	if (what >> 21 != MARKER || !(what & SEALED) != !seal->key)
		return -EBADMSG;
	spill_object_look(at, &look);
	if (got < look.stored)
		return -ENODATA;
	if (!is_proven(seal, place, at, 4 * (size_t)look.count + look.size))
		return -EBADMSG;
	*found = look;
	return 0;
}

uint32_t spill_found_number(const struct spill_found *found, unsigned index)
{
	return little_get32(found->numbers + 4 * (size_t)index);
}

bool spill_found_has(const struct spill_found *found, uint32_t number)
{
	for (unsigned i = 0; i < found->count; i++)
		if (spill_found_number(found, i) == number)
			return true;
	return false;
}
