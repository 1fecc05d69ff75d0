# SPDX-License-Identifier: BSD-3-Clause
"""Kernel zram, for comparison: only on a device that nobody uses, and left as it was found."""
import json
import os
import pathlib
import subprocess
import time

TUNABLES = ("comp_algorithm",)


def chosen(text):
    """The one in brackets: lzo [lz4] zstd."""
    return text.split("[")[1].split("]")[0]


def free_device():
    """The first zram device without a size: nobody can be using it. None if there is none, or no right to it."""
    if os.geteuid() != 0:
        return None
    if not list(pathlib.Path("/sys/block").glob("zram*")):
        subprocess.run(["modprobe", "zram"], check=False, capture_output=True)
    for path in sorted(pathlib.Path("/sys/block").glob("zram*")):
        if (path / "disksize").read_text().strip() == "0" and os.path.exists(f"/dev/{path.name}"):
            return path
    return None


class Zram:
    """A free device, set up with an algorithm; reset again at the end of the with statement."""

    def __init__(self, path, algorithm, size):
        self.path, self.size = path, size
        self.device = f"/dev/{path.name}"
        self.algorithm = algorithm
        self.found = chosen((path / "comp_algorithm").read_text())

    def __enter__(self):
        if (self.path / "disksize").read_text().strip() != "0":
            raise RuntimeError(f"{self.device} has come into use")
        (self.path / "comp_algorithm").write_text(self.algorithm)
        (self.path / "disksize").write_text(str(self.size))
        return self

    def __exit__(self, *_):
        for _ in range(50):  # udev may still be looking at it
            try:
                (self.path / "reset").write_text("1")
                break
            except OSError:
                time.sleep(0.1)
        (self.path / "comp_algorithm").write_text(self.found)

    def write(self, file, block="128k"):
        return self.dd(f"if={file}", f"of={self.device}", f"bs={block}", "oflag=direct")

    def read(self, block="128k"):
        return self.dd(f"if={self.device}", "of=/dev/null", f"bs={block}", "iflag=direct")

    @staticmethod
    def dd(*arguments):
        start = time.monotonic()
        subprocess.run(["dd", *arguments], check=True, capture_output=True)
        return time.monotonic() - start

    def fio(self, reads, seconds):
        out = subprocess.run(
            ["fio", "--name=job", f"--filename={self.device}", "--ioengine=psync", "--direct=1", "--bs=4k", "--thread",
             "--rw=randrw", f"--rwmixread={reads}", f"--size={self.size}", f"--runtime={seconds}",
             f"--io_size={2 * self.size}", "--norandommap", "--scramble_buffers=0", "--zero_buffers",
             "--output-format=json"], check=True, capture_output=True, text=True).stdout
        result = json.loads(out[out.index("{"):])["jobs"][0]
        return {"iops": sum(result[way]["iops"] for way in ("read", "write"))}

    def statistics(self):
        names = ["orig_data_size", "compr_data_size", "mem_used_total", "mem_limit", "mem_used_max", "same_pages",
                 "pages_compacted", "huge_pages", "huge_pages_since"]
        return dict(zip(names, map(int, (self.path / "mm_stat").read_text().split())))


def algorithms(path):
    return (path / "comp_algorithm").read_text().replace("[", "").replace("]", "").split()
