# SPDX-License-Identifier: BSD-3-Clause
"""The swap scenario of tests/vm, which prints the times of zsblk and of kernel zram in the same virtual machine.

Not its short form, where zram hardly has to swap: 400 MB of memory, and two processes that fill 450 MB and read all of it
twice in random order.
"""
import pathlib
import re
import subprocess

KERNELS = ["6.1", "6.12"]
LOAD = ["HOG_MIB=450", "HOG_PROCESSES=2", "HOG_ROUNDS=2"]
TIME = re.compile(r"time: zsblk (\d+) ms, kernel zram (\d+) ms")
PAGES = re.compile(r"pages out (\d+), in (\d+)")


def run(plugin):
    """[{kernel, zsblk_ms, zram_ms, zsblk_pages, zram_pages}]; a kernel on which it failed is left out."""
    vm = pathlib.Path(__file__).parents[3] / "tests" / "vm" / "vm"
    rows = []
    for kernel in KERNELS:
        done = subprocess.run([vm, "--kernel", kernel, "--memory", "400", "--timeout", "1500", "--plugin", plugin,
                               "swap", *LOAD],
                              check=False, capture_output=True, text=True, errors="replace")
        found = TIME.search(done.stdout)
        pages = PAGES.findall(done.stdout)
        if found and len(pages) == 2:
            rows.append({"kernel": kernel, "zsblk_ms": int(found[1]), "zram_ms": int(found[2]),
                         "zsblk_pages": [int(n) for n in pages[0]], "zram_pages": [int(n) for n in pages[1]]})
    return rows
