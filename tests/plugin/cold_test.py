#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Cold blocks: packed by the policy and by hand, read back, through kills, and what is set in use."""
from controltest import *

SOON = ("cold=yes", "cold-after=1s", "frozen-after=2s", "background-cpu=100", "reserve=0")
BLOCKS = 2000


def need_lzma():
    if not re.search(r"^ +lzma ", run("nbdkit", PLUGIN, "--help", env=ENV), re.M):
        raise Skip("the plugin has no LZMA")


def statistics(control):
    return call(control, DEVICE + "GetStatistics")["statistics"]


def cold(control):
    return call(control, DEVICE + "GetCold")["cold"]


def neighbours(blocks, seed):
    """Blocks that compress, and the better with their neighbours."""
    rng = random.Random(seed)
    words = [rng.randbytes(24) for _ in range(60)]
    return b"".join(b"".join(rng.choice(words) for _ in range(171))[:BLOCK] for _ in range(blocks))


def put(handle, data):
    for at in range(0, len(data), MiB):
        handle.pwrite(data[at:at + MiB], at)


def get(handle, bytes_):
    return b"".join(handle.pread(min(MiB, bytes_ - at), at) for at in range(0, bytes_, MiB))


def wait_frozen(control, blocks):
    wait_for(lambda: cold(control)["frozen_blocks"] >= blocks, "frozen blocks", 120)


