# SPDX-License-Identifier: BSD-3-Clause
"""The swap rows come from the tests in virtual machines, which print the times of zsblk and of kernel zram."""
import json
import pathlib
import re
import subprocess

TIME = re.compile(r"time: zsblk (\d+) ms, kernel zram (\d+) ms")
NAME = re.compile(r"swap on Linux ([\d.]+)")


def run(build):
    subprocess.run(["meson", "test", "-C", build, "--logbase", "bench-vm", "--suite", "vm", "prepare",
                    "swap on Linux 6.1", "swap on Linux 6.12"], check=False, capture_output=True)
    return read(pathlib.Path(build) / "meson-logs" / "bench-vm.json")


def read(path):
    """[{kernel, zsblk_ms, zram_ms}] of a testlog.json."""
    rows = []
    if not path.exists():
        return rows
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        entry = json.loads(line)
        name = NAME.search(entry["name"])
        found = TIME.search((entry.get("stdout") or "") + (entry.get("stderr") or ""))
        if name and found:
            rows.append({"kernel": name.group(1), "zsblk_ms": int(found.group(1)), "zram_ms": int(found.group(2))})
    return rows
