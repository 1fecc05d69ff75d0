/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel's messages say. Each message is in memory of its own size, so that sanitizers see what is read beyond
 * it. */
#include "lib/base.h"
#include "lib/test.h"

#include "daemon/transport/nbd/netlink.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <libmnl/libmnl.h>

#define FAMILY 27

static struct nlmsghdr *begin(char *buffer, uint16_t type, uint8_t command)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *generic;

	message->nlmsg_type = type;
	generic = mnl_nlmsg_put_extra_header(message, sizeof *generic);
	generic->cmd = command;
	return message;
}

static bool link_died(const void *messages, size_t bytes, int index)
{
	void *copy = malloc(bytes);
	bool died;

	memcpy(copy, messages, bytes);
	died = netlink_parse_link_died(copy, bytes, FAMILY, index);
	free(copy);
	return died;
}

static struct netlink_family family_of(const struct nlmsghdr *message)
{
	struct netlink_family family = {0};
	struct nlmsghdr *copy = malloc(message->nlmsg_len);

	memcpy(copy, message, message->nlmsg_len);
	netlink_parse_family(copy, &family);
	free(copy);
	return family;
}

static void put_group(struct nlmsghdr *message, uint16_t number, const char *name, size_t length, uint32_t id)
{
	struct nlattr *group = mnl_attr_nest_start(message, number);

	mnl_attr_put_u32(message, CTRL_ATTR_MCAST_GRP_ID, id);
	mnl_attr_put(message, CTRL_ATTR_MCAST_GRP_NAME, length, name);
	mnl_attr_nest_end(message, group);
}

/* ------------------------------------------------------------------ the family */

static void test_family(void **state)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	struct nlmsghdr *message = begin(buffer, GENL_ID_CTRL, CTRL_CMD_NEWFAMILY);
	struct netlink_family family;
	struct nlattr *groups;

	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME);
	mnl_attr_put_u16(message, CTRL_ATTR_FAMILY_ID, FAMILY);
	mnl_attr_put_u32(message, CTRL_ATTR_MAXATTR, NBD_ATTR_MAX);
	groups = mnl_attr_nest_start(message, CTRL_ATTR_MCAST_GROUPS);
	put_group(message, 1, "others", sizeof "others", 4);
	put_group(message, 2, NBD_GENL_MCAST_GROUP_NAME, sizeof NBD_GENL_MCAST_GROUP_NAME, 5);
	put_group(message, 3, "more", sizeof "more", 6);
	mnl_attr_nest_end(message, groups);
	family = family_of(message);
	assert_int_equal(family.id, FAMILY);
	assert_int_equal(family.multicast, 5);
	assert_int_equal(family.most, NBD_ATTR_MAX);
}

/* Linux 5.13 knows attributes up to NBD_ATTR_DEVICE_LIST: it cannot tell whose a device is, and is refused. */
static void test_family_old(void **state)
{
	struct netlink_family family = {.id = FAMILY, .multicast = 5, .most = NBD_ATTR_DEVICE_LIST};
	struct wrong wrong = {""};

	assert_int_equal(netlink_check_family(&family, &wrong), -EOPNOTSUPP);
	assert_non_null(strstr(wrong.text, "use Linux 5.14 or later"));
	family.most = 0;
	assert_int_equal(netlink_check_family(&family, &wrong), -EOPNOTSUPP);
	family.most = NBD_ATTR_BACKEND_IDENTIFIER;
	assert_int_equal(netlink_check_family(&family, &wrong), 0);
}

