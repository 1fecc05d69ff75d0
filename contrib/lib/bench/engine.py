# SPDX-License-Identifier: BSD-3-Clause
"""The engine without any transport: zsblk-bench on the captured pages."""
import json
import os
import subprocess

MIX = ("raw", "overwrite", "same", "read-beside-writer")


def call(bench, pages, repeat, *arguments):
    out = subprocess.run([bench, "--json", "--repeat", str(repeat), *arguments, pages], check=True, capture_output=True,
                         text=True).stdout
    return json.loads(out)


def run(bench, pages, algorithms, threads, repeat, limit=None):
    return call(bench, pages, repeat, "--churn", "--algorithm", ",".join(algorithms), "--threads",
                ",".join(map(str, threads)), *(["--limit", str(limit)] if limit else []))["results"]


def mix(bench, pages, repeat):
    """How two threads get on beside each other."""
    return call(bench, pages, repeat, "--algorithm", "lz4", "--threads", "1,2", "--mix", ",".join(MIX))["results"]


def recompress(bench, pages, repeat):
    """Blocks of lz4 compressed again with zstd, beside the bare codec."""
    return call(bench, pages, repeat, "--algorithm", "lz4", "--recompress", "zstd:3")


def capture_swap(bench, path, size):
    """Pages in the order in which the kernel swaps them out, which is what neighbours are. False: that cannot be had here."""
    if os.geteuid() != 0:
        return False
    return subprocess.run([bench, "--capture-swap", path, "--limit", str(size)], check=False, capture_output=True).returncode == 0


def cold(bench, pages, repeat):
    """What the pages take in groups, beside the kernel's zram."""
    return call(bench, pages, repeat, "--algorithm", "lz4", "--cold", "zstd:9", "--frozen", "lzma:1")


def label(result):
    return result["algorithm"] if result["algorithm"] == "lz4" and result["level"] == 1 \
        else f"{result['algorithm']}:{result['level']}"


def overhead(result):
    """Bytes beyond the compressed ones for each block that has an object in the pool."""
    blocks = result["pages"] - result["same_pages"] - result["zero_pages"]
    return (result["pool_bytes"] + result["metadata_bytes"] - result["compressed_bytes"]) / blocks
