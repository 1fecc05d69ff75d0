#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Traces of requests: what is in the file, who may read it, where it may be, how it ends."""
import re
import stat
import threading

from controltest import *

REQUESTS = 200 if os.environ.get("ZSBLK_SHORT") else 2000
LINE = re.compile(r"(\d+\.\d{3}) ([RWDZrwdzL]) (\d+) (\d+)")


def start(control, path, **more):
    return call(control, DEVICE + "StartTrace", {"file": path, **more})


def stop(control):
    return call(control, DEVICE + "StopTrace")["trace"]


def lines(path):
    with open(path, encoding="ascii") as f:
        text = f.read()
    assert text.startswith("# zsblk trace 1\n") and text.endswith("\n"), text[:200]
    events = []
    for line in text.splitlines():
        if not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            events.append((float(match[1]), match[2], int(match[3]), int(match[4])))
    return events


@test
def events():
    "each request has its line, in order, with its time"
    with folder() as path, server() as (one, control):
        file = os.path.join(path, "trace")
        handle = one.connect()
        handle.pwrite(bytes(BLOCK), 0)
        equal(call(control, DEVICE + "GetTrace"), {})
        start(control, file)
        began = time.monotonic()
        handle.pwrite(TEXT * 2, 8 * BLOCK)
        handle.pread(BLOCK, 9 * BLOCK)
        handle.pread(100, 5)
        time.sleep(0.05)
        handle.trim(2 * BLOCK, 8 * BLOCK)
        handle.zero(4096, 2048)
        took = (time.monotonic() - began) * 1000
        equal(call(control, DEVICE + "GetTrace")["trace"]["state"], "running")
        told = stop(control)
        found = lines(file)
        equal([event[1:] for event in found], [("W", 8, 2), ("R", 9, 1), ("r", 0, 1), ("D", 8, 2), ("z", 0, 2)])
        times = [event[0] for event in found]
        assert times == sorted(times) and 50 <= times[3] - times[2] <= took, times
        equal((told["state"], told["requests"], told["lost"], told["bytes"], told["file"]),
              ("ended", 5, 0, os.path.getsize(file), file))
        equal(stat.S_IMODE(os.stat(file).st_mode), 0o600)
        handle.pread(BLOCK, 0)
        equal(call(control, DEVICE + "GetTrace")["trace"], told)


@test
def under_load():
    "many connections at once: what is in the file and what was lost are all requests"
    with folder() as path, server() as (one, control):
        file = os.path.join(path, "trace")
        start(control, file)
        handles = [one.connect() for _ in range(4)]

        def work(handle, seed):
            rng = random.Random(seed)
            for _ in range(REQUESTS):
                handle.pwrite(TEXT, rng.randrange(1000) * BLOCK)

        threads = [threading.Thread(target=work, args=(handle, i)) for i, handle in enumerate(handles)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = stop(control)
        found = lines(file)
        equal(sum(event[1] == "W" for event in found), told["requests"])
        equal(sum(event[3] for event in found if event[1] == "L"), told["lost"])
        equal(told["requests"] + told["lost"], 4 * (REQUESTS))


@test
def full():
    "a trace that has its most bytes ends, and another one can begin"
    with folder() as path, server() as (one, control):
        file = os.path.join(path, "trace")
        start(control, file, max_bytes=4096)
        handle = one.connect()
        for i in range(400):
            handle.pwrite(TEXT, i * BLOCK)
        wait_for(lambda: call(control, DEVICE + "GetTrace")["trace"]["state"] == "full", "the end")
        size = os.path.getsize(file)
        assert 3800 < size <= 4096, size
        told = stop(control)
        equal((told["state"], told["bytes"], told["requests"]), ("full", size, sum(e[1] == "W" for e in lines(file))))
        start(control, file + "2")
        handle.pwrite(TEXT, 0)
        equal(stop(control)["requests"], 1)


@test
def refusals():
    "a file that is there, a folder of others, a second trace, a path that is none"
    with folder() as path, server() as (one, control):
        file = os.path.join(path, "trace")
        with open(file, "w", encoding="ascii") as f:
            f.write("mine")

        def refused(name, pattern, **more):
            kind, told = error(control, DEVICE + "StartTrace", {"file": name, **more})
            assert kind in (DEVICE + "Refused", DEVICE + "Failed", DEVICE + "InUse"), kind
            assert re.search(pattern, told["reason"]), told

        refused(file, "exists; remove it")
        os.symlink(os.path.join(path, "elsewhere"), os.path.join(path, "link"))
        refused(os.path.join(path, "link"), "exists; remove it")
        refused("trace", "begins with /")
        refused(path + "/", "begins with /")
        refused("/" + "a" * 400, "too long")
        refused("/no/such/trace", "No such file")
        refused(os.path.join(path, "small"), "too few", max_bytes=100)
        refused(os.path.join(path, "small"), "too few", max_bytes=-1)
        open_folder = os.path.join(path, "open")
        os.mkdir(open_folder)
        for mode in (0o777, 0o1777, 0o770):
            os.chmod(open_folder, mode)
            refused(os.path.join(open_folder, "trace"), "others can write in this folder")
        equal(os.listdir(open_folder), [])
        with open(file, encoding="ascii") as f:
            equal(f.read(), "mine")
        assert not os.path.exists(os.path.join(path, "elsewhere"))
        start(control, file + "2")
        refused(file + "3", "stop it first")
        equal(sorted(os.listdir(path)), ["link", "open", "trace", "trace2"])


@test
def ends_with_server():
    "a server that ends leaves a whole trace"
    with folder() as path:
        file = os.path.join(path, "trace")
        with server() as (one, control):
            start(control, file)
            one.connect().pwrite(TEXT, 0)
        equal([event[1:] for event in lines(file)], [("W", 0, 1)])


main()
