/* SPDX-License-Identifier: BSD-3-Clause */
/* Characters of messages. See message.h. Source: RFC 3629. */
#include "varlink/message.h"

unsigned varlink_character_length(const char *text, size_t room)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *at = (const unsigned char *)text;
	unsigned length, code;

	if (!room)
		return 0;
	length = at[0] < 0x80 ? 1 : at[0] < 0xC0 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF8 ? 4 : 0;
	if (length > room)
		return 0;
	code = length > 1 ? at[0] & (0x7Fu >> length) : at[0];
	for (unsigned i = 1; i < length; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3Fu);
	}
	/* One spelling for each, no halves of pairs, and no more than there are. */
	return length > 1 && (code < least[length] || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF) ? 0
													    : length;
}
