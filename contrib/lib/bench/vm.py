# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios of tests/vm that print figures: zsblk and kernel zram in the same virtual machine.

`swap`, not in its short form, where zram hardly has to swap at all: 400 MB of memory, and two processes that fill 450 MB and
read all of it twice in random order. `speed`, where the kernel has ublk: zram, zsblk over NBD and over ublk in one boot, single requests
and the same load.
"""
import pathlib
import re
import subprocess

SWAP_KERNELS = ["6.1", "6.12"]
SPEED_KERNEL = "6.12"
LOAD = ["HOG_MIB=450", "HOG_PROCESSES=2", "HOG_ROUNDS=2", "ZRAM=yes"]
# The value that gets most requests in one, and the one that zram is given.
CLUSTERS = "0 3"
TIME = re.compile(r"time: zsblk (\d+) ms, kernel zram (\d+) ms")
PAGES = re.compile(r"pages out (\d+), in (\d+)")
WAY = r"^# +(zram|nbd|ublk) +"
REQUESTS = re.compile(WAY + r"(read|write) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +([\d.]+)$", re.MULTILINE)
SWAP = re.compile(WAY + r"(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+) +(\d+)$", re.MULTILINE)


def scenario(kernel, *arguments):
    """What it printed; an empty text if it failed."""
    vm = pathlib.Path(__file__).parents[3] / "tests" / "vm" / "vm"
    done = subprocess.run([vm, "--kernel", kernel, "--memory", "400", "--timeout", "1500", *arguments],
                          check=False, capture_output=True, text=True, errors="replace")
    return done.stdout if done.returncode == 0 else ""


def swap(plugin):
    """[{kernel, zsblk_ms, zram_ms, zsblk_pages, zram_pages}]; a kernel on which it failed is left out."""
    rows = []
    for kernel in SWAP_KERNELS:
        out = scenario(kernel, "--plugin", plugin, "swap", *LOAD)
        found = TIME.search(out)
        pages = PAGES.findall(out)
        if found and len(pages) == 2:
            rows.append({"kernel": kernel, "zsblk_ms": int(found[1]), "zram_ms": int(found[2]),
                         "zsblk_pages": [int(n) for n in pages[0]], "zram_pages": [int(n) for n in pages[1]]})
    return rows


def parse_speed(out):
    """{requests: [...], swap: [...]} of what scenario `speed` printed."""
    requests = [{"way": way, "what": what, "depth": int(depth), "jobs": int(jobs), "iops": int(iops), "p50_us": int(p50),
                 "p99_us": int(p99), "server_us": float(server)}
                for way, what, depth, jobs, iops, p50, p99, server in REQUESTS.findall(out)]
    loads = [{"way": way, "cluster": int(cluster), "seconds": float(seconds), "fill_s": float(fill), "check_s": float(check),
              "pages": [int(pages_out), int(pages_in)]}
             for way, cluster, seconds, fill, check, pages_out, pages_in in SWAP.findall(out)]
    return {"requests": requests, "swap": loads}


def speed(plugin, ublk):
    """As parse_speed(), with the kernel; None if it failed."""
    found = parse_speed(scenario(SPEED_KERNEL, "--plugin", plugin, "--ublk", ublk, "speed", f"CLUSTERS={CLUSTERS}", *LOAD))
    return {"kernel": SPEED_KERNEL, **found} if found["requests"] and found["swap"] else None
