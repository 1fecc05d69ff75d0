/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's side of ublk, as far as this server speaks it: numbers and layouts of Linux 6.12's include/uapi/linux/ublk_cmd.h.
 * They never change. Debian 12's own header is of Linux 6.1 and lacks half of them, so they are written down here. What they mean:
 * Documentation/block/ublk.rst of the kernel.
 */
#ifndef UAPI_H
#define UAPI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* ------------------------------------------------------------------ control commands, to /dev/ublk-control */

struct uapi_command {
	uint32_t device;
	uint16_t queue; /* UAPI_NO_QUEUE where the command is about no queue */
	uint16_t length;
	uint64_t address; /* of what the command takes or gives */
	uint64_t data;
	uint16_t path_length; /* for devices of unprivileged users: none here */
	uint16_t pad;
	uint32_t reserved;
};
_Static_assert(sizeof(struct uapi_command) == 32, "the driver's layout");

#define UAPI_NO_QUEUE   UINT16_MAX
#define UAPI_ANY_NUMBER UINT32_MAX

#define UAPI_GET_QUEUE_AFFINITY  _IOR('u', 0x01, struct uapi_command)
#define UAPI_GET_DEV_INFO        _IOR('u', 0x02, struct uapi_command)
#define UAPI_ADD_DEV             _IOWR('u', 0x04, struct uapi_command)
#define UAPI_DEL_DEV             _IOWR('u', 0x05, struct uapi_command)
#define UAPI_START_DEV           _IOWR('u', 0x06, struct uapi_command)
#define UAPI_STOP_DEV            _IOWR('u', 0x07, struct uapi_command)
#define UAPI_SET_PARAMS          _IOWR('u', 0x08, struct uapi_command)
#define UAPI_GET_PARAMS          _IOR('u', 0x09, struct uapi_command)
#define UAPI_START_USER_RECOVERY _IOWR('u', 0x10, struct uapi_command)
#define UAPI_END_USER_RECOVERY   _IOWR('u', 0x11, struct uapi_command)
#define UAPI_GET_FEATURES        _IOR('u', 0x13, struct uapi_command)  /* Linux 6.5 */
#define UAPI_UPDATE_SIZE         _IOWR('u', 0x15, struct uapi_command) /* Linux 6.16; data: sectors */
#define UAPI_DEL_DEV_ASYNC       _IOR('u', 0x14, struct uapi_command)  /* Linux 6.9 */

/* Features of the driver, which are flags of a device as well. */
#define UAPI_F_USER_RECOVERY         (UINT64_C(1) << 3)
#define UAPI_F_USER_RECOVERY_REISSUE (UINT64_C(1) << 4)
#define UAPI_F_UNPRIVILEGED          (UINT64_C(1) << 5) /* made by an ordinary user, where udev lets users at the driver */
#define UAPI_F_CMD_IOCTL_ENCODE      (UINT64_C(1) << 6)
#define UAPI_F_USER_COPY             (UINT64_C(1) << 7)
#define UAPI_F_UPDATE_SIZE           (UINT64_C(1) << 10)

enum uapi_state {
	UAPI_DEAD,     /* not started, or stopped */
	UAPI_LIVE,     /* has a server */
	UAPI_QUIESCED, /* its server has died; requests wait for the next one */
	UAPI_FAIL_IO,  /* the same, and requests fail (not of devices that we make) */
};

struct uapi_info {
	uint16_t queues;
	uint16_t depth;
	uint16_t state; /* enum uapi_state */
	uint16_t pad0;
	uint32_t max_request_bytes;
	uint32_t device;
	int32_t server; /* process */
	uint32_t pad1;
	uint64_t flags;
	uint64_t target; /* the server's own; the driver only keeps it */
	uint32_t owner_uid;
	uint32_t owner_gid;
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct uapi_info) == 64, "the driver's layout");

