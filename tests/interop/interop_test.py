#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Other people's NBD clients: qemu-io, fio with verification, nbd-client, nbdsh, nbdkit as a client."""
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../plugin"))
from zsblktest import *  # noqa: E402


# ---------------------------------------------------------------- qemu-io

def qemu_io(server, *commands, options=()):
    """qemu-io says so when a pattern is not what it should be, and ends with status 1."""
    need("qemu-io")
    args = [part for command in commands for part in ("-c", command)]
    out = run("qemu-io", "-f", "raw", *options, *args, server.uri)
    assert "Pattern verification failed" not in out, out
    return out


@test
def qemu_io_aligned():
    "qemu-io: aligned patterns"
    with Server("64M") as server:
        qemu_io(server, "write -P 0xaa 0 64k", "write -P 0xbb 4k 4k", "write -P 0xcc 1M 1M", "flush",
                "read -P 0xaa 0 4k", "read -P 0xbb 4k 4k", "read -P 0xaa 8k 56k", "read -P 0xcc 1M 1M",
                "read -P 0 64k 960k", "read -P 0 2M 62M")


@test
def qemu_io_unaligned():
    "qemu-io: patterns of any length at any offset"
    with Server("64M") as server:
        qemu_io(server, "write -P 1 0 1", "write -P 2 1 510", "write -P 3 511 2", "write -P 4 4095 2",
                "write -P 5 10000 12345", "read -P 1 0 1", "read -P 2 1 510", "read -P 3 511 2",
                "read -P 0 513 3582", "read -P 4 4095 2", "read -P 0 4097 5903", "read -P 5 10000 12345",
                "read -P 0 22345 1M")


@test
def qemu_io_zeroes_and_discard():
    "qemu-io: write zeroes (with and without unmap, FUA) and discard"
    with Server("64M") as server:
        qemu_io(server, "write -P 0x5a 0 4M", "write -z 64k 64k", "write -z -u 256k 256k",
                "write -z -f 1000 5000", "discard 1M 1M", "discard 3000001 7001", "write -f -P 0x77 2M 4k",
                "read -P 0x5a 0 1000", "read -P 0 1000 5000", "read -P 0x5a 6000 59536", "read -P 0 64k 64k",
                "read -P 0x5a 128k 128k", "read -P 0 256k 256k", "read -P 0x5a 512k 512k", "read -P 0 1M 1M",
                "read -P 0x77 2M 4k", "read -P 0x5a 2101248 898753", "read -P 0x5a 3007002 1000")


@test
def qemu_io_in_parallel():
    "qemu-io: many requests in flight"
    with Server("64M", "algorithm=zstd") as server:
        writes = [f"aio_write -P {i % 255 + 1} {i * 12000} 12000" for i in range(200)]
        reads = [f"aio_read -P {i % 255 + 1} {i * 12000} 12000" for i in range(200)]
        qemu_io(server, *writes, "aio_flush", *reads, "aio_flush")


# ---------------------------------------------------------------- fio

def fio(server, *options, size="48M"):
    need("fio")
    if "nbd" not in run("fio", "--enghelp"):
        raise Skip("this fio has no nbd engine")
    with folder() as path:
        return run("fio", "--name=verify", "--ioengine=nbd", f"--uri={server.uri}", f"--size={size}",
                   "--thread", "--verify_fatal=1", "--randrepeat=1", "--randseed=7",
                   "--output-format=terse", *options, cwd=path)


@test
def fio_random():
    "fio: random writes of 4 KiB at depth 16, verified"
    with Server("64M") as server:
        fio(server, "--rw=randwrite", "--bs=4k", "--iodepth=16", "--verify=crc32c", "--do_verify=1")


@test
def fio_odd_sizes():
    "fio: requests of 512 bytes to 128 KiB at any multiple of 512, compressible, verified"
    with Server("64M", "algorithm=zstd", "level=-5") as server:
        fio(server, "--rw=randwrite", "--bsrange=512-128k", "--bs_unaligned=0", "--blockalign=512",
            "--iodepth=8", "--verify=md5", "--do_verify=1", "--buffer_compress_percentage=70",
            "--buffer_compress_chunk=4k")