/* A name without its end, an identifier of two bytes, a family of one. */
static void test_family_short(void **state)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	struct nlmsghdr *message = begin(buffer, GENL_ID_CTRL, CTRL_CMD_NEWFAMILY);
	struct netlink_family family;
	struct nlattr *groups, *group;

	mnl_attr_put_u8(message, CTRL_ATTR_FAMILY_ID, FAMILY);
	groups = mnl_attr_nest_start(message, CTRL_ATTR_MCAST_GROUPS);
	group = mnl_attr_nest_start(message, 1);
	mnl_attr_put_strz(message, CTRL_ATTR_MCAST_GRP_NAME, NBD_GENL_MCAST_GROUP_NAME);
	mnl_attr_put_u16(message, CTRL_ATTR_MCAST_GRP_ID, 5);
	mnl_attr_nest_end(message, group);
	put_group(message, 2, NBD_GENL_MCAST_GROUP_NAME, strlen(NBD_GENL_MCAST_GROUP_NAME), 6);
	mnl_attr_nest_end(message, groups);
	family = family_of(message);
	assert_int_equal(family.id, 0);
	assert_int_equal(family.multicast, 0);
}

/* ------------------------------------------------------------------ events */

static size_t put_event(char *buffer, uint16_t type, uint8_t command, uint32_t index)
{
	struct nlmsghdr *message = begin(buffer, type, command);

	mnl_attr_put_u32(message, NBD_ATTR_INDEX, index);
	return message->nlmsg_len;
}

static void test_link_died(void **state)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	size_t bytes;

	bytes = put_event(buffer, FAMILY, NBD_CMD_LINK_DEAD, 3);
	assert_true(link_died(buffer, bytes, 3));
	assert_false(link_died(buffer, bytes, 4));
	bytes = put_event(buffer, FAMILY, NBD_CMD_STATUS, 3);
	assert_false(link_died(buffer, bytes, 3));
	bytes = put_event(buffer, FAMILY + 1, NBD_CMD_LINK_DEAD, 3);
	assert_false(link_died(buffer, bytes, 3));
	assert_false(link_died(buffer, 0, 3));
}

static void test_several_events(void **state)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	size_t bytes = put_event(buffer, FAMILY, NBD_CMD_LINK_DEAD, 1);

	bytes += put_event(buffer + bytes, FAMILY, NBD_CMD_STATUS, 2);
	bytes += put_event(buffer + bytes, FAMILY, NBD_CMD_LINK_DEAD, 3);
	assert_true(link_died(buffer, bytes, 1));
	assert_false(link_died(buffer, bytes, 2));
	assert_true(link_died(buffer, bytes, 3));
}

/* No device has been told of, and none is meant. */
static void test_no_device(void **state)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	struct nlmsghdr *message = begin(buffer, FAMILY, NBD_CMD_LINK_DEAD);

	assert_int_equal(netlink_parse_index(message), NETLINK_ANY_DEVICE);
	assert_false(link_died(buffer, message->nlmsg_len, NETLINK_ANY_DEVICE));
	assert_false(link_died(buffer, message->nlmsg_len, 0));
	mnl_attr_put_u16(message, NBD_ATTR_INDEX, 3);
	assert_false(link_died(buffer, message->nlmsg_len, 3));
}

/* Cut off anywhere, and with lengths that are not so. */
static void test_cut(void **state)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	size_t bytes = put_event(buffer, FAMILY, NBD_CMD_LINK_DEAD, 3);
	struct nlmsghdr *message = (struct nlmsghdr *)buffer;

	for (size_t cut = 1; cut < bytes; cut++)
		assert_false(link_died(buffer, cut, 3));
	for (uint32_t length = 0; length < bytes; length++) {
		message->nlmsg_len = length;
		/* Rounded up, the last ones are long enough. */
		assert_int_equal(link_died(buffer, bytes, 3), length > bytes - MNL_ALIGNTO);
		assert_false(link_died(buffer, length, 3));
	}
	message->nlmsg_len = (uint32_t)bytes + 4;
	assert_false(link_died(buffer, bytes, 3));
	/* Negative, where it is taken for signed. */
	message->nlmsg_len = 0xfffffff0;
	assert_false(link_died(buffer, bytes, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_family),     cmocka_unit_test(test_family_short),
		cmocka_unit_test(test_link_died),  cmocka_unit_test(test_several_events),
		cmocka_unit_test(test_no_device),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_family_old),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
