/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What claims to come from the kernel's nbd client: nothing is read beyond what was received.
 *
 * Input: a byte of set-up, then the messages.
 */
#include "fuzz/input.h"
#include "lib/base.h"

#include "daemon/transport/nbd/netlink.h"

#include <linux/netlink.h>

#define FAMILY 27

/* libmnl gives a callback whole messages only. */
static void parse_one(struct nlmsghdr *message, size_t bytes)
{
	struct netlink_family family = {0};

	if (bytes < sizeof *message)
		return;
	message->nlmsg_len = (uint32_t)(bytes & ~(size_t)3);
	netlink_parse_family(message, &family);
	must(netlink_parse_index(message) >= NETLINK_ANY_DEVICE || netlink_parse_index(message) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = {bytes, len};
	unsigned set_up = (unsigned)take(&input, 1);
	struct nlmsghdr *messages = calloc(1, input.left ? input.left : 1);
	int index = (int)(set_up >> 1 & 3) - 1;

	must(messages);
	memcpy(messages, input.at, input.left);
	if (set_up & 1)
		parse_one(messages, input.left);
	else if (netlink_parse_link_died(messages, input.left, FAMILY, index))
		must(index >= 0 && input.left >= sizeof *messages);
	free(messages);
	return 0;
}