#define UAPI_PARAM_BASIC   (1u << 0)
#define UAPI_PARAM_DISCARD (1u << 1)
#define UAPI_PARAM_NUMBERS (1u << 2) /* only the driver sets it */

struct uapi_params {
	uint32_t length; /* UAPI_PARAMS_LENGTH */
	uint32_t types;

	uint32_t attributes; /* none of them: it is no rotating disk, can be written, and has no volatile cache */
	uint8_t logical_block_shift;
	uint8_t physical_block_shift;
	uint8_t optimal_io_shift;
	uint8_t minimum_io_shift;
	uint32_t max_sectors;
	uint32_t chunk_sectors;
	uint64_t sectors;
	uint64_t virtual_boundary_mask;

	uint32_t discard_alignment;
	uint32_t discard_granularity;
	uint32_t max_discard_sectors;
	uint32_t max_write_zeroes_sectors;
	uint16_t max_discard_segments;
	uint16_t reserved;

	/* The numbers of /dev/ublkcN and /dev/ublkbN. */
	uint32_t char_major;
	uint32_t char_minor;
	uint32_t disk_major;
	uint32_t disk_minor;
	uint32_t end;
};
/* What Linux 6.5 and all after it know; later kernels have more behind that. */
#define UAPI_PARAMS_LENGTH ((uint32_t)offsetof(struct uapi_params, end))
_Static_assert(offsetof(struct uapi_params, sectors) == 24 && offsetof(struct uapi_params, discard_alignment) == 40 &&
		       UAPI_PARAMS_LENGTH == 76,
	       "the driver's layout");

/* ------------------------------------------------------------------ requests, over /dev/ublkcN */

#define UAPI_FETCH            _IOWR('u', 0x20, struct uapi_io)
#define UAPI_COMMIT_AND_FETCH _IOWR('u', 0x21, struct uapi_io)

/* In the command of a ring's entry. */
struct uapi_io {
	uint16_t queue;
	uint16_t tag;
	int32_t result;   /* of UAPI_COMMIT_AND_FETCH: bytes, or a negative errno */
	uint64_t address; /* 0: data is copied by UAPI_F_USER_COPY */
};
_Static_assert(sizeof(struct uapi_io) == 16, "the driver's layout");

/* How a fetch ends. */
#define UAPI_REQUEST 0     /* the tag's descriptor has a request */
#define UAPI_GONE    (-19) /* -ENODEV: the device is being stopped */

/* One for each tag, at queue * UAPI_QUEUE_STRIDE of what is mapped of /dev/ublkcN. */
struct uapi_descriptor {
	uint32_t op_flags;
	uint32_t sectors;
	uint64_t first_sector;
	uint64_t address;
};
_Static_assert(sizeof(struct uapi_descriptor) == 24, "the driver's layout");

#define UAPI_MAX_DEPTH 4096u
/* Queues have their descriptors so far apart in the mapping, rounded up to whole pages of the system. */
#define UAPI_QUEUE_STRIDE (UAPI_MAX_DEPTH * sizeof(struct uapi_descriptor))

#define UAPI_OP(op_flags) ((op_flags)&0xff)
enum uapi_op {
	UAPI_OP_READ = 0,
	UAPI_OP_WRITE = 1,
	UAPI_OP_FLUSH = 2,
	UAPI_OP_DISCARD = 3,
	UAPI_OP_WRITE_ZEROES = 5,
};
#define UAPI_REQUEST_IS_SWAP (1u << 16)

/* Where the data of a request is in /dev/ublkcN, for pread() and pwrite() (UAPI_F_USER_COPY). */
static inline uint64_t uapi_data_offset(uint16_t queue, uint16_t tag)
{
	return UINT64_C(0x80000000) + ((uint64_t)queue << 41) + ((uint64_t)tag << 25);
}
/* A request has at most this many bytes. */
#define UAPI_MAX_REQUEST_BYTES (1u << 25)

#endif