@test
def fio_mixed():
    "fio: mixed reads and writes, verified while they go on"
    with Server("64M", "algorithm=lz4hc", "level=1") as server:
        fio(server, "--rw=randrw", "--bs=8k", "--iodepth=16", "--verify=xxhash", "--verify_backlog=64",
            "--verify_async=0")


@test
def fio_trims():
    "fio: trims and writes"
    with Server("64M") as server:
        fio(server, "--rw=randtrimwrite", "--bs=16k", "--iodepth=4")
        fio(server, "--rw=write", "--bs=128k", "--iodepth=4", "--verify=crc32c", "--do_verify=1")


@test
def fio_several_jobs():
    "fio: four jobs with connections of their own, verified"
    with Server("64M") as server:
        fio(server, "--rw=randwrite", "--bs=4k", "--iodepth=4", "--numjobs=4", "--offset_increment=12M",
            "--verify=crc32c", "--do_verify=1", size="12M")


# ---------------------------------------------------------------- others

@test
def nbd_client_lists():
    "nbd-client: list the exports"
    need("nbd-client")
    with Server("64M") as server:
        out = run("nbd-client", "-l", "-unix", server.socket, status=None)
        contains(out, "Negotiation")


@test
def nbdsh():
    "nbdsh: libnbd's shell"
    if nbd is None:
        raise Skip("python3-libnbd is not installed")
    with Server("64M") as server:
        out = run("/usr/bin/python3", "-c", "import nbdsh; nbdsh.shell()", "-u", server.uri,
                  "-c", "h.pwrite(b'hello', 4094)", "-c", "print(h.pread(7, 4093))",
                  "-c", "print(h.get_size(), h.can_multi_conn(), h.can_fast_zero())")
        contains(out, repr(b"\0hello\0"), f"{64 * MiB} True True")


@test
def nbdkit_as_client():
    "nbdkit nbd: a server in front of the server"
    plugins = re.search(r"^plugindir=(.*)$", run("nbdkit", "--dump-config"), re.M).group(1)
    if not os.path.exists(os.path.join(plugins, "nbdkit-nbd-plugin.so")):
        raise Skip("nbdkit's nbd plugin is not installed")
    with Server("64M") as server:
        data = pages(100, 1)
        with Server(f"uri={server.uri}", plugin="nbd") as front:
            equal(front.info()["can_multi_conn"], True, "multi-conn")
            handle = front.connect()
            handle.pwrite(data, 777)
            handle.trim(10 * BLOCK, 20 * BLOCK)
            equal(front.map(), server.map(), "maps")
        wanted = bytearray(777) + data + bytes(BLOCK)
        wanted[20 * BLOCK:30 * BLOCK] = bytes(10 * BLOCK)
        equal(bytes(server.connect().pread(len(wanted), 0)) == wanted, True, "contents")


@test
def filters():
    "under nbdkit's filters: offset, blocksize, cow, error"
    path = re.search(r"^filterdir=(.*)$", run("nbdkit", "--dump-config"), re.M).group(1)
    for name, params in (("offset", ["offset=1M", "range=2M"]), ("blocksize", ["minblock=512"]),
                         ("cow", []), ("error", ["error-rate=0"])):
        if not os.path.exists(os.path.join(path, f"nbdkit-{name}-filter.so")):
            say(f"nbdkit's filter {name} is not installed")
            continue
        with Server("64M", *params, options=[f"--filter={name}"]) as server:
            handle = server.connect()
            data = random.Random(1).randbytes(10000)
            handle.pwrite(data, 1000)
            equal(handle.pread(len(data), 1000), data, f"data under {name}")


@test
def tcp():
    "over TCP"
    with folder() as path:
        with open(os.path.join(path, "image"), "wb") as f:
            f.write(pages(100, 1))
        for port in random.SystemRandom().sample(range(20000, 60000), 5):
            # nbdkit's $uri has the name localhost, which a system without /etc/hosts does not know.
            uri = f"nbd://127.0.0.1:{port}"
            script = f"nbdinfo --size {uri} && nbdcopy image {uri} && nbdinfo --map {uri}"
            out = run("nbdkit", "-i", "127.0.0.1", "-p", str(port), PLUGIN, "64M", "--run", script,
                      env=ENV, status=None, cwd=path)
            if "already in use" not in out:
                contains(out, str(64 * MiB), "data")
                return
        raise Skip("no free port was found")


main()
