#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""control=SOCKET: what it tells of a device, what it changes in use, and jobs beside requests."""
import re
import threading

from controltest import *


# ---------------------------------------------------------------- what it tells

@test
def service():
    "it tells of itself, and has the text of its interface"
    with server() as (_, control):
        info = call(control, SERVICE + "GetInfo")
        equal(info["interfaces"], ["org.varlink.service", "org.zsblk.Device"], "interfaces")
        equal((info["vendor"], info["product"]), ("zsblk", "nbdkit"), "vendor and product")
        with open(os.path.join(SOURCE, "src/varlink/org.zsblk.Device.varlink"), encoding="ascii") as f:
            equal(call(control, SERVICE + "GetInterfaceDescription", {"interface": "org.zsblk.Device"})["description"], f.read())
        equal(error(control, SERVICE + "GetInterfaceDescription", {"interface": "org.none"}),
              (SERVICE + "InterfaceNotFound", {"interface": "org.none"}))


@test
def varlinkctl():
    "systemd's varlinkctl finds no fault with the interface, and calls it"
    need("varlinkctl")
    run("varlinkctl", "validate-idl", os.path.join(SOURCE, "src/varlink/org.zsblk.Device.varlink"))
    run("varlinkctl", "validate-idl", os.path.join(SOURCE, "src/varlink/org.zsblk.Daemon.varlink"))
    with server() as (_, control):
        contains(run("varlinkctl", "info", control), "org.zsblk.Device")
        contains(run("varlinkctl", "introspect", control, "org.zsblk.Device"), "method GetDescription(")
        told = json.loads(run("varlinkctl", "call", "--json=short", control, DEVICE + "GetDescription", "{}"))
        equal(told, call(control, DEVICE + "GetDescription") | {"ages_since_s": told["ages_since_s"]})
        contains(run("varlinkctl", "call", control, DEVICE + "SetMemoryLimit", '{"bytes": -1}', status=1), "Refused", "makes no sense")
        job = json.loads(run("varlinkctl", "call", "--json=short", control, DEVICE + "Check", "{}"))["job"]
        contains(run("varlinkctl", "call", "--more", "--json=short", control, DEVICE + "WaitJob", json.dumps({"job": job})), '"state":"done"')


def returned_members(text, method):
    """Of a method's reply: names that must be there, and all names, as the interface has them."""
    body = re.search(rf"^method {method}\(.*?\) -> \((.*?)\)$", text, flags=re.S | re.M)[1]
    members = re.findall(r"(\w+): (\??)", body)
    return {name for name, optional in members if not optional}, {name for name, _ in members}


@test
def description():
    "the description is what was asked for, and has the members that the interface says"
    with server("algorithm=zstd", "level=2", "mem-limit=64M", "reserve=4M", "lock=no") as (one, control):
        told = call(control, DEVICE + "GetDescription")
        text = call(control, SERVICE + "GetInterfaceDescription", {"interface": "org.zsblk.Device"})["description"]
    needed, known = returned_members(text, "GetDescription")
    assert needed <= set(told) <= known, set(told) ^ needed
    equal({key: told[key] for key in ("pid", "transport", "memory", "size", "max_size", "block_size", "algorithm", "level", "mem_limit",
                                      "reserve", "background_cpu", "lock")},
          {"pid": told["pid"], "transport": "nbdkit", "memory": "anon", "size": 256 * MiB, "max_size": 256 * MiB, "block_size": 4096,
           "algorithm": "zstd", "level": 2, "mem_limit": 64 * MiB, "reserve": 4 * MiB, "background_cpu": 10, "lock": "no"})
    assert abs(told["started_s"] - time.time()) < 600, told["started_s"]


@test
def statistics():
    "statistics are those of the file, which has percentiles besides"
    with folder() as path, server(f"stats={path}/stats") as (one, control):
        handle = one.connect()
        handle.pwrite(pages(100, 1), 0)
        told = call(control, DEVICE + "GetStatistics")["statistics"]
        equal(told["writes"], 1, "writes")

        def is_in_file():
            with open(f"{path}/stats", encoding="ascii") as f:
                lines = dict(line.split("=") for line in f.read().splitlines())
            return {name: int(value) for name, value in lines.items()
                    if name not in ("disksize", "algorithm", "level") and not re.fullmatch(r"(read|write)_p[0-9]+_ns", name)} == \
                call(control, DEVICE + "GetStatistics")["statistics"]
        wait_for(is_in_file, "the same in the file")


