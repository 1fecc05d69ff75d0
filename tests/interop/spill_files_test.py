#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Backing stores in files and on block devices, with the real faults: full file systems, truncated files, loop devices."""
import contextlib
import ctypes
import mmap
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from spilltest import *  # noqa: E402,F403

LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def mounted(top, *args):
    """A file system of our own; unmounted at the end."""
    need_root()
    point = os.path.join(top, "mounted")
    os.makedirs(point)
    out = run("mount", *args, point, status=None)
    if out:
        raise Skip(f"nothing can be mounted here: {out.splitlines()[0]}")
    try:
        yield point
    finally:
        run("umount", point)


@contextlib.contextmanager
def loop(path):
    """A loop device on a file."""
    need_root()
    need("losetup")
    out = run("losetup", "--find", "--show", path, status=None).strip()
    if not out.startswith("/dev/loop") or not os.path.exists(out):
        raise Skip(f"no loop devices here: {out.splitlines()[0]}")
    try:
        yield out
    finally:
        run("losetup", "-d", out)


def image(top, mib, name="image"):
    path = os.path.join(top, name)
    with open(path, "wb") as file:
        file.truncate(mib << 20)
    return path


def number_of(path):
    return os.stat(path).st_rdev


def fill_and_go_on(driver):
    """No room beneath the store: what is there stays, and room that is made is used."""
    error, count = driver.tell("full").split()
    assert error in ("ENOSPC", "EDQUOT"), error
    assert int(count) > 500, count
    contains(driver.tell("status"), "full=1", "No space left")
    contains(driver.tell("get", 0, count), "ok ")
    driver.expect(f"ok {count}", "get", 0, count)
    driver.expect("ok 0", "drop", 0, int(count) // 4 * 3)
    # Whole buckets are free now, and go back to the file system. What is left of others moves into the first of them.
    driver.expect("ok 0", "clean")
    driver.expect("ok 0", "put", 0, 100)
    contains(driver.tell("status"), "full=0", "text=")
    driver.expect(f"ok {count}", "get", 0, count)


@test
def full_tmpfs():
    "a store in a full tmpfs"
    with folder() as top, mounted(top, "-t", "tmpfs", "-o", "size=8m", "none") as point, Driver(top) as driver:
        fill_and_go_on(driver.open(point + "/store", limit=64))


@test
def full_ext4():
    "a store in a full ext4"
    need("mke2fs")
    with folder() as top:
        path = image(top, 12)
        run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", path)
        with loop(path) as device, mounted(top, device) as point, Driver(top) as driver:
            fill_and_go_on(driver.open(point + "/store", limit=64))


@test
def truncated():
    "a store in a file that is cut short, and then removed"
    with folder() as top, Driver(top) as driver:
        path = top + "/store"
        driver.open(path, limit=32)
        driver.expect("ok 0", "put", 0, 1000)
        os.truncate(path, 2 << 20)
        answer = driver.tell("get", 0, 1000)
        contains(answer, "ENODATA=")
        assert 100 < int(answer.split()[1]) < 400, answer
        os.unlink(path)
        driver.expect("ok 0", "put", 1000, 100)
        driver.expect("ok 100", "get", 1000, 100)


@test
def block_device():
    "a store on a block device, which nobody else can use meanwhile"
    with folder() as top, loop(image(top, 24)) as device:
        with Driver(top) as driver:
            driver.refused("EMEDIUMTYPE", "only if that is asked for", device)
            driver.refused("ELOOP", "lies on the device", device, existing=1, device=number_of(device))
            driver.open(device, existing=1)
            driver.expect("ok 0", "put", 0, 1500)
            with Driver(top, "other") as other:
                other.refused("EBUSY", "claimed by another process", device, existing=1, take_over=1)
            driver.expect("ok 1500", "get", 0, 1500)
            driver.kill()
        with Driver(top) as driver:
            driver.open(device)
            driver.expect("ok 1500", "get", 0, 1500)
            driver.expect("ok 0", "drop", 0, 1500)
            driver.expect("ok 0", "clean")
            assert driver.number("stats", "discarded") > 4 << 20


@test
def device_of_others():
    "a block device with a file system, or one that is mounted"
    need("mke2fs")
    with folder() as top, Driver(top) as driver:
        path = image(top, 24)
        run("mke2fs", "-q", "-t", "ext4", path)
        with loop(path) as device:
            driver.refused("EMEDIUMTYPE", "an ext file system", device, existing=1, take_over=1)
            with mounted(top, device):
                driver.refused("EBUSY", "mounted", device, existing=1)


@test
def device_that_shrinks():
    "a block device whose medium goes away"
    with folder() as top:
        path = image(top, 24)
        with loop(path) as device, Driver(top) as driver:
            driver.open(device, existing=1, deadline=5000)
            driver.expect("ok 0", "put", 0, 1000)
            # As when a disk is replaced by a smaller one: what lies behind its end gives errors.
            os.truncate(path, 2 << 20)
            run("losetup", "-c", device)
            answer = driver.tell("get", 0, 1000)
            right = int(answer.split()[1])
            assert 100 < right < 400 and "=" in answer, answer
            assert driver.tell("put", 1000, 1000).split()[0] != "ok"
            contains(driver.tell("status"), "the last write failed")
            # What could be read still can.
            equal(int(driver.tell("get", 0, 1000).split()[1]), right)


@test
def hung_writes():
    "a file system that takes no writes for a while: reads go on, and so do writes when they can"
    need("mke2fs", "fsfreeze")
    with folder() as top:
        path = image(top, 24)
        run("mke2fs", "-q", "-t", "ext4", path)
        with loop(path) as device, mounted(top, device) as point, Driver(top) as driver:
            driver.open(point + "/store", limit=16, deadline=4000)
            driver.expect("ok 0", "put", 0, 300)
            run("fsfreeze", "-f", point)
            try:
                contains(driver.tell("put", 300, 10), "ETIMEDOUT")
                contains(driver.tell("status"), "stuck=1", "it may still happen")
                contains(driver.tell("put", 300, 10), "EBUSY")
                driver.expect("ok 300", "get", 0, 300)
            finally:
                run("fsfreeze", "-u", point)
            wait_for(lambda: "stuck=0" in driver.tell("status"), "end of the write")
            driver.expect("ok 0", "put", 300, 200)
            driver.expect("ok 500", "get", 0, 500)
            equal(driver.number("stats", "buckets_lost"), 1)


@contextlib.contextmanager
def device_that_can_hang(top):
    """A block device, and the server that it hangs with: a loop on a file of nbdfuse's."""
    need("nbdkit", "nbdfuse")
    if not os.path.exists("/dev/fuse"):
        raise Skip("no FUSE here")
    point = os.path.join(top, "fuse")
    with open(point, "wb"):
        pass
    server = subprocess.Popen(["nbdkit", "-f", "-U", top + "/socket", "memory", "24M"])
    try:
        wait_for(lambda: os.path.exists(top + "/socket"), "start of the server")
        fuse = subprocess.Popen(["nbdfuse", point, "--unix", top + "/socket"])
        try:
            wait_for(lambda: os.path.getsize(point) or fuse.poll() is not None, "nbdfuse")
            if fuse.poll() is not None:
                raise Skip("nothing can be mounted with FUSE here")
            with loop(point) as device:
                yield device, server
        finally:
            server.send_signal(signal.SIGCONT)
            run("umount", point, status=None)
            fuse.wait()
    finally:
        server.kill()
        server.wait()


def pages_in_memory(fd):
    """How many pages of the file the page cache has."""
    size = os.fstat(fd).st_size
    n = -(-size // mmap.PAGESIZE)
    vector = (ctypes.c_ubyte * n)()
    with mmap.mmap(fd, size, mmap.MAP_PRIVATE) as area:
        at = ctypes.c_char.from_buffer(area)
        failed = LIBC.mincore(ctypes.c_void_p(ctypes.addressof(at)), ctypes.c_size_t(size), vector)
        del at  # the mapping cannot be closed before
    assert not failed, os.strerror(ctypes.get_errno())
    return sum(page & 1 for page in vector)


def forget_pages(path):
    """What the kernel has of the file in its page cache, which the loop device reads it by. A page that is in use just then stays: so again."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)

        def is_forgotten():
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            return not pages_in_memory(fd)
        wait_for(is_forgotten, "all pages to leave the page cache")
    finally:
        os.close(fd)


@test
def hung_device():
    "a block device that does not answer for a while: reads fail by their deadline, and go on when it does"
    with folder() as top, device_that_can_hang(top) as (device, server), Driver(top) as driver:
        driver.open(device, existing=1, deadline=4000)
        driver.expect("ok 0", "put", 0, 300)
        driver.expect("ok 300", "get", 0, 300)
        forget_pages(top + "/fuse")
        server.send_signal(signal.SIGSTOP)
        driver.expect("ok 0 ETIMEDOUT=2", "get", 0, 2)
        equal(driver.number("stats", "timed_out"), 2)
        server.send_signal(signal.SIGCONT)
        wait_for(lambda: driver.tell("get", 0, 1) == "ok 1", "an answer")
        driver.expect("ok 300", "get", 0, 300)
        driver.expect("ok 0", "close")


@test
def on_the_device_itself():
    "a store on the device that it is for: through a file system, and through a loop on that"
    need("mke2fs")
    with folder() as top:
        path = image(top, 40)
        run("mke2fs", "-q", "-t", "ext4", path)
        with loop(path) as device, mounted(top, device) as point, Driver(top) as driver:
            driver.refused("ELOOP", "lies on the device", point + "/store", device=number_of(device), limit=8)
            assert not os.path.exists(point + "/store")
            with loop(image(point, 8)) as upper:
                driver.refused("ELOOP", "lies on the device", upper, existing=1, device=number_of(device))
                driver.open(upper, existing=1, device=number_of(device) + 100000)


@test
def memory_for_reading():
    "reading from a file allocates nothing"
    with folder() as top, Driver(top) as driver:
        driver.open(top + "/store", limit=32)
        driver.expect("ok 0", "put", 0, 500)
        equal(driver.number("allocations", 0, 500), 0, "allocations")


@test
def nothing_to_read():
    "what is in a store cannot be read there, and the key is nowhere"
    with folder() as top, Driver(top) as driver:
        driver.open(top + "/store", limit=32)
        driver.expect("ok 0", "put", 0, 1000)
        driver.expect("ok 0", "close")
        with open(top + "/table", "rb") as file:
            table = file.read(100)
        with open(top + "/store", "rb") as file:
            stored = file.read()
        # is_made, identity, key.
        identity, key = table[1:17], table[17:49]
        assert identity in stored and key not in stored and TEXT[:20] not in stored
    with folder() as top, Driver(top) as driver:
        driver.open(top + "/store", limit=32, plain=1)
        driver.expect("ok 0", "put", 0, 1000)
        with open(top + "/store", "rb") as file:
            assert TEXT[:20] in file.read()


main()
