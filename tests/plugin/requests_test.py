#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the server offers, and every kind of request against a plain copy in this process."""
import errno
import threading

from zsblktest import *


def extents(handle, count, offset, flags=0):
    """[(length, is_hole), ...] as the server reports them."""
    found = []

    def take(context, start, entries, error):
        for length, state in zip(entries[::2], entries[1::2]):
            assert state in (0, nbd.STATE_HOLE | nbd.STATE_ZERO), state
            found.append((length, state != 0))
    handle.block_status(count, offset, take, flags)
    return found


@test
def offers():
    "nbdinfo: everything a RAM device can offer"
    with Server("1G") as server:
        info = server.info()
        equal(info["export-size"], GiB, "size")
        for what in ("can_cache", "can_fast_zero", "can_flush", "can_fua", "can_multi_conn", "can_trim",
                     "can_zero"):
            equal(info[what], True, what)
        for what in ("is_read_only", "is_rotational"):
            equal(info[what], False, what)
        equal(info["block_size_minimum"], 1, "minimum block size")
        equal(info["block_size_preferred"], 4096, "preferred block size")
        equal(info["block_size_maximum"], 2 * MiB, "maximum block size")
        equal([c for c in info["contexts"]], ["base:allocation"], "contexts")


@test
def read_only():
    "nbdkit -r"
    with Server("1G", options=["-r"]) as server:
        equal(server.info()["is_read_only"], True, "read only")
        equal(server.connect().pread(BLOCK, 0), bytes(BLOCK), "data")


@test
def map_of_an_empty_device():
    "nbdinfo --map: an empty device is one hole"
    with Server("8G") as server:
        equal(server.map(), [(0, 8 * GiB, True)], "map")


@test
def map_of_data():
    "nbdinfo --map: data, zeroes, trimmed and never written blocks"
    with Server("1G") as server:
        handle = server.connect()
        handle.pwrite(pages(1, 3)[:10] + b"data" * 10, 5 * BLOCK + 17)
        handle.pwrite(b"\x55" * 16 * BLOCK, MiB)
        handle.pwrite(bytes(16 * BLOCK), MiB + 16 * BLOCK)
        handle.trim(4 * BLOCK, MiB + 2 * BLOCK)
        handle.zero(BLOCK, MiB + 8 * BLOCK)
        equal(server.map(), [
            (0, 5 * BLOCK, True), (5 * BLOCK, BLOCK, False), (6 * BLOCK, MiB - 6 * BLOCK, True),
            (MiB, 2 * BLOCK, False), (MiB + 2 * BLOCK, 4 * BLOCK, True),
            (MiB + 6 * BLOCK, 2 * BLOCK, False), (MiB + 8 * BLOCK, BLOCK, True),
            (MiB + 9 * BLOCK, 7 * BLOCK, False),
            (MiB + 16 * BLOCK, GiB - MiB - 16 * BLOCK, True)], "map")


@test
def one_extent():
    "block status with the flag for one extent, and of parts of blocks"
    with Server("1G") as server:
        handle = server.connect()
        handle.pwrite(b"\x55" * BLOCK, BLOCK)
        handle.pwrite(b"\x55" * BLOCK, 3 * BLOCK)
        equal(extents(handle, 10 * BLOCK, 0, nbd.CMD_FLAG_REQ_ONE), [(BLOCK, True)], "first")
        equal(extents(handle, 10 * BLOCK, BLOCK, nbd.CMD_FLAG_REQ_ONE), [(BLOCK, False)], "second")
        equal(extents(handle, 5, BLOCK + 100, nbd.CMD_FLAG_REQ_ONE), [(5, False)], "inside a block")
        equal(sum(length for length, hole in extents(handle, 10 * BLOCK, 7))
              >= 10 * BLOCK - 7, True, "all of the range")


