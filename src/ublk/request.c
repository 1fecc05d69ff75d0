/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests. See request.h.
 *
 * Data is as safe as it ever gets once the engine has it: a flush has nothing to do, nor has the flag for forced unit access (FUA).
 * The device says that it has no volatile cache, so that the kernel asks for neither.
 */
#include "ublk/request.h"

#include <errno.h>
#include <unistd.h>

#define SECTOR_SHIFT 9

/* The request's pages are the kernel's, so that a piece of them either can be had as a whole or not at all. */
static int was_whole(ssize_t copied, size_t wanted)
{
	if (copied < 0)
		return -errno;
	return (size_t)copied == wanted ? 0 : -EIO;
}

static int read_piece(const struct request_place *place, size_t bytes, uint64_t offset, uint64_t data)
{
	int r = zsblk_read(place->device, place->buffer, bytes, offset);

	return r < 0 ? r : was_whole(pwrite(place->fd, place->buffer, bytes, (off_t)data), bytes);
}

static int write_piece(const struct request_place *place, size_t bytes, uint64_t offset, uint64_t data)
{
	int r = was_whole(pread(place->fd, place->buffer, bytes, (off_t)data), bytes);

	return r < 0 ? r : zsblk_write(place->device, place->buffer, bytes, offset);
}

static int in_pieces(const struct request_place *place, uint64_t bytes, uint64_t offset, uint64_t data,
		     int (*piece)(const struct request_place *, size_t, uint64_t, uint64_t))
{
	for (uint64_t done = 0; done < bytes;) {
		size_t now = bytes - done < REQUEST_BUFFER_BYTES ? (size_t)(bytes - done) : REQUEST_BUFFER_BYTES;
		int r = piece(place, now, offset + done, data + done);

		if (r < 0)
			return r;
		done += now;
	}
	return (int)bytes;
}

int request_serve(const struct request_place *place, uint16_t queue, uint16_t tag,
		  const struct uapi_descriptor *request)
{
	uint64_t offset = request->first_sector << SECTOR_SHIFT, bytes = (uint64_t)request->sectors << SECTOR_SHIFT;
	uint64_t data = uapi_data_offset(queue, tag);

	switch (UAPI_OP(request->op_flags)) {
	case UAPI_OP_READ:
		return bytes > UAPI_MAX_REQUEST_BYTES ? -EINVAL : in_pieces(place, bytes, offset, data, read_piece);
	case UAPI_OP_WRITE:
		return bytes > UAPI_MAX_REQUEST_BYTES ? -EINVAL : in_pieces(place, bytes, offset, data, write_piece);
	case UAPI_OP_DISCARD:
		return zsblk_discard(place->device, bytes, offset);
	case UAPI_OP_WRITE_ZEROES:
		return zsblk_write_zeroes(place->device, bytes, offset);
	case UAPI_OP_FLUSH:
		return zsblk_flush(place->device);
	}
	return -EOPNOTSUPP;
}