@test
def packs():
    "what nobody uses is packed and then frozen, takes less, and reads as before; what is written comes out"
    need_lzma()
    with server("cold=yes", "cold-after=1s", "frozen-after=1h", "background-cpu=100", "reserve=0") as (one, control):
        handle, data = one.connect(), neighbours(BLOCKS, 1)
        put(handle, data)
        before = statistics(control)["compr_data_size"]
        wait_for(lambda: cold(control)["cold_blocks"] >= BLOCKS * 9 // 10, "cold blocks", 120)
        call(control, DEVICE + "SetCold", {"frozen_after_s": 2})
        wait_frozen(control, BLOCKS * 9 // 10)
        after, told = statistics(control), cold(control)
        assert after["groups"] > 0 and after["group_blocks"] > BLOCKS * 9 // 10, after
        assert after["compr_data_size"] < before, (before, after)
        equal(told["on"], True)
        assert told["bytes_saved"] > 0 and told["steps"] >= 2 and told["packed_24h"] > 0, told
        contains(told["last"], "were")
        equal(get(handle, len(data)), data)
        assert statistics(control)["cold_reads"] > 0
        new = neighbours(16, 2)
        handle.pwrite(new, 0)
        handle.trim(16 * BLOCK, 32 * BLOCK)
        data = new + data[16 * BLOCK:32 * BLOCK] + bytes(16 * BLOCK) + data[48 * BLOCK:]
        equal(get(handle, len(data)), data)
        job = call(control, DEVICE + "Check")["job"]
        equal(wait_job(control, job)["state"], "done")


@test
def without_a_socket():
    "the policy needs no control socket"
    need_lzma()
    with folder() as path:
        stats = os.path.join(path, "stats")
        with Server("64M", *SOON, f"stats={stats}") as one:
            handle, data = one.connect(), neighbours(BLOCKS, 3)
            put(handle, data)

            def packed():
                with open(stats, encoding="ascii") as file:
                    return int(re.search(r"^group_blocks=(\d+)$", file.read(), re.M).group(1)) > BLOCKS * 9 // 10
            wait_for(packed, "groups", 120)
            equal(get(handle, len(data)), data)


@test
def killed():
    "killed again and again while blocks are packed: all of them are there, and what was set in use counts"
    need_lzma()
    # All of these can be read in a second without stopping the policy, and to pack them takes seconds.
    blocks, parameters = 480, ("256M", "lock=no", "reserve=0", "background-cpu=4")
    with shm_key() as key, folder() as path:
        control, parameters = os.path.join(path, "control"), (*parameters, f"memory=shm:{key:#x}")
        data = neighbours(blocks, 4)
        for turn in range(2 if os.environ.get("ZSBLK_SHORT") else 3):
            with listening(control, *parameters) as one:
                handle = one.connect()
                if turn == 0:
                    put(handle, data)
                    call(control, DEVICE + "SetCold", {"on": True, "cold_after_s": 1, "frozen_after_s": 2})
                told = cold(control)
                equal((told["on"], told["cold_after_s"], told["frozen_after_s"]), (True, 1, 2))
                if turn:
                    contains(one.log(), "cold=yes cold-after=1s frozen-after=2s")
                equal(get(handle, len(data)), data)
                part = neighbours(60, 10 + turn)
                at = turn * 100 * BLOCK
                handle.pwrite(part, at)
                data = data[:at] + part + data[at + len(part):]
                wait_for(lambda: cold(control)["state"] == "working", "a step")
                time.sleep(random.Random(turn).uniform(0, 1))
                one.kill()
        with listening(control, *parameters) as one:
            handle = one.connect()
            equal(get(handle, len(data)), data)
            wait_for(lambda: cold(control)["steps"] > 0 and statistics(control)["groups"] > 0, "groups", 120)
            equal(get(handle, len(data)), data)
        # Somebody decides anew.
        with listening(control, *parameters, "cold-after=10m") as one:
            told = cold(control)
            # What is frozen follows from what is cold, if nothing else was given.
            equal((told["on"], told["cold_after_s"], told["frozen_after_s"]), (True, 600, 9600), "settings")


@test
def settings():
    "settings: told, changed all or none, and refused with the value and what would be right"
    need_lzma()
    with server("cold-after=20m", "cold-budget=1G") as (_, control):
        told = cold(control)
        equal({name: told[name] for name in ("on", "cold_after_s", "cold_algorithm", "frozen_after_s", "frozen_algorithm", "rate",
                                             "budget", "state", "text", "steps")},
              {"on": False, "cold_after_s": 1200, "cold_algorithm": "zstd:9", "frozen_after_s": 19200, "frozen_algorithm": "lzma:1",
               "rate": 0, "budget": 1 << 30, "state": "off", "text": "off", "steps": 0})
        call(control, DEVICE + "SetCold", {"on": True, "rate": MiB, "frozen_after_s": 0, "cold_algorithm": "zstd:12"})
        wait_for(lambda: cold(control)["state"] == "waiting", "the policy")
        told = cold(control)
        equal((told["on"], told["rate"], told["frozen_after_s"], told["cold_algorithm"]), (True, MiB, 0, "zstd:12"))
        # How long, depends on the memory pressure of this machine.
        contains(told["text"], "waiting for blocks that nobody uses for ")
        for wrong, parts in [({"cold_after_s": 0}, ["cold-after=0", "90s"]), ({"cold_after_s": -5}, ["cold-after=-5"]),
                             ({"cold_algorithm": "gzip:1"}, ["gzip:1"]), ({"frozen_algorithm": "zstd:99"}, ["zstd:99", "give one from"]),
                             ({"rate": -1}, ["cold-rate=-1"]), ({"rate": 5, "frozen_after_s": 60}, ["frozen-after=1m", "cold-after=20m"])]:
            name, parameters = error(control, DEVICE + "SetCold", wrong)
            equal(name, DEVICE + "Refused")
            contains(parameters["reason"], *parts)
        equal(cold(control)["rate"], MiB, "nothing of what was refused")
        equal(error(control, DEVICE + "SetCold", {"cold": "yes"})[0], SERVICE + "InvalidParameter")
        call(control, DEVICE + "SetCold", {"on": False})
        wait_for(lambda: cold(control)["state"] == "off", "the end of the policy")


@test
def refused_parameters():
    "parameters that cannot be are refused before there is a server"
    need_lzma()
    for parameter, parts in [("cold=maybe", ["cold=maybe", "yes or no"]), ("cold-after=never", ["cold-after=never", "90s"]),
                             ("cold-algorithm=zstd:x", ["zstd:x", "zstd"]), ("frozen-after=15m", ["frozen-after=15m", "cold-after=15m"]),
                             ("cold-rate=fast", ["cold-rate=fast"])]:
        contains(refuse("64M", parameter), *parts)


@test
def for_single_blocks():
    "an algorithm that groups cannot be made with is refused at once, with those that there are"
    for key in "cold-algorithm", "frozen-algorithm":
        contains(refuse("64M", f"{key}=lz4"), f"{key}=lz4: groups cannot be made with lz4; give zstd")
    with server() as (_, control):
        for method, parameters in [("SetCold", {"cold_algorithm": "lz4hc:9"}), ("SetCold", {"frozen_algorithm": "lz4hc:9"}),
                                   ("Group", {"algorithm": "lz4hc"})]:
            name, why = error(control, DEVICE + method, parameters)
            equal(name, DEVICE + "Refused")
            contains(why["reason"], "groups cannot be made with lz4hc", "zstd")
        equal([job["kind"] for job in call(control, DEVICE + "GetJobs")["jobs"]], [])


@test
def by_hand():
    "a job packs, tells what it did, and is refused what cannot be; the policy gives way to it"
    need_lzma()
    with server("background-cpu=100", "reserve=0") as (one, control):
        handle, data = one.connect(), neighbours(BLOCKS, 5)
        put(handle, data)
        before = statistics(control)["compr_data_size"]
        done = wait_job(control, call(control, DEVICE + "Group", {"algorithm": "zstd", "level": 5})["job"])
        equal((done["kind"], done["state"]), ("group", "done"), done["text"])
        after = statistics(control)
        assert after["compr_data_size"] < before and done["bytes_saved"] > 0, (before, after, done)
        equal(after["groups"], done["groups"])
        assert done["groups"] >= BLOCKS // 17 and str(done["groups"]) in done["text"], done
        equal(get(handle, len(data)), data)
        # Nothing is that old.
        done = wait_job(control, call(control, DEVICE + "Group", {"older_than_s": 3600, "algorithm": "lzma"})["job"])
        equal((done["state"], done["groups"]), ("done", 0))
        for wrong, told in [({"algorithm": "gzip"}, "gzip"), ({"level": 23}, "23"), ({"older_than_s": -1}, "-1"), ({"max_groups": -1}, "-1")]:
            name, parameters = error(control, DEVICE + "Group", wrong)
            equal(name, DEVICE + "Refused")
            contains(parameters["reason"], told)


@test
def near_the_limit():
    "near the limit room is made beyond the budget, and what would not have fitted is written"
    data = neighbours(3000, 6)
    with server("background-cpu=100", "reserve=0") as (one, control):
        put(one.connect(), data)
        whole = statistics(control)["mem_used_total"]
    limit = whole * 7 // 8 // BLOCK * BLOCK
    # Ahead of need, one group may be made in a day.
    with server("background-cpu=100", "reserve=0", f"mem-limit={limit}", "cold=yes", "cold-after=1s", "cold-budget=64K") as (one, control):
        handle = one.connect()
        put(handle, data[:6 * MiB])
        wait_for(lambda: "are used up" in cold(control)["text"], "the end of the budget", 120)
        for at in range(6 * MiB, len(data), 64 * BLOCK):
            def write():
                try:
                    handle.pwrite(data[at:at + 64 * BLOCK], at)
                except nbd.Error:
                    return False
                return True
            # No write waits for the policy: whoever is refused comes again.
            wait_for(write, "room", 120)
        equal(get(handle, len(data)), data)
        wait_for(lambda: cold(control)["packed_24h"] > 64 * BLOCK, "groups beyond the budget", 120)
        assert cold(control)["bytes_saved"] > 0
        # A step may take a little more while it is under way.
        wait_for(lambda: statistics(control)["mem_used_total"] <= limit, "the limit", 120)


main()
