# SPDX-License-Identifier: BSD-3-Clause
"""The engine without any transport: zsblk-bench on the captured pages."""
import json
import subprocess


def run(bench, pages, algorithms, threads, repeat, limit=None):
    command = [bench, "--json", "--churn", "--algorithm", ",".join(algorithms), "--threads",
               ",".join(map(str, threads)), "--repeat", str(repeat)]
    command += ["--limit", str(limit)] if limit else []
    out = subprocess.run([*command, pages], check=True, capture_output=True, text=True).stdout
    return json.loads(out)["results"]


def label(result):
    return result["algorithm"] if result["algorithm"] == "lz4" and result["level"] == 1 \
        else f"{result['algorithm']}:{result['level']}"


def overhead(result):
    """Bytes beyond the compressed ones for each block that has an object in the pool."""
    blocks = result["pages"] - result["same_pages"] - result["zero_pages"]
    return (result["pool_bytes"] + result["metadata_bytes"] - result["compressed_bytes"]) / blocks