@test
def memory():
    "all memory is told, and its parts add up"
    with server() as (one, control):
        one.connect().pwrite(pages(1000, 2), 0)
        told = call(control, DEVICE + "GetMemory")["memory"]
        names = list(told)
        segment = names.index("segment")
        equal(sum(told[name] for name in names[:segment]), told["segment"], "the segment")
        equal(sum(told[name] for name in names[segment:names.index("total")]), told["total"], "all of it")


@test
def classes_in_parts():
    "classes come in parts, and their objects are the blocks that are stored"
    with server() as (one, control):
        one.connect().pwrite(pages(1000, 2), 0)
        found, first = [], 0
        while first is not None:
            part = call(control, DEVICE + "GetClasses", {"first": first, "count": 100})
            assert len(part["classes"]) <= 100
            found += part["classes"]
            first = part.get("next")
        equal([c["index"] for c in found], list(range(len(found))), "indices")
        stats = call(control, DEVICE + "GetStatistics")["statistics"]
        assert sum(c["objects"] for c in found) >= stats["blocks_stored"] > 500
        for c in found:
            assert c["objects"] <= c["capacity"]
        equal(error(control, DEVICE + "GetClasses", {"first": -1})[0], DEVICE + "Refused")
        equal(call(control, DEVICE + "GetClasses", {"first": 1 << 40})["classes"], [])


