#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblk-bench --capture-swap: pages in the order of swap, and nothing that is left behind, whatever happens.

Usage: capture_test.py ZSBLK-BENCH
"""
import fcntl
import glob
import json
import mmap
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "docs"))
import tap  # noqa: E402

BENCH = sys.argv[1]
PAGES = 12000
# Pages that say which they are. Their program goes over them in order, so that they are swapped out in that order.
PROGRAM = f"""
import mmap, time
pages = mmap.mmap(-1, 4096 * {PAGES}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range({PAGES}):
    pages[i * 4096:i * 4096 + 4096] = (b"page %09d;" % i * 273)[:4080] + b"captured-by-test"
while True:
    time.sleep(1)
"""
SMALL = ["--memory", "16M", "--limit", "64M"]


def ours():
    """Zram devices and control groups that there are."""
    return sorted(glob.glob("/dev/zram*") + glob.glob("/sys/fs/cgroup/**/zsblk-bench-*", recursive=True))


def swaps():
    with open("/proc/swaps", encoding="ascii") as file:
        return [line.split()[0] for line in file.readlines()[1:]]


def run(*words):
    return subprocess.run([BENCH, *words], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def wait_for(condition, what):
    for _ in range(1200):
        if condition():
            return True
        time.sleep(0.05)
    tap.result(False, f"{what}, in a minute")
    return False


def capture(path):
    """With more time if the machine is busy."""
    for seconds in 4, 20, 60:
        done = run("--capture-swap", path, "--seconds", str(seconds), "--json", *SMALL, "--", sys.executable, "-c", PROGRAM)
        if done.returncode == 0 or "used no swap" not in done.stderr:
            break
    return done


def check_pages(folder):
    path = os.path.join(folder, "pages")
    done = capture(path)
    if done.returncode and ("pages of other programs" in done.stderr or "memory to spare" in done.stderr):
        tap.skip("pages in the order of swap", "the machine is short of memory")
        return
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    tap.result(told.get("pages", 0) > 0 and told["swapped_bytes"] > 0 and told["memory_bytes"] >= 16 << 20, "a command's pages are kept",
               done.stdout, done.stderr)
    if not told:
        return
    with open(path, "rb") as file:
        data = file.read()
    tap.result(len(data) == told["pages"] * 4096 and stat.S_IMODE(os.stat(path).st_mode) == 0o600, "whole pages, for the owner only")
    # Not those of the program's other memory, where such a page was put together.
    numbers = [int(data[at + 5:at + 14]) for at in range(0, len(data), 4096)
               if data[at:at + 5] == b"page " and data[at + 4080:at + 4096] == b"captured-by-test"]
    rising = sum(a < b for a, b in zip(numbers, numbers[1:]))
    tap.result(len(set(numbers)) == len(numbers) > 1000 and rising > 0.9 * len(numbers), "each page once, and in the order in which they were swapped out",
               f"{len(numbers)} pages, {rising} behind one before them")
    done = run(path, "-a", "lz4", "-r", "1", "--json")
    tap.result(done.returncode == 0 and json.loads(done.stdout)["pages"] == told["pages"], "zsblk-bench measures with them", done.stderr)


def check_ends(folder, before):
    path = os.path.join(folder, "killed")
    for how in signal.SIGKILL, signal.SIGINT:
        one = subprocess.Popen([BENCH, "--capture-swap", path, "--seconds", "300", *SMALL, "--", sys.executable, "-c", PROGRAM],
                               stderr=subprocess.PIPE)
        started = wait_for(lambda: swaps() != before[1] or one.poll() is not None, "swap")
        one.send_signal(how)
        one.wait()
        if started and wait_for(lambda: (ours(), swaps()) == before, f"nothing is left after {how.name}"):
            tap.result(not os.path.exists(path), f"nothing is left after {how.name}", one.stderr.read())


def check_others(path, before):
    """A few pages of a program that is not the command's come to the device: ours, here. There is room for them in what the kernel may keep."""
    others = mmap.mmap(-1, 40 * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    others.write(b"nobody else's." * (40 * 4096 // 14))
    one = subprocess.Popen([BENCH, "--capture-swap", path, "--seconds", "3", *SMALL, "--", "sleep", "60"], stderr=subprocess.PIPE, text=True)
    if wait_for(lambda: swaps() != before[1] or one.poll() is not None, "swap"):
        others.madvise(21)  # MADV_PAGEOUT
    said = one.communicate()[1]
    tap.result(one.returncode == 1 and "used no swap" in said and not os.path.exists(path), "keeps no pages of others where the command has none", said)
    others.close()


def check_refusals(folder, before):
    path = os.path.join(folder, "refused")
    for what, message, words in [("a command that ends", "ended after", ["--seconds", "60", "--", "true"]),
                                 ("a command that does not exist", "No such file", ["--seconds", "60", "--", "/no/such/command"]),
                                 ("a command that uses no swap", "used no swap", ["--seconds", "1", "--", "sleep", "60"])]:
        done = run("--capture-swap", path, *SMALL, *words)
        tap.result(done.returncode == 1 and message in done.stderr and not os.path.exists(path), f"refuses {what}", done.stderr)
    check_others(path, before)
    with open(path, "w", encoding="ascii"):
        pass
    done = run("--capture-swap", path, "--seconds", "60")
    tap.result(done.returncode == 1 and "it exists; remove it" in done.stderr, "refuses a file that exists", done.stderr)
    done = run("--capture-swap", path + "2", "--limit", "1000000G")
    tap.result(done.returncode == 1 and ("memory to spare" in done.stderr or "at most" in done.stderr), "refuses what the machine has no memory for", done.stderr)
    tap.result((ours(), swaps()) == before, "and leaves nothing behind", ours(), swaps())


def main():
    for words, message in [(["--capture-swap", "x", "--churn"], "measure the file then"), (["--synthetic", "--seconds", "5"], "are for --capture-swap"),
                           (["--capture-swap", "x", "--memory", "1000"], "a multiple of 4096")]:
        done = run(*words)
        tap.result(done.returncode == 1 and message in done.stderr, f"refuses {' '.join(words)}", done.stderr)
    if os.geteuid() or not os.path.exists("/sys/class/zram-control/hot_add"):
        done = run("--capture-swap", "/tmp/none", "--limit", "4K", "--memory", "4K", "--", "true")
        tap.result(done.returncode == 1 and ("only root" in done.stderr or "needs" in done.stderr), "refuses what is not possible here", done.stderr)
        tap.done()
    # What another one of these tests makes would count as left behind. The file is the same in every tree of packages.
    lock = os.open("/sys/class/zram-control/hot_remove", os.O_WRONLY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    before = (ours(), swaps())
    folder = tempfile.mkdtemp(prefix="zsblk-capture-")
    try:
        check_refusals(folder, before)
        check_pages(folder)
        check_ends(folder, before)
        tap.result((ours(), swaps()) == before, "in the end all is as before", ours(), swaps())
    finally:
        shutil.rmtree(folder)
    tap.done()


main()
