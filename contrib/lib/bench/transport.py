# SPDX-License-Identifier: BSD-3-Clause
"""nbdcopy and fio against a server.

fio 3.33 can write only its own made-up data, or a pattern of at most 512 bytes: neither compresses like a real page. But
a job that also reads writes what its buffers hold from their last read, once told not to
refill or scramble them. So every job runs on a device that was filled with captured pages, and the
writing jobs read one request in twenty: what they write are real pages, moved about.
"""
import json
import subprocess
import time

# name -> (fio arguments, percentage of reads)
JOBS = {
    "4k read, depth 1": (["--rw=randread", "--bs=4k", "--iodepth=1"], 100),
    "4k write, depth 1": (["--rw=randrw", "--bs=4k", "--iodepth=1"], 5),
    "4k mixed, depth 1": (["--rw=randrw", "--bs=4k", "--iodepth=1"], 50),
    "4k read, depth 16": (["--rw=randread", "--bs=4k", "--iodepth=16"], 100),
    "4k write, depth 16": (["--rw=randrw", "--bs=4k", "--iodepth=16"], 5),
    "4k mixed, depth 16": (["--rw=randrw", "--bs=4k", "--iodepth=16"], 50),
    "128k read": (["--rw=read", "--bs=128k", "--iodepth=4"], 100),
    "128k write": (["--rw=randrw", "--bs=128k", "--iodepth=4"], 5),
    "128k mixed": (["--rw=randrw", "--bs=128k", "--iodepth=4"], 50),
}


def copy(source, target):
    """Seconds that nbdcopy takes."""
    start = time.monotonic()
    subprocess.run(["nbdcopy", source, target], check=True, capture_output=True)
    return time.monotonic() - start


def fio(uri, job, size, seconds):
    """Requests and bytes a second, and latencies in microseconds, of one job."""
    arguments, reads = JOBS[job]
    out = subprocess.run(
        ["fio", "--name=job", "--ioengine=nbd", f"--uri={uri}", "--thread", "--output-format=json",
         f"--size={size}", f"--runtime={seconds}", f"--io_size={2 * size}", "--norandommap", "--randrepeat=0",
         "--scramble_buffers=0", "--zero_buffers", f"--rwmixread={reads}", *arguments],
        check=True, capture_output=True, text=True).stdout
    result = json.loads(out[out.index("{"):])["jobs"][0]
    iops = sum(result[way]["iops"] for way in ("read", "write"))
    rate = sum(result[way]["bw_bytes"] for way in ("read", "write"))
    main = result["read" if reads >= 50 else "write"]["clat_ns"].get("percentile", {})
    return {"iops": iops, "mbps": rate / 1e6,
            "p50_us": main.get("50.000000", 0) / 1e3, "p99_us": main.get("99.000000", 0) / 1e3}
