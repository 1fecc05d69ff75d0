# SPDX-License-Identifier: BSD-3-Clause
"""The servers that are compared: each an nbdkit on a Unix socket in our own temporary folder."""
import os
import signal
import socket
import struct
import subprocess
import time

NBDMAGIC, IHAVEOPT, REQUEST, REPLY = 0x4E42444D41474943, 0x49484156454F5054, 0x25609513, 0x67446698


def peers(plugin, size):
    """Name -> nbdkit arguments. The names are the report's."""
    return {
        "zsblk lz4": [plugin, f"size={size}", "algorithm=lz4"],
        "zsblk lz4, cold=yes": [plugin, f"size={size}", "algorithm=lz4", "cold=yes"],
        "zsblk zstd:1": [plugin, f"size={size}", "algorithm=zstd", "level=1"],
        "memory malloc": ["memory", str(size), "allocator=malloc"],
        "memory sparse": ["memory", str(size), "allocator=sparse"],
        "memory zstd": ["memory", str(size), "allocator=zstd"],
        "null": ["null", str(size)],
    }


class Server:
    """A running nbdkit; use it in a with statement."""

    def __init__(self, arguments, tmp, threads=None, name="nbd"):
        self.path = os.path.join(tmp, name + ".sock")
        self.uri = f"nbd+unix:///?socket={self.path}"
        self.command = ["nbdkit", "--foreground", "--exit-with-parent", "--unix", self.path]
        self.command += ["--threads", str(threads)] if threads else []
        self.command += arguments
        self.log = os.path.join(tmp, name + ".log")
        self.process = None

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def trouble(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return f"{' '.join(self.command)} failed: {log.read().strip()}"

    def first_read(self, patience=60):
        """Connect as soon as that is possible, and read the first block."""
        end = time.monotonic() + patience
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(self.trouble())
            try:
                client = socket.socket(socket.AF_UNIX)
                client.connect(self.path)
                break
            except OSError:
                client.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.0005)
        with client, client.makefile("rwb", buffering=0) as wire:
            return read_block(wire)

    def stop(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        self.process.wait()

    def __enter__(self):
        self.start()
        self.first_read()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def exactly(wire, size):
    data = b""
    while len(data) < size:
        part = wire.read(size - len(data))
        if not part:
            raise RuntimeError("the server closed the connection")
        data += part
    return data


def read_block(wire):
    """The whole of a minimal NBD conversation: fixed newstyle, default export, one read of 4096 bytes at 0."""
    magic, option, _flags = struct.unpack(">QQH", exactly(wire, 18))
    if (magic, option) != (NBDMAGIC, IHAVEOPT):
        raise RuntimeError("no NBD server")
    wire.write(struct.pack(">IQII", 3, IHAVEOPT, 1, 0))
    exactly(wire, 10)
    wire.write(struct.pack(">IHHQQI", REQUEST, 0, 0, 1, 0, 4096))
    magic, error, _handle = struct.unpack(">IIQ", exactly(wire, 16))
    if magic != REPLY or error:
        raise RuntimeError(f"the first read failed with error {error}")
    data = exactly(wire, 4096)
    wire.write(struct.pack(">IHHQQI", REQUEST, 0, 2, 2, 0, 0))
    return data
