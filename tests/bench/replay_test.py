#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblk-bench --replay: figures that follow from a trace, against a second model; what traces it takes and refuses.

Usage: replay_test.py ZSBLK-BENCH
"""
import gzip
import json
import lzma
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "docs"))
import tap  # noqa: E402

BENCH = sys.argv[1]
SHORT = os.environ.get("ZSBLK_SHORT")


def run(trace, *options, stdin=None):
    return subprocess.run([BENCH, "--replay", trace, *options], input=stdin, capture_output=True, timeout=300)


def replay(trace, *options, **more):
    done = run(trace, *options, "--json", **more)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.decode(), "results": [None]}


class Folder:
    """Files of this test."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="zsblk-replay-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def write(self, name, content):
        path = os.path.join(self.path, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path


class Model:
    """What the man page says of the model, with a full search wherever the program is clever."""

    REACH = 4

    def __init__(self, cold_after, group, cache, rule):
        self.cold_after, self.size, self.keep, self.rule = cold_after * 1000000, group, cache, rule
        self.used, self.waiting, self.grouped = {}, set(), {}  # block: time; blocks; block: [group, was read]
        self.made, self.cache, self.swept = {}, [], 0
        self.number = 0
        self.figures = dict.fromkeys(["cold_reads", "decodes", "groups_made", "blocks_grouped", "blocks_out", "groups_apart"], 0)

    def sweep(self, now):
        for block in [b for b, t in self.used.items() if now - t >= self.cold_after]:
            del self.used[block]
            self.waiting.add(block)
        rest = sorted(self.waiting)
        while rest:
            near = [b for b in rest[:self.size] if b - rest[0] < self.size * self.REACH]
            if len(near) * 2 < self.size:
                rest = rest[1:]
                continue
            rest = rest[len(near):]
            self.number += 1
            self.made[self.number] = len(near)
            self.waiting -= set(near)
            self.grouped.update({b: [self.number, False] for b in near})
            self.figures["groups_made"] += 1
            self.figures["blocks_grouped"] += len(near)

    def leave(self, block):
        group = self.grouped.pop(block)[0]
        left = [b for b, (g, _) in self.grouped.items() if g == group]
        if len(left) * 2 <= self.made[group]:
            self.figures["groups_apart"] += bool(left)
            self.waiting.update(left)
            for one in left:
                del self.grouped[one]
            self.cache = [g for g in self.cache if g != group]

    def drop(self, block):
        self.used.pop(block, None)
        self.waiting.discard(block)
        if block in self.grouped:
            self.leave(block)

    def read(self, block, now):
        if block in self.grouped:
            group, was_read = self.grouped[block]
            self.figures["cold_reads"] += 1
            self.figures["decodes"] += group not in self.cache
            self.cache = ([group] + [g for g in self.cache if g != group])[:self.keep]
            self.grouped[block][1] = True
            if self.rule == "stay" or (self.rule == "second" and not was_read):
                return
            self.figures["blocks_out"] += 1
            self.leave(block)
        elif block in self.used or block in self.waiting:
            self.waiting.discard(block)
        else:
            return
        self.used.pop(block, None)
        self.used[block] = now

    def play(self, now, op, first, blocks):
        while now - self.swept >= 1000000:
            self.swept += 1000000
            self.sweep(self.swept)
        for block in range(first, first + blocks):
            if op == "R":
                self.read(block, now)
            else:
                self.drop(block)
            if op == "W":
                self.used[block] = now


def random_trace(seed, events):
    """Neighbours are written, read again and discarded, as swap does it."""
    rng, now, trace = random.Random(seed), 0, []
    for _ in range(events):
        now += rng.choice([0, 1000, 250000, 2000000])
        op = rng.choice("WWWRRRRD")
        first, blocks = rng.randrange(200), rng.choice([1, 1, 4, 24])
        trace.append((now, op, first, blocks))
    return trace


def text_of(trace):
    return "".join(f"{us // 1000}.{us % 1000:03} {op} {first} {blocks}\n" for us, op, first, blocks in trace)


def check_model(folder):
    for seed in range(2 if SHORT else 6):
        trace = random_trace(seed, 1500)
        path = folder.write("random", text_of(trace))
        rows = replay(path, "--cold-after", "3,20", "--group", "4,16", "--cache", "1,3",
                      "--read-rule", "stay,second,out")["results"]
        wrong = []
        for row in rows:
            model = Model(row["cold_after_s"], row["group_blocks"], row["cache_groups"], row["read_rule"])
            for event in trace:
                model.play(*event)
            wrong += [f"{key} of {row['cold_after_s']} s, {row['group_blocks']} blocks, {row['cache_groups']} groups, "
                      f"{row['read_rule']}: {row[key]}, and the model has {value}"
                      for key, value in model.figures.items() if row[key] != value]
        tap.none(wrong if len(rows) == 24 else ["not 24 settings"], f"24 settings as a second model has them, seed {seed}")


def check_known(folder):
    write = "0 W 0 32\n"
    reads = "".join(f"{10000 + i} R {i} 1\n" for i in range(32))
    path = folder.write("known", write + reads)
    row = replay(path, "--cold-after", "5s")["results"][0]
    tap.result(row and (row["cold_reads"], row["decodes"], row["groups_made"]) == (32, 2, 2),
               "neighbours that are read in order take one decode for each group", row)
    row = replay(path, "--cold-after", "5s", "--read-rule", "out")["results"][0]
    tap.result(row and (row["cold_reads"], row["blocks_out"], row["groups_apart"]) == (16, 16, 2),
               "a group is taken apart when half of it has come out", row)
    row = replay(path, "--cold-after", "15m")["results"][0]
    tap.result(row and row["cold_reads"] == 0 and row["memory"][-1]["single_blocks"] == 32, "what is not old enough stays single", row)
    row = replay(path, "--cold-after", "5s")["results"][0]
    tap.result(row and row["memory"][-1]["grouped_blocks"] == 32 and row["memory"][-1]["dead_blocks"] == 0,
               "the memory at the end: all in groups", row)
    row = replay(folder.write("last", "0 W 4294967280 16\n1 W 0 16\n60000 R 1 1\n"), "--cold-after", "5s")["results"][0]
    tap.result(row and row["memory"][-1]["grouped_blocks"] == 32, "the last block that there can be is like others", row)
    # 300,000 years: nobody waits for their seconds.
    row = replay(folder.write("years", "0 W 0 16\n9000000000000000 R 1 1\n"), "--cold-after", "5s")["results"][0]
    seconds = [moment["s"] for moment in row["memory"]] if row else []
    tap.result(row and row["memory"][-1]["grouped_blocks"] == 16 and seconds == sorted(set(seconds)) and 100 < len(seconds) <= 257,
               "a trace that spans ages", row and row["memory"][-2:], len(seconds))
    top = replay(folder.write("odd", "# a comment\n\n0 W 4294967295 1\n1 r 4294967295 1\n2 L 0 17\n1 Z 0 4294967296\n3.25 D 7 9 later\n"))
    tap.result(top.get("lost") == 17 and top.get("events") == 4 and top.get("reads") == 1 and top.get("seconds") == 0.003,
               "comments, the last block, lost requests, times that go back, further columns", top)


def check_sources(folder):
    trace = text_of(random_trace(1, 300))
    plain = replay(folder.write("plain", trace))
    same = [("a file of xz", replay(folder.write("trace.xz", lzma.compress(trace.encode())))),
            ("a file of gzip, whatever its name", replay(folder.write("trace", gzip.compress(trace.encode())))),
            ("standard input", replay("-", stdin=trace.encode()))]
    for what, found in same:
        tap.result(found.get("reads") and found["results"] == plain["results"], what, found.get("error"))
    packed = lzma.compress(trace.encode())
    done = run(folder.write("cut.xz", packed[:len(packed) // 2]))
    tap.result(done.returncode == 1 and not done.stdout and b"no whole trace" in done.stderr, "refuses a packed file that was cut off",
               done.stdout, done.stderr)
    table = run(folder.write("plain", trace)).stdout.decode()
    tap.result("without contents there are no bytes" in table and "stay" in table, "a table, which says what it is not", table)


def check_contents(folder):
    # 64 blocks, then half of them again, with other contents.
    trace = "0 W 0 64\n9000 W 0 32\n60000 R 40 1\n"
    path = folder.write("contents", trace)
    pages = folder.write("pages", b"".join((b"page %07d of a file;" % i * 200)[:4096] for i in range(48)))
    row = replay(path, pages, "--cold-after", "5s")["results"][0]
    last = row["memory"][-1] if row else {}
    tap.result(row and row["encode_ms"] > 0 and row["decode_p50_us"] > 0 and
               0 < last["grouped_bytes"] < last["alone_bytes"] / 2 and last["single_bytes"] == 0, "with pages: bytes and processor time", row)
    counts = replay(path, "--cold-after", "5s")["results"][0]
    tap.result(row and all(row[key] == counts[key] for key in counts if key != "memory"), "and the same counts as without", row, counts)
    row = replay(path, folder.write("noise", os.urandom(4096 * 64)), "--cold-after", "5s")["results"][0]
    last = row["memory"][-1] if row else {}
    tap.result(row and last["grouped_bytes"] == last["alone_bytes"] == 64 * 4096, "pages that do not compress are kept as they are", row)
    table = run(path, pages, "--cold-after", "5s", "--group-algorithm", "zstd:3", "-a", "zstd:1").stdout.decode()
    tap.result("zstd:1 by themselves, zstd:3 in groups" in table and "WITHOUT" in table, "a table with pages", table)


def check_refusals(folder):
    bad = [("half a line", "0 W 1\n", "line 1: '0 W 1' is no event"),
           ("an operation that does not exist", "0 W 1 1\n1 X 1 1\n", "line 2: '1 X 1 1' is no event"),
           ("no blocks", "0 W 1 0\n", "is no event"),
           ("a block behind the last one", "0 W 4294967295 2\n", "is no event"),
           ("a number that is none", "0 W -1 1\n", "is no event"),
           ("a time that is too large", "99999999999999999999 W 1 1\n", "is no event"),
           ("an empty trace", "# nothing\n", "has no events")]
    for what, trace, message in bad:
        done = run(folder.write("bad", trace))
        tap.result(done.returncode == 1 and not done.stdout and message in done.stderr.decode(), f"refuses {what}", done.stderr)
    good = folder.write("good", "0 W 1 1\n")
    for options, message in [(["--cold-after", "0"], "a time is needed"), (["--cold-after", "5x"], "a time is needed"),
                             (["--group", "65"], "a number from 2 to 64"), (["--cache", "0"], "a number from 1 to 4096"),
                             (["--read-rule", "in"], "there are stay, second and out"),
                             (["-r", "2"], "--repeat: not with --replay"), (["--save", "x"], "--save: not with --replay without pages"),
                             (["--synthetic=1M", "-t", "2"], "--threads: not with --replay"), (["--churn"], "--replay: not with"),
                             (["--group-algorithm", "zstd"], "only with pages"), (["-a", "lz4"], "only with pages"),
                             (["--synthetic=1M", "--group-algorithm", "lz4"], "single blocks only"), (["--synthetic=1M", "--group", "32"], "at most 16"),
                             (["--synthetic=1M", "-a", "lz4,zstd"], "one, with --replay"), (["--group", ",".join(["2"] * 17)], "more than 16 values")]:
        done = run(good, *options)
        tap.result(done.returncode == 1 and message in done.stderr.decode(), f"refuses {' '.join(options)[:30]}", done.stderr)
    done = subprocess.run([BENCH, "--synthetic=1M", "--cache", "1"], capture_output=True)
    tap.result(done.returncode == 1 and b"are for --replay" in done.stderr, "refuses --cache without --replay", done.stderr)
    done = run("/no/such/trace")
    tap.result(done.returncode == 1 and b"No such file" in done.stderr, "refuses a file that does not exist", done.stderr)


def main():
    with Folder() as folder:
        check_known(folder)
        check_model(folder)
        check_sources(folder)
        check_contents(folder)
        check_refusals(folder)
    tap.done()


main()
