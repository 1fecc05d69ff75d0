#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""stats=FILE, and the line at the end of a verbose log."""
import re

from zsblktest import *


def read_stats(path):
    with open(path, encoding="ascii") as f:
        text = f.read()
    assert text.endswith("\n"), "half a file"
    return {k: int(v) if re.fullmatch(r"-?\d+", v) else v
            for k, v in (line.split("=") for line in text.splitlines())}


ZRAM = ["orig_data_size", "compr_data_size", "mem_used_total", "mem_limit", "mem_used_max", "same_pages",
        "pages_compacted", "huge_pages", "huge_pages_since"]


@test
def figures():
    "the figures follow what was written"
    with folder() as path:
        stats = os.path.join(path, "stats")
        with Server("1G", "mem-limit=256M", "algorithm=zstd", "level=1", f"stats={stats}") as server:
            wait_for(lambda: os.path.exists(stats), "the file")
            first = read_stats(stats)
            for name in ZRAM:
                assert name in first, name
            equal((first["disksize"], first["mem_limit"], first["algorithm"], first["level"]),
                  (GiB, 256 * MiB, "zstd", 1), "what it is")
            equal(first["orig_data_size"], 0, "at the start")
            handle = server.connect()
            text = (b"some text that compresses well " * 200)[:BLOCK]
            for i in range(100):
                handle.pwrite(text, i * BLOCK)
            handle.pwrite(random.Random(1).randbytes(10 * BLOCK), MiB)
            handle.pwrite(b"\x33" * 5 * BLOCK, 2 * MiB)
            handle.pwrite(bytes(7 * BLOCK), 3 * MiB)
            now = wait_for(lambda: (lambda s: s["write_bytes"] == 122 * BLOCK and s)(read_stats(stats)),
                           "update of the file")
            equal(now["orig_data_size"], 115 * BLOCK, "orig_data_size")
            equal(now["huge_pages"], 10, "huge_pages")
            equal(now["same_pages"], 5, "same_pages")
            equal(now["writes"], 103, "writes")
            # One in 16 is timed.
            for i in range(300):
                handle.pread(BLOCK, i % 100 * BLOCK)
                handle.pwrite(text, i % 100 * BLOCK)
            now = wait_for(lambda: (lambda s: s["writes"] == 403 and s)(read_stats(stats)), "update of the file")
            for what in ("read", "write"):
                assert 0 < now[f"{what}_p50_ns"] <= now[f"{what}_p99_ns"] < 60e9, now
            assert 10 * BLOCK < now["compr_data_size"] < 20 * BLOCK, now["compr_data_size"]
            assert now["mem_used_total"] >= now["compr_data_size"], now["mem_used_total"]
            handle.trim(4 * MiB, 0)
        last = read_stats(stats)
        equal(last["orig_data_size"], 0, "at the end")
        equal(last["discards"], 1, "discards")
        equal(os.listdir(path), ["stats"], "files")


@test
def not_through_links():
    "what has the name of the temporary file is replaced, and never written to"
    with folder() as path:
        stats, victim = os.path.join(path, "stats"), os.path.join(path, "victim")
        for make in (os.link, os.symlink):
            with open(victim, "w", encoding="ascii") as f:
                f.write("precious")
            make(victim, f"{stats}.tmp")
            with Server("1G", f"stats={stats}"):
                wait_for(lambda: os.path.exists(stats), "the file")
            with open(victim, encoding="ascii") as f:
                equal(f.read(), "precious", "another file, under the name of the temporary one")
            os.unlink(stats)


@test
def relative_path():
    "a relative file name, and the server in the background"
    with folder() as path:
        with Server("1G", "stats=here", background=True, cwd=path) as server:
            server.connect().pwrite(b"x", 0)
        equal(read_stats(os.path.join(path, "here"))["writes"], 1, "writes")


@test
def documented():
    "every figure is in the manual page"
    with folder() as path, open(os.path.join(SOURCE, "man/nbdkit-zsblk-plugin.1"), encoding="utf-8") as f:
        man = f.read()
        with Server("1G", f"stats={path}/stats"):
            wait_for(lambda: os.path.exists(f"{path}/stats"), "the file")
        in_man = set(re.findall(r"^\.It Va (.*)$", man.split(".Sh STATISTICS", 1)[1].split(".Sh ")[0], re.M))
        equal(set(" , ".join(in_man).split(" , ")), set(read_stats(f"{path}/stats")), "figures")


@test
def always_whole():
    "a reader never finds half a file"
    with folder() as path:
        stats = os.path.join(path, "stats")
        with Server("64M", f"stats={stats}") as server:
            handle = server.connect()
            deadline = time.monotonic() + 2.5
            seen = set()
            wait_for(lambda: os.path.exists(stats), "the file")
            while time.monotonic() < deadline:
                handle.pwrite(b"x" * BLOCK, random.randrange(1000) * BLOCK)
                seen.add(read_stats(stats)["writes"])
            assert 2 <= len(seen) <= 5, f"{len(seen)} versions in 2.5 s"


@test
def trouble():
    "a file that cannot be written is reported, requests go on, and it comes back"
    with folder() as path:
        inner = os.path.join(path, "inner")
        os.mkdir(inner)
        with Server("64M", f"stats={inner}/stats") as server:
            handle = server.connect()
            shutil.rmtree(inner)
            handle.pwrite(b"x", 0)
            wait_for(lambda: "cannot be written" in server.log(), "message")
            contains(server.log(), f"stats={inner}/stats", "No such file or directory")
            equal(handle.pread(1, 0), b"x")
            os.mkdir(inner)
            handle.pwrite(b"y", 0)
            wait_for(lambda: os.path.exists(f"{inner}/stats"), "the file")
            equal(server.log().count("cannot be written"), 1, "messages")


@test
def verbose_end():
    "nbdkit -v ends with the columns of mm_stat"
    with Server("64M", options=["-v"]) as server:
        server.connect().pwrite(b"\x33" * 3 * BLOCK, 0)
        log = server.logfile
        server.stop()
        with open(log, encoding="utf-8", errors="replace") as f:
            line = re.search(r"mm_stat: (.*)", f.read()).group(1)
        columns = [int(c) for c in line.split()]
        equal(len(columns), len(ZRAM), "columns")
        equal((columns[0], columns[5]), (3 * BLOCK, 3), "orig_data_size and same_pages")


main()
