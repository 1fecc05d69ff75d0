/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the supervisor receives in place of held files: they are taken or refused, and no descriptor is left either way.
 *
 * Input: a byte of set-up, then the bytes of a message. In the set-up: how many descriptors come with it (3 bits),
 * whether they are files, whether the socket tells the sender, whether it is the right one, and whether the message is
 * a good one to which the bytes are applied as changes.
 */
#include "fuzz/input.h"
#include "lib/base.h"

#include "daemon/server/kept.h"

#include <errno.h>
#include <sys/socket.h>

#define MOST_FILES 7

static void send_message(int socket, const uint8_t *bytes, size_t len, unsigned n, int file)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MOST_FILES * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec text = {(void *)bytes, len};
	struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
	int files[MOST_FILES];

	for (unsigned i = 0; i < n; i++)
		files[i] = file;
	if (n) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.header = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int))};
		memcpy(CMSG_DATA(&control.header), files, n * sizeof(int));
	}
	must(sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len);
}

/* A message as kept_send() has it, with changes: where, and what to. */
static size_t make_good(struct input *input, uint8_t *bytes, size_t most, int file)
{
	struct kept kept = {.of = 1, .of_start = 2, .program = file, .module = file};
	ssize_t len;
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	must(kept_send(&kept, ends[0]) == 0);
	len = recv(ends[1], bytes, most, 0);
	must(len > 0);
	while (input->left) {
		unsigned at = (unsigned)take(input, 1) % (unsigned)len;

		bytes[at] ^= (uint8_t)take(input, 1);
	}
	close(ends[0]);
	close(ends[1]);
	return (size_t)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *input_bytes, size_t len)
{
	struct input input = {input_bytes, len};
	unsigned set_up = (unsigned)take(&input, 1);
	int lowest = dup(STDIN_FILENO), ends[2], file, r;
	uint8_t bytes[2048];
	size_t n = input.left < sizeof bytes ? input.left : sizeof bytes;
	struct kept kept;

	close(lowest);
	file = open(set_up & 8 ? "/proc/self/exe" : "/dev/null", O_RDONLY | O_CLOEXEC);
	must(file >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	if (!(set_up & 16))
		setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
	if (set_up & 64)
		n = make_good(&input, bytes, sizeof bytes, file);
	else
		memcpy(bytes, input.at, n);
	send_message(ends[0], bytes, n, set_up & 7, file);
	kept_init(&kept);
	r = kept_receive(&kept, ends[1], set_up & 32 ? getpid() + 1 : getpid());
	must(r == 0 || r == -EBADMSG || r == -ENOTCONN);
	if (r == 0)
		must(!(set_up & (16 | 32)) && set_up & 8 && (set_up & 7) >= 1 && (set_up & 7) <= 2 &&
		     (kept.module >= 0 || kept.program >= 0));
	kept_close(&kept);
	close(file);
	close(ends[0]);
	close(ends[1]);
	must(dup(STDIN_FILENO) == lowest);
	close(lowest);
	return 0;
}
