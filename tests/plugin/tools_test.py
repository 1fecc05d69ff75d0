#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The everyday NBD tools: nbdinfo, nbdcopy, nbddump, qemu-img; sparse in both directions."""
from zsblktest import *

SIZE = 64 * MiB


def make_image(path, seed=1):
    """A sparse file with data here and there; returns the bytes that are data."""
    rng = random.Random(seed)
    data = 0
    with open(path, "wb") as f:
        f.truncate(SIZE)
        for offset in (0, 5 * MiB, 20 * MiB + 64 * 1024, SIZE - MiB):
            f.seek(offset)
            f.write(b"".join(bytes(rng.choices(b"abcdefgh \n", k=BLOCK)) for _ in range(256)))
            data += 256 * BLOCK
    return data


def allocated(path):
    return os.stat(path).st_blocks * 512


def data_in(server):
    return sum(length for _, length, hole in server.map() if not hole)


def same(one, other):
    run("cmp", one, other)


@test
def nbdcopy_both_ways():
    "nbdcopy: sparse in, sparse out, identical"
    need("nbdcopy")
    with folder() as path, Server(str(SIZE)) as server:
        image, back = os.path.join(path, "image"), os.path.join(path, "back")
        data = make_image(image)
        run("nbdcopy", image, server.uri)
        equal(data_in(server), data, "data in the device")
        run("nbdcopy", server.uri, back)
        same(image, back)
        assert allocated(back) <= data + MiB, f"{allocated(back)} bytes allocated for {data} of data"


@test
def nbdcopy_everything():
    "nbdcopy: without knowledge of holes, with several connections, synchronous"
    need("nbdcopy")
    with folder() as path, Server(str(SIZE)) as server:
        image, back = os.path.join(path, "image"), os.path.join(path, "back")
        data = make_image(image)
        for options in (["--no-extents"], ["--connections=4"], ["--synchronous"], ["--flush"],
                        ["--request-size=65536", "--requests=64"], ["--allocated"]):
            run("nbdcopy", *options, image, server.uri)
            run("nbdcopy", *options, server.uri, back)
            same(image, back)
        equal(data_in(server), data, "data in the device")


@test
def nbdcopy_between_devices():
    "nbdcopy: from one device to another"
    need("nbdcopy")
    with folder() as path, Server(str(SIZE)) as one, Server(str(SIZE), "algorithm=zstd") as two:
        image, back = os.path.join(path, "image"), os.path.join(path, "back")
        data = make_image(image)
        run("nbdcopy", image, one.uri)
        run("nbdcopy", "--destination-is-zero", one.uri, two.uri)
        run("nbdcopy", two.uri, back)
        same(image, back)
        equal(two.map(), one.map(), "maps")
        equal(data_in(two), data, "data")


@test
def nbdcopy_overwrites():
    "nbdcopy: an emptier image over a fuller one leaves holes"
    need("nbdcopy")
    with folder() as path, Server(str(SIZE)) as server:
        full, empty = os.path.join(path, "full"), os.path.join(path, "empty")
        make_image(full)
        with open(empty, "wb") as f:
            f.truncate(SIZE)
        run("nbdcopy", full, server.uri)
        run("nbdcopy", empty, server.uri)
        equal(server.map(), [(0, SIZE, True)], "map")


@test
def nbdinfo_views():
    "nbdinfo: --size, --map --totals, --can, --list"
    with Server(str(SIZE)) as server:
        server.connect().pwrite(b"x" * MiB, 0)
        equal(int(run("nbdinfo", "--size", server.uri)), SIZE, "size")
        contains(run("nbdinfo", "--map", "--totals", server.uri), str(MiB), str(SIZE - MiB), "hole,zero")
        for what in ("connect", "read", "write", "flush", "fua", "trim", "zero", "fast-zero", "cache",
                     "multi-conn"):
            run("nbdinfo", "--can", what, server.uri)
        contains(run("nbdinfo", "--list", server.uri), "export-size")
        run("nbdinfo", "--is", "rotational", server.uri, status=2)


@test
def nbddump_shows_bytes():
    "nbddump"
    need("nbddump")
    with Server("1M") as server:
        server.connect().pwrite(b"some text in the device", 4096 + 16)
        contains(run("nbddump", server.uri), "some text in the")


@test
def qemu_img_both_ways():
    "qemu-img: convert in and out, compare, map"
    need("qemu-img")
    with folder() as path, Server(str(SIZE)) as server:
        image, back, qcow = (os.path.join(path, n) for n in ("image", "back", "qcow2"))
        data = make_image(image)
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, server.uri)
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", image, server.uri)
        equal(data_in(server), data, "data in the device")
        mapped = json.loads(run("qemu-img", "map", "--output=json", "-f", "raw", server.uri))
        equal(sum(e["length"] for e in mapped if e["data"]), data, "data as qemu-img maps it")
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", server.uri, back)
        same(image, back)
        assert allocated(back) <= data + MiB, f"{allocated(back)} bytes allocated"
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", server.uri, qcow)
        run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", qcow, server.uri)
        run("qemu-img", "convert", "-n", "-W", "-m", "8", "-f", "qcow2", "-O", "raw", qcow, server.uri)
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", image, server.uri)


@test
def qcow2_inside():
    "qemu-img: a qcow2 image on the device, checked"
    need("qemu-img", "qemu-io")
    with Server("64M") as server:
        run("qemu-img", "create", "-f", "qcow2", server.uri, "48M")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 3M", "-c", "write -z 2M 64k",
            "-c", "discard 3M 128k", "-c", "read -P 7 1M 1M", "-c", "read -P 0 2M 64k", server.uri)
        contains(run("qemu-img", "check", "-f", "qcow2", server.uri), "No errors")


@test
def file_system_image():
    "an ext4 file system through nbdcopy, checked"
    need("mke2fs", "e2fsck", "nbdcopy")
    with folder() as path, Server(str(SIZE)) as server:
        image, back = os.path.join(path, "image"), os.path.join(path, "back")
        with open(image, "wb") as f:
            f.truncate(SIZE)
        run("mke2fs", "-q", "-t", "ext4", "-d", os.path.join(SOURCE, "include"), image)
        run("nbdcopy", image, server.uri)
        run("nbdcopy", server.uri, back)
        run("e2fsck", "-f", "-n", back)
        same(image, back)


main()
