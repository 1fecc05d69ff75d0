#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A server in a control group with a memory limit: writes fail before the limit is reached, and nobody is killed."""
from cgrouptest import *

NOISE = 160 * MiB
LIMIT = 96 * MiB


def fill(handle, start, end, rng):
    """Write noise until that is refused; what was written, by offset."""
    written = {}
    for offset in range(start, end, MiB // 4):
        data = rng.randbytes(MiB // 4)
        try:
            handle.pwrite(data, offset)
        except nbd.Error as error:
            equal(error.errnum, 28, "errno (ENOSPC)")
            return written
        written[offset] = data
    return written


def fill_and_check(*params, reserve=None):
    rng = random.Random(5)
    if nbd is None:
        raise Skip("python3-libnbd is not installed")
    with Group(LIMIT) as group:
        words = ["1G", "lock=no", *params, *([f"reserve={reserve}"] if reserve is not None else [])]
        with Server(*words, wrap=group.inside()) as server:
            handle = server.connect()
            written = fill(handle, 0, NOISE, rng)
            stored = len(written) * MiB // 4
            say(f"{stored / MiB} MiB stored, {group.usage() / MiB:.1f} MiB in use")
            assert 32 * MiB < stored < LIMIT, f"{stored} bytes stored"
            for _ in range(20):  # refused again and again
                assert not fill(handle, NOISE, NOISE + MiB, rng), "written all the same"
            for offset, data in written.items():
                equal(handle.pread(len(data), offset) == data, True, f"contents at {offset}")
            # Freed space is used again.
            handle.trim(stored // 2, 0)
            wait_for(lambda: len(fill(handle, 512 * MiB, 512 * MiB + 8 * MiB, rng)) == 32, "writes after a discard")
            # A limit that is raised is seen.
            group.set_limit(LIMIT + 48 * MiB)
            wait_for(lambda: len(fill(handle, 600 * MiB, 600 * MiB + stored // 2 + 16 * MiB, rng)) * MiB // 4 > stored // 2,
                     "writes below the higher limit")
            equal(group.kills(), 0, "processes killed")
            contains(server.log(), "96 MiB", "control group", "ENOSPC")


@test
def anonymous_memory():
    "memory=anon: writes are refused before the group's limit, nothing is lost"
    fill_and_check()


@test
def without_reserve():
    "reserve=0: the same"
    fill_and_check(reserve=0)


@test
def shared_segment():
    "memory=shm: the same"
    with shm_key() as key:
        fill_and_check(f"memory=shm:{key:#x}")


@test
def mem_limit_below():
    "a mem-limit below the group's limit is nothing to be told of"
    with Group(LIMIT) as group, Server("1G", "lock=no", "mem-limit=32M", wrap=group.inside()) as server:
        assert "control group" not in server.log(), server.log()


@test
def too_small():
    "a limit below which nothing could be stored is refused, with what is needed"
    with Group(32 * MiB) as group:
        contains(refuse("1G", "lock=no", "reserve=40M", wrap=group.inside()), "32 MiB", "reserve=41943040", "at least")
    with Group(32 * MiB) as group, Server("1G", "lock=no", wrap=group.inside()) as server:
        server.connect().pwrite(bytes(range(256)) * 4096, 0)  # the default reserve follows the limit


@test
def beside_one_at_its_cap():
    "a server that is tried beside one at its cap comes up, although the trial's own processes use a part of the margin"
    rng = random.Random(6)
    with Group(LIMIT) as group, Server("1G", "lock=no", wrap=group.inside()) as server:
        fill(server.connect(), 0, NOISE, rng)
        # An eighth of the limit is the margin, of which 7.5 MiB are left, and 4 or 5 when the other server has been loaded: fewer
        # than half.
        program = """if True:
            import sys
            held = []
            def left():
                with open(sys.argv[1]) as f:
                    return int(sys.argv[2]) - int(f.read())
            while left() > 7.5 * 1048576:
                held.append(bytearray(b"x") * 262144)
            print(left(), flush=True)
            sys.stdin.read()"""
        usage = os.path.join(group.path, group.names[1])
        with subprocess.Popen([*group.inside(), sys.executable, "-c", program, usage, str(LIMIT)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as other:
            say(f"{int(other.stdout.readline()) / MiB:.1f} MiB left")
            with Server("16M", "lock=no", "reserve=0", wrap=group.inside()):
                pass
            other.stdin.close()
        equal(group.kills(), 0, "processes killed")


main()
