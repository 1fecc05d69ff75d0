# SPDX-License-Identifier: BSD-3-Clause
"""What the machine is: enough to judge the figures by, and nothing that says whose it is."""
import os
import re
import subprocess


def first(pattern, path, default="unknown"):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            match = re.search(pattern, file.read(), re.MULTILINE)
            return match.group(1).strip() if match else default
    except OSError:
        return default


def version(*command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=False)
        return ((out.stdout or out.stderr).splitlines() or [""])[0].strip()
    except OSError:
        return "not installed"


def describe():
    return {
        "processor": first(r"^model name\s*:\s*(.*)$", "/proc/cpuinfo"),
        "cores": os.cpu_count(),
        "memory_mib": int(first(r"^MemTotal:\s*(\d+)", "/proc/meminfo", "0")) // 1024,
        "virtual_machine": "yes" if "hypervisor" in first(r"^flags\s*:(.*)$", "/proc/cpuinfo", "") else "no",
        "kernel": re.match(r"[\d.]+", os.uname().release).group(),
        "system": first(r'^PRETTY_NAME="(.*)"', "/etc/os-release"),
        "compiler": version("gcc", "--version"),
        "nbdkit": version("nbdkit", "--version"),
        "fio": version("fio", "--version"),
        "lz4": version("pkg-config", "--modversion", "liblz4"),
        "zstd": version("pkg-config", "--modversion", "libzstd"),
    }
