# SPDX-License-Identifier: BSD-3-Clause
"""A full segment, a killed server, and the time until its successor has answered the first request."""
import os
import signal
import subprocess
import time

from bench import servers

GIB = 1 << 30
# Keys of our own, removed afterwards.
KEY = 0x7A73626B


def stored(stats):
    with open(stats, encoding="ascii") as file:
        values = dict(line.strip().split("=", 1) for line in file if "=" in line)
    return {name: int(values[name]) for name in ("orig_data_size", "mem_used_total", "blocks_stored")}


def fill(server, pages, size):
    """Captured pages, over and over, until the device is full."""
    with open(pages, "rb") as file:
        data = file.read()
    with subprocess.Popen(["nbdcopy", "--destination-is-zero", "-", server.uri], stdin=subprocess.PIPE) as pipe:
        left = size
        while left:
            part = data[:left]
            pipe.stdin.write(part)
            left -= len(part)
        pipe.stdin.close()
        if pipe.wait():
            raise RuntimeError("nbdcopy could not fill the device")


def remove(key):
    subprocess.run(["ipcrm", "-M", hex(key)], check=False, capture_output=True)


def measure(plugin, pages, tmp, size, repeat):
    """Milliseconds from exec to the first block read, on a device of `size` bytes that is full."""
    key = KEY + os.getpid() % 4096
    stats = os.path.join(tmp, "restart.stats")
    arguments = [plugin, f"size={size}", "algorithm=lz4", f"memory=shm:{key:#x}", f"stats={stats}"]
    if os.geteuid() != 0:
        arguments.append("lock=no")
    server = servers.Server(arguments, tmp, threads=2, name="restart")
    times = []
    try:
        server.start()
        server.first_read()
        fill(server, pages, size)
        for _ in range(3):
            time.sleep(1.2)  # the figures are written once a second
            held = stored(stats)
        before = server.first_read()
        for _ in range(repeat):
            server.stop(signal.SIGKILL)
            start = time.monotonic()
            server.start()
            after = server.first_read()
            times.append((time.monotonic() - start) * 1e3)
            if after != before:
                raise RuntimeError("the first block differs after the restart")
        server.stop()
    finally:
        if server.process and server.process.poll() is None:
            server.stop(signal.SIGKILL)
        remove(key)
    return {"size": size, "held": held, "ms": times}