@test
def bytes_and_odd_ranges():
    "requests of any length at any offset"
    size = 64 * BLOCK
    with Server(str(size)) as server:
        handle = server.connect()
        truth = bytearray(size)
        rng = random.Random(4)
        for step in range(3000):
            offset = rng.randrange(size)
            length = min(rng.choice([1, 2, 7, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1,
                                     rng.randrange(1, 5 * BLOCK)]), size - offset)
            kind = rng.randrange(8)
            if kind < 4:
                data = rng.randbytes(length) if kind == 0 else pages(1 + length // BLOCK, step)[:length]
                handle.pwrite(data, offset, nbd.CMD_FLAG_FUA if kind == 1 else 0)
                truth[offset:offset + length] = data
            elif kind == 4:
                handle.trim(length, offset)
                truth[offset:offset + length] = bytes(length)
            elif kind == 5:
                handle.zero(length, offset, rng.choice([
                    0, nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FAST_ZERO, nbd.CMD_FLAG_FUA,
                    nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO]))
                truth[offset:offset + length] = bytes(length)
            else:
                equal(bytes(handle.pread(length, offset)) == truth[offset:offset + length], True,
                      f"step {step}: {length} bytes at {offset}")
            if step % 97 == 0:
                handle.flush()
                handle.cache(length, offset)
        equal(bytes(handle.pread(size, 0)) == truth, True, "the whole device")


@test
def single_bytes():
    "every byte of two blocks written and read alone"
    with Server("16k") as server:
        handle = server.connect()
        wanted = random.Random(5).randbytes(2 * BLOCK)
        for i in range(0, 2 * BLOCK, 3):
            handle.pwrite(wanted[i:i + 1], BLOCK + i)
        for i in range(0, 2 * BLOCK):
            equal(handle.pread(1, BLOCK + i), wanted[i:i + 1] if i % 3 == 0 else b"\0", f"byte {i}")
        equal(handle.pread(BLOCK, 0), bytes(BLOCK), "block before")
        equal(handle.pread(BLOCK, 3 * BLOCK), bytes(BLOCK), "block after")


@test
def beyond_the_end():
    "requests beyond the end fail and change nothing"
    with Server("1M") as server:
        handle = server.connect()
        handle.set_strict_mode(0)
        handle.pwrite(b"\x11" * BLOCK, MiB - BLOCK)
        for request in (lambda: handle.pread(2 * BLOCK, MiB - BLOCK),
                        lambda: handle.pwrite(bytes(2 * BLOCK), MiB - BLOCK),
                        lambda: handle.trim(2 * BLOCK, MiB - BLOCK),
                        lambda: handle.zero(2 * BLOCK, MiB - BLOCK),
                        lambda: handle.cache(2 * BLOCK, MiB - BLOCK),
                        lambda: handle.pread(BLOCK, 1 << 62)):
            try:
                request()
            except nbd.Error as error:
                assert error.errnum in (errno.EINVAL, errno.ENOSPC), error
            else:
                raise AssertionError("a request beyond the end succeeded")
        equal(handle.pread(BLOCK, MiB - BLOCK), b"\x11" * BLOCK, "the last block")


@test
def large_requests():
    "the largest reads and writes nbdkit takes, 32 MiB"
    with Server("128M") as server:
        handle = server.connect()
        data = pages(32 * MiB // BLOCK, 6)
        for offset in (0, 12345):
            handle.pwrite(data, offset)
            equal(handle.pread(len(data), offset) == data, True, f"data at {offset}")


@test
def trim_of_4_gib():
    "a trim of 4 GiB beside other requests"
    length = (1 << 32) - BLOCK
    with Server("8G", "algorithm=lz4") as server:
        handle, other = server.connect(), server.connect()
        data = pages(4096, 7)
        for offset in range(0, 4 * GiB, 512 * MiB):
            handle.pwrite(data, offset)
        handle.pwrite(data, 4 * GiB)
        # Blocks of the range may be read as either, others must be as they are.
        cookie = handle.aio_trim(length, 0)
        order = []
        for i in range(200):
            start = 4 * GiB + i % 64 * BLOCK
            equal(bytes(other.pread(BLOCK, start)) == data[i % 64 * BLOCK:][:BLOCK], True, "block")
            other.pwrite(data[:BLOCK], 6 * GiB + i * BLOCK)
            handle.poll(0)
            order.append(bool(handle.aio_command_completed(cookie)) if not any(order) else True)
        while not any(order):
            handle.poll(-1)
            order.append(bool(handle.aio_command_completed(cookie)))
        say(f"{order.index(True)} of 200 rounds of other requests were done before the trim was")
        equal(extents(handle, length, 0)[0], (length, True), "the trimmed range")
        equal(handle.pread(BLOCK, 512 * MiB), bytes(BLOCK), "a trimmed block")
        equal(handle.pread(len(data), 4 * GiB) == data, True, "what was not trimmed")
        equal(handle.pread(BLOCK, 6 * GiB + 199 * BLOCK), data[:BLOCK], "what was written meanwhile")


@test
def zeroes_of_4_gib():
    "write zeroes over 4 GiB, ragged at both ends"
    with Server("8G") as server:
        handle = server.connect()
        edge = b"\x77" * 3 * BLOCK
        length = (1 << 32) - 2 * BLOCK
        handle.pwrite(edge, BLOCK)
        handle.pwrite(edge, BLOCK + length)
        handle.zero(length, 2 * BLOCK + 9)
        equal(handle.pread(BLOCK + 9 + 5, BLOCK), edge[:BLOCK + 9] + bytes(5), "front")
        equal(handle.pread(16, 2 * BLOCK + 9 + length - 8), bytes(8) + edge[:8], "back")


def worker(server, number, share, rounds, failures):
    """Random requests in blocks of one's own, several in flight on each connection."""
    try:
        rng = random.Random(1000 + number)
        handle = server.connect()
        base = number * share
        truth = bytearray(share)
        for turn in range(rounds):
            cookies, buffers = [], []
            offsets = rng.sample(range(0, share // BLOCK), 12)
            for block in offsets:
                # Two requests in one block could land in either order.
                within = rng.randrange(BLOCK - 1) if rng.randrange(3) == 0 else 0
                length = rng.randrange(1, BLOCK - within + 1) if within else BLOCK
                offset = block * BLOCK + within
                if rng.randrange(5) == 0:
                    cookies.append(handle.aio_trim(length, base + offset))
                    truth[offset:offset + length] = bytes(length)
                else:
                    data = page(rng)[:length]
                    buffers.append(nbd.Buffer.from_bytearray(bytearray(data)))
                    cookies.append(handle.aio_pwrite(buffers[-1], base + offset))
                    truth[offset:offset + length] = data
            for cookie in cookies:
                while not handle.aio_command_completed(cookie):
                    handle.poll(-1)
            block = rng.choice(offsets) * BLOCK
            equal(bytes(handle.pread(BLOCK, base + block)) == truth[block:block + BLOCK], True,
                  f"connection {number}, round {turn}")
        equal(bytes(handle.pread(share, base)) == truth, True, f"connection {number}: everything")
        handle.shutdown()
    except BaseException as error:
        failures.append(error)


@test
def many_connections():
    "eight connections at once, each with requests in parallel, verified"
    share = MiB
    with Server("8M", "algorithm=zstd", "level=1") as server:
        server.connect()  # skips without libnbd
        failures = []
        threads = [threading.Thread(target=worker, args=(server, n, share, 60, failures))
                   for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


@test
def one_connection_sees_the_other():
    "multi-conn: what one connection wrote, another reads"
    with Server("1G") as server:
        one, two = server.connect(), server.connect()
        for i in range(200):
            data = pages(1, i)
            one.pwrite(data, i * BLOCK * 3)
            equal(two.pread(BLOCK, i * BLOCK * 3), data, f"block {i}")


@test
def full_and_free_again():
    "over mem-limit: ENOSPC, nothing lost; after a trim it goes on"
    limit = 8 * MiB
    with Server("256M", f"mem-limit={limit}", "reserve=1M") as server:
        handle = server.connect()
        noise = random.Random(8)
        stored = []
        for i in range(limit // BLOCK + 100):
            data = noise.randbytes(BLOCK)
            try:
                handle.pwrite(data, i * BLOCK)
            except nbd.Error as error:
                equal(error.errnum, errno.ENOSPC, "errno")
                break
            stored.append(data)
        else:
            raise AssertionError("it never was full")
        assert len(stored) > limit // BLOCK * 3 // 4, f"full after {len(stored)} blocks"
        say(f"full after {len(stored)} blocks of {limit // BLOCK}")
        # The block that failed is as it was: old, or never written.
        equal(handle.pread(BLOCK, len(stored) * BLOCK), bytes(BLOCK), "the block that did not fit")
        for i in (0, len(stored) // 2, len(stored) - 1):
            equal(handle.pread(BLOCK, i * BLOCK), stored[i], f"block {i}")
        # What takes no memory still works.
        handle.pwrite(b"\x42" * BLOCK, 200 * MiB)
        handle.zero(BLOCK, 201 * MiB)
        half = len(stored) // 2
        handle.trim(half * BLOCK, 0)
        for i in range(half * 3 // 4):
            handle.pwrite(stored[i], i * BLOCK)
        for i in range(half * 3 // 4):
            equal(handle.pread(BLOCK, i * BLOCK) == stored[i], True, f"block {i} after the trim")
        equal(handle.pread(BLOCK, (len(stored) - 1) * BLOCK), stored[-1], "the last one")
        equal(handle.pread(BLOCK, 200 * MiB), b"\x42" * BLOCK, "a same-filled block")


@test
def old_protocols():
    "oldstyle, and without structured replies"
    for options in (["-o"], ["--no-sr"], ["--mask-handshake=0"]):
        with Server("1M", options=options) as server:
            if nbd is None:
                raise Skip("python3-libnbd is not installed")
            handle = nbd.NBD()
            handle.connect_unix(server.socket)
            server.handles.append(handle)
            data = pages(4, 2)
            handle.pwrite(data, 100)
            equal(handle.pread(len(data), 100), data, "data")


@test
def ended_beside_requests():
    "SIGTERM while requests are in flight"
    for turn in range(5):
        with Server("64M") as server:
            handle = server.connect()
            data = pages(64, turn)
            buffers = [nbd.Buffer.from_bytearray(bytearray(data)) for _ in range(16)]
            cookies = [handle.aio_pwrite(b, i * len(data)) for i, b in enumerate(buffers)]
            for _ in range(turn):
                handle.poll(1)
            os.kill(server.pid, signal.SIGTERM)
            try:
                for cookie in cookies:
                    while not handle.aio_command_completed(cookie):
                        handle.poll(-1)
            except nbd.Error as error:
                # Once it was told to end nbdkit answers requests with ESHUTDOWN. Those that it has not read when it
                # closes its socket make the kernel say ECONNRESET here; one that is being sent then, EPIPE.
                assert error.errnum in (errno.ESHUTDOWN, errno.ECONNRESET, errno.EPIPE), error
            server.disconnect()
            pid, server.pid = server.pid, None
            wait_for(lambda: not alive(pid), "end of the server")
            equal(server.process.wait(WAIT), 0, "exit status")


main()