@test
def blocks():
    "blocks are told as they are stored, and as many as fit into a reply"
    with server() as (one, control):
        handle = one.connect()
        handle.pwrite(b"\x33" * BLOCK, 5 * BLOCK)
        handle.pwrite(random.Random(1).randbytes(BLOCK), 6 * BLOCK)
        handle.pwrite(TEXT, 7 * BLOCK)
        handle.pwrite(bytes(BLOCK), 9 * BLOCK)
        reply = call(control, DEVICE + "GetBlocks", {"first": 0, "count": 100})
        equal([(b["block"], b["state"], b.get("algorithm")) for b in reply["blocks"][:3]],
              [(5, "same", None), (6, "raw", None), (7, "compressed", "lz4")])
        handle.pwrite(pages(2000, 3), MiB)
        seen, first = set(), 0
        while first is not None:
            reply = call(control, DEVICE + "GetBlocks", {"first": first, "count": 1 << 40})
            assert len(reply["blocks"]) <= 512
            seen |= {b["block"] for b in reply["blocks"]}
            first = reply.get("next")
        stats = call(control, DEVICE + "GetStatistics")["statistics"]
        equal(len(seen), stats["orig_data_size"] // BLOCK, "blocks that hold something")


@test
def latencies():
    "latencies are told for each kind of work, or for one, and add up"
    with server() as (one, control):
        handle = one.connect()
        for block in range(2000):
            handle.pwrite(TEXT, block * BLOCK)
        told = call(control, DEVICE + "GetLatencies")["latencies"]
        equal([one["what"] for one in told], ["read", "write", "discard", "compress", "decompress"])
        for one in told:
            equal(sum(b["count"] for b in one["buckets"]), one["count"], one["what"])
            assert all(b["count"] for b in one["buckets"])
        write = call(control, DEVICE + "GetLatencies", {"what": "write"})["latencies"]
        equal(len(write), 1)
        assert 0 < write[0]["count"] <= 2000 and 0 < write[0]["max_ns"] <= write[0]["sum_ns"], write
        equal(error(control, DEVICE + "GetLatencies", {"what": "other"}),
              (SERVICE + "InvalidParameter", {"parameter": "what"}))


# ---------------------------------------------------------------- what it changes

@test
def limit():
    "the limit changes in use, below what is stored as well"
    with server("lock=no") as (one, control):
        handle = one.connect()
        noise = random.Random(3).randbytes(2 * MiB)
        handle.pwrite(noise, 0)
        call(control, DEVICE + "SetMemoryLimit", {"bytes": MiB})
        equal(call(control, DEVICE + "GetDescription")["mem_limit"], MiB)
        try:
            handle.pwrite(noise, 16 * MiB)
            raise AssertionError("it was written")
        except nbd.Error as e:
            equal(e.errnum, 28, "errno")
        equal(handle.pread(2 * MiB, 0), noise)
        call(control, DEVICE + "SetMemoryLimit", {"bytes": 0})
        handle.pwrite(noise, 16 * MiB)
        equal(error(control, DEVICE + "SetMemoryLimit", {"bytes": -1})[0], DEVICE + "Refused")


@test
def peak():
    "the highest memory is set back"
    with server() as (one, control):
        handle = one.connect()
        handle.pwrite(random.Random(3).randbytes(MiB), 0)
        handle.trim(MiB, 0)
        before = call(control, DEVICE + "GetStatistics")["statistics"]["mem_used_max"]
        call(control, DEVICE + "ResetPeak")
        assert call(control, DEVICE + "GetStatistics")["statistics"]["mem_used_max"] < before


@test
def algorithm():
    "the algorithm changes under load, and what was written before stays readable"
    with server() as (one, control):
        handle = one.connect()
        data = pages(500, 4)
        handle.pwrite(data, 0)
        call(control, DEVICE + "SetAlgorithm", {"algorithm": "zstd", "level": 3})
        told = call(control, DEVICE + "GetDescription")
        equal((told["algorithm"], told["level"]), ("zstd", 3))
        handle.pwrite(data, len(data))
        equal(handle.pread(2 * len(data), 0), data + data)
        kinds = {b.get("algorithm") for b in call(control, DEVICE + "GetBlocks", {"first": 400, "count": 400})["blocks"]}
        assert {"lz4", "zstd"} <= kinds, kinds
        name, parameters = error(control, DEVICE + "SetAlgorithm", {"algorithm": "zstd", "level": 23})
        equal(name, DEVICE + "Refused")
        contains(parameters["reason"], "23")
        name, parameters = error(control, DEVICE + "SetAlgorithm", {"algorithm": "gzip"})
        equal(name, DEVICE + "Refused")
        contains(parameters["reason"], "gzip", "lz4")
        equal(call(control, DEVICE + "GetDescription")["algorithm"], "zstd")


@test
def resize():
    "the size changes, clients who connect later see it, and what holds data is not cut off"
    with server("max-size=512M") as (one, control):
        handle = one.connect()
        call(control, DEVICE + "Resize", {"size": 512 * MiB})
        equal(one.connect().get_size(), 512 * MiB, "size")
        handle = one.connect()
        handle.pwrite(b"x" * BLOCK, 300 * MiB)
        name, parameters = error(control, DEVICE + "Resize", {"size": 256 * MiB, "clients_know": True})
        equal(name, DEVICE + "Refused")
        equal(call(control, DEVICE + "GetDescription")["size"], 512 * MiB)
        handle.trim(BLOCK, 300 * MiB)
        name, parameters = error(control, DEVICE + "Resize", {"size": 256 * MiB})
        equal(name, DEVICE + "InUse")
        contains(parameters["reason"], "in use by NBD clients")
        equal(handle.pread(BLOCK, 300 * MiB), bytes(BLOCK))
        call(control, DEVICE + "Resize", {"size": 384 * MiB, "clients_know": True})
        one.disconnect()
        wait_for(lambda: not call(control, DEVICE + "GetDescription")["in_use"], "end of the clients")
        call(control, DEVICE + "Resize", {"size": 256 * MiB})
        equal(one.connect().get_size(), 256 * MiB, "size")
        equal(call(control, DEVICE + "GetDescription")["size"], 256 * MiB)
        for size in (0, -4096, 5000, 1 << 60):
            equal(error(control, DEVICE + "Resize", {"size": size})[0], DEVICE + "Refused", size)


@test
def reserve():
    "the reserve changes in use"
    with server("reserve=1M", "mem-limit=32M") as (one, control):
        call(control, DEVICE + "SetReserve", {"bytes": 4 * MiB})
        equal(call(control, DEVICE + "GetDescription")["reserve"], 4 * MiB)
        equal(error(control, DEVICE + "SetReserve", {"bytes": 64 * MiB})[0], DEVICE + "Refused")
        equal(error(control, DEVICE + "SetReserve", {"bytes": -1})[0], DEVICE + "Refused")
        call(control, DEVICE + "SetReserve", {"bytes": 0})
        equal(call(control, DEVICE + "GetDescription")["reserve"], 0)


@test
def ages():
    "blocks have an age, are marked as idle, and lose the mark when they are used"
    with server() as (one, control):
        handle = one.connect()
        handle.pwrite(TEXT, 0)
        handle.pwrite(TEXT, BLOCK)
        equal(call(control, DEVICE + "MarkIdle", {"older_than_s": 3600})["blocks"], 0)
        equal(call(control, DEVICE + "MarkIdle")["blocks"], 2)
        handle.pread(1, 0)
        found = call(control, DEVICE + "GetBlocks", {"first": 0, "count": 10})["blocks"]
        equal([b["idle"] for b in found], [False, True])
        ranges = call(control, DEVICE + "GetAges")["ages"]
        equal((sum(r["blocks"] for r in ranges), sum(r["idle"] for r in ranges)), (2, 1), "blocks and idle ones")
        equal(sum(r["bytes"] for r in ranges), call(control, DEVICE + "GetStatistics")["statistics"]["compr_data_size"])
        equal([r["from_s"] for r in ranges], sorted({r["from_s"] for r in ranges}), "ranges")
        equal(error(control, DEVICE + "MarkIdle", {"older_than_s": -1})[0], DEVICE + "Refused")


@test
def reset():
    "a reset frees all blocks, and is refused while a client is connected"
    with server() as (one, control):
        one.connect().pwrite(TEXT, 0)
        equal(call(control, DEVICE + "GetDescription")["in_use"], True)
        name, parameters = error(control, DEVICE + "Reset")
        equal(name, DEVICE + "InUse")
        contains(parameters["reason"], "NBD clients: 1")
        one.disconnect()
        wait_for(lambda: not call(control, DEVICE + "GetDescription")["in_use"], "end of the client")
        equal(call(control, DEVICE + "GetStatistics")["statistics"]["orig_data_size"], BLOCK)
        call(control, DEVICE + "Reset")
        equal(call(control, DEVICE + "GetStatistics")["statistics"]["orig_data_size"], 0)
        equal(one.connect().pread(5, 0), bytes(5))


@test
def reset_under_zsblkd():
    "no reset under zsblkd, and no smaller size, not even before the kernel has come back to a new server"
    with folder() as path:
        ENV["ZSBLK_PARAMETERS"] = f"control={path}/control"
        try:
            with Server("size=256M") as one:
                control = f"{path}/control"
                wait_for(lambda: is_listening(control), "control socket")
                one.connect().pwrite(TEXT, 0)
                one.disconnect()
                wait_for(lambda: not call(control, DEVICE + "GetDescription")["in_use"], "end of the client")
                name, parameters = error(control, DEVICE + "Reset")
                equal(name, DEVICE + "InUse")
                contains(parameters["reason"], "zsblkd")
                name, parameters = error(control, DEVICE + "Resize", {"size": 128 * MiB})
                equal(name, DEVICE + "InUse")
                contains(parameters["reason"], "zsblkctl resize")
                equal(one.connect().pread(5, 0), TEXT[:5])
        finally:
            del ENV["ZSBLK_PARAMETERS"]


# ---------------------------------------------------------------- jobs

@test
def compact():
    "a compaction frees what it says, and tells how far it is"
    with server("background-cpu=100") as (one, control):
        handle = one.connect()
        handle.pwrite(pages(4000, 5), 0)
        for block in range(0, 4000, 2):
            handle.trim(BLOCK, block * BLOCK)
        before = call(control, DEVICE + "GetStatistics")["statistics"]["mem_used_total"]
        job = call(control, DEVICE + "Compact")["job"]
        done = wait_job(control, job)
        equal((done["id"], done["kind"], done["state"]), (job, "compact", "done"))
        assert done["pages_freed"] > 0 and str(done["pages_freed"]) in done["text"], done
        assert call(control, DEVICE + "GetStatistics")["statistics"]["mem_used_total"] <= before - done["bytes_saved"]
        equal([j["id"] for j in call(control, DEVICE + "GetJobs")["jobs"]], [job])


@test
def recompress():
    "a recompression saves what it says, the blocks stay what they were, and wrong ones are refused"
    with server("background-cpu=100") as (one, control):
        handle = one.connect()
        data = pages(2000, 10)
        for at in range(0, len(data), MiB):
            handle.pwrite(data[at:at + MiB], at)
        before = call(control, DEVICE + "GetStatistics")["statistics"]["compr_data_size"]
        job = call(control, DEVICE + "Recompress", {"type": "all", "algorithm": "zstd", "level": 9})["job"]
        done = wait_job(control, job)
        equal((done["kind"], done["state"]), ("recompress", "done"))
        equal(before - call(control, DEVICE + "GetStatistics")["statistics"]["compr_data_size"], done["bytes_saved"])
        assert done["bytes_saved"] > 0
        equal(b"".join(handle.pread(min(MiB, len(data) - at), at) for at in range(0, len(data), MiB)), data)
        # Nothing is marked as idle.
        job = call(control, DEVICE + "Recompress", {"type": "idle"})["job"]
        equal(wait_job(control, job)["bytes_saved"], 0)
        for wrong, told in [({"algorithm": "gzip"}, "gzip"), ({"level": 23}, "23"), ({"threshold": 4097}, "4097"), ({"max_pages": -1}, "-1")]:
            name, parameters = error(control, DEVICE + "Recompress", {"type": "all", **wrong})
            equal(name, DEVICE + "Refused")
            contains(parameters["reason"], told)
        equal(error(control, DEVICE + "Recompress", {"type": "most"})[0], SERVICE + "InvalidParameter")


@test
def one_of_a_kind():
    "a job of a kind runs once at a time, goes on without its caller, and is cancelled"
    with server("background-cpu=1") as (one, control):
        fill(one.connect(), 20000, 6)
        with Client(control) as client:
            job = client.call(DEVICE + "Check")["parameters"]["job"]
        name, parameters = error(control, DEVICE + "Check")
        equal(name, DEVICE + "Busy")
        contains(parameters["reason"], f"job {job}")
        equal(call(control, DEVICE + "GetJobs")["jobs"][0]["state"], "running")
        with Client(control) as waiting:
            waiting.send(DEVICE + "WaitJob", {"job": job}, more=True)
            equal(waiting.receive()["continues"], True)
            call(control, DEVICE + "CancelJob", {"job": job})
            while (reply := waiting.receive()).get("continues"):
                pass
            equal(reply["parameters"]["job"]["state"], "cancelled")
            assert reply["parameters"]["job"]["done"] < reply["parameters"]["job"]["total"]
        equal(error(control, DEVICE + "WaitJob", {"job": job + 100})[0], DEVICE + "NoSuchJob")
        # The share changes in the middle.
        job = call(control, DEVICE + "Check")["job"]
        call(control, DEVICE + "SetBackgroundCpu", {"percent": 100})
        equal(wait_job(control, job)["state"], "done")
        for percent in (0, 101, -1):
            equal(error(control, DEVICE + "SetBackgroundCpu", {"percent": percent})[0], DEVICE + "Refused")


@test
def jobs_under_load():
    "checks and compactions beside requests find nothing wrong, and change nothing"
    with server("background-cpu=100", "lock=no") as (one, control):
        stop = threading.Event()
        wrong = []

        def load(number):
            handle, rng, model = one.connect(), random.Random(number), {}
            base = number * 4096
            while not stop.is_set():
                block = base + rng.randrange(2000)
                if rng.randrange(3) == 0:
                    handle.trim(BLOCK, block * BLOCK)
                    model[block] = bytes(BLOCK)
                elif rng.randrange(2):
                    model[block] = page(rng)
                    handle.pwrite(model[block], block * BLOCK)
                elif handle.pread(BLOCK, block * BLOCK) != model.get(block, bytes(BLOCK)):
                    wrong.append(block)
        threads = [threading.Thread(target=load, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                jobs = [call(control, DEVICE + kind)["job"] for kind in ("Check", "Compact")]
                for job in jobs:
                    equal(wait_job(control, job)["state"], "done")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        equal(wrong, [], "blocks")


@test
def stops_with_jobs():
    "a server that is told to end does not wait for its jobs, or for those who wait for them"
    with server("background-cpu=1") as (one, control):
        fill(one.connect(), 20000, 7)
        job = call(control, DEVICE + "Check")["job"]
        waiting = Client(control)
        waiting.send(DEVICE + "WaitJob", {"job": job})
        one.stop()
        assert waiting.is_closed()
        waiting.close()


main()
