#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblk-bench --plot: SVG that is well formed, has every point, and tells series apart without colours.

Usage: plot_test.py ZSBLK-BENCH
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "docs"))
import tap  # noqa: E402

BENCH = sys.argv[1]
SVG = "{http://www.w3.org/2000/svg}"


def run(*words, stdin=b""):
    return subprocess.run([BENCH, *words], capture_output=True, timeout=300, input=stdin)


def plot(report):
    done = run("--plot", "-", stdin=json.dumps(report).encode())
    return done, tree.fromstring(done.stdout) if done.returncode == 0 else None


def lines(svg):
    """Points and dashes of each series."""
    return [([tuple(map(float, point.split(","))) for point in line.get("points").split()], line.get("stroke-dasharray"))
            for line in svg.iter(SVG + "polyline")]


def texts(svg):
    return [text.text for text in svg.iter(SVG + "text")]


def is_well_formed(content):
    if not shutil.which("xmllint"):
        return True
    return subprocess.run(["xmllint", "--noout", "--nonet", "-"], input=content, capture_output=True).returncode == 0


def replay_report(settings, has_bytes):
    moment = {"single_blocks": 10, "dead_blocks": 0}
    return {"results": [{"cold_after_s": 5 * (n + 1), "group_blocks": 16, "cache_groups": 16, "read_rule": "stay",
                         "memory": [moment | {"s": s, "grouped_blocks": s * (n + 1)} |
                                    ({"single_bytes": 1000000 * s, "grouped_bytes": 500000 * n} if has_bytes else {})
                                    for s in range(20)]} for n in range(settings)]}


def check_memory():
    done, svg = plot(replay_report(3, True))
    found = lines(svg) if svg is not None else []
    tap.result(len(found) == 3 and all(len(points) == 20 for points, _ in found) and "MB of objects" in texts(svg),
               "memory over time: a line for each setting, with every moment", done.stderr)
    # y grows downwards, and memory grows with time.
    tap.result(found and all(a[0] < b[0] and a[1] > b[1] for points, _ in found for a, b in zip(points, points[1:])),
               "time goes to the right and memory up", found)
    tap.result(found and len({dashes for _, dashes in found}) == 3 and "5 s, 16 x 16, stay" in texts(svg) and
               "15 s, 16 x 16, stay" in texts(svg), "each has dashes of its own, and its name", found)
    tap.result(is_well_formed(done.stdout), "xmllint has nothing to say")
    colours = set(re.findall(rb'(?:fill|stroke)="([^"]+)"', done.stdout))
    tap.result(colours == {b"black", b"white", b"none", b"#bbb"}, "without colours", colours)
    done, svg = plot(replay_report(8, False))
    tap.result(svg is not None and len(lines(svg)) == 8 and len({d for _, d in lines(svg)}) == 8 and "Blocks in groups" in texts(svg),
               "without contents: blocks in groups, of up to eight settings", done.stderr)


def check_latencies():
    report = {"results": [{"algorithm": "<&>", "level": n, "threads": 1,
                           **{f"{what}_{p}_us": 10.0 ** (n + i) for what in ("store", "load")
                              for i, p in enumerate(["p50", "p90", "p99", "p999", "max"])}} for n in range(2)]}
    done, svg = plot(report)
    found = lines(svg) if svg is not None else []
    tap.result(len(found) == 4 and all(len(points) == 5 for points, _ in found), "percentiles of storing and loading", done.stderr)
    steps = [round(a[1] - b[1], 1) for a, b in zip(found[0][0], found[0][0][1:])] if found else []
    tap.result(steps and max(steps) - min(steps) < 0.3, "each power of ten takes the same room", steps)
    tap.result(svg is not None and "<&>:0, 1 thread" in texts(svg) and "99.9 %" in texts(svg) and is_well_formed(done.stdout),
               "names with any characters", done.stdout[:300])


def check_real(folder):
    path = os.path.join(folder, "report.json")
    done = run("--synthetic=1M", "-r", "1", "-a", "lz4,zstd:1", "--json")
    with open(path, "wb") as file:
        file.write(done.stdout)
    done = run("--plot", path)
    tap.result(done.returncode == 0 and is_well_formed(done.stdout) and len(lines(tree.fromstring(done.stdout))) == 4, "a real report",
               done.stderr)
    with open(os.path.join(folder, "trace"), "w", encoding="ascii") as file:
        file.write("0 W 0 64\n9000 R 3 1\n60000 R 40 1\n")
    done = run("--replay", os.path.join(folder, "trace"), "--cold-after", "5s,20s", "--json", "--synthetic=1M")
    with open(path, "wb") as file:
        file.write(done.stdout)
    done = run("--plot", path)
    tap.result(done.returncode == 0 and is_well_formed(done.stdout) and len(lines(tree.fromstring(done.stdout))) == 4, "a real replay",
               done.stderr)


def check_refusals():
    for what, content, message in [("what is no JSON", b"{", "cannot be read as JSON"), ("nothing", b"", "cannot be read as JSON"),
                                   ("another JSON", b'{"results": [{"ops_per_s": 1}]}', "no memory over time"),
                                   ("a JSON without results", b"[1]", "no memory over time"),
                                   ("wrong types", b'{"results": [{"memory": 5, "store_p50_us": null}, 7]}', ""),
                                   ("infinity", b'{"results": [{"store_p50_us": 1e999, "store_max_us": Infinity}, {"load_p50_us": NaN}]}', ""),
                                   ("infinite memory", b'{"results": [{"memory": [{"s": 1e999, "single_bytes": 1e308, "grouped_bytes": 1e308}]}]}', ""),
                                   ("nine settings", json.dumps(replay_report(9, True)).encode(), "nobody can tell apart")]:
        done = run("--plot", "-", stdin=content)
        # Of wrong types it is enough that nothing breaks.
        tap.result(done.returncode == (1 if message else done.returncode) and done.returncode in (0, 1) and message in done.stderr.decode() and
                   (done.returncode == 0 or not done.stdout), f"refuses {what}", done.returncode, done.stderr)
    for words, message in [(["--plot", "/no/such/file"], "cannot be read as JSON"), (["--plot", "x", "--synthetic"], "draws what was measured before"),
                           (["--plot", "x", "pages"], "draws what was measured before"), (["--plot", "x", "--json"], "--json: not with --plot"),
                           (["--plot", "x", "-a", "lz4"], "--algorithm: not with --plot"), (["--plot", "x", "--save", "y"], "--save: not with --plot"),
                           (["--plot", "x", "--capture-swap", "y"], "--capture-swap: not with --plot"),
                           (["--capture-swap", "x", "-a", "lz4"], "--algorithm: not with --capture-swap"),
                           (["--capture-swap", "x", "-r", "2"], "--repeat: not with --capture-swap"),
                           (["--capture-swap", "x", "--seed", "2"], "--seed: not with --capture-swap")]:
        done = run(*words)
        tap.result(done.returncode == 1 and message in done.stderr.decode(), f"refuses {' '.join(words)}", done.stderr)


def main():
    folder = tempfile.mkdtemp(prefix="zsblk-plot-")
    try:
        check_memory()
        check_latencies()
        check_real(folder)
        check_refusals()
    finally:
        shutil.rmtree(folder)
    tap.done()


main()
