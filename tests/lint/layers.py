#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Dependencies go down only, as docs/architecture.md draws them: what the files of a folder include. A point for each folder."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "docs"))
import tap  # noqa: E402

# From the bottom to the top: a folder, and what its files may include of others. A public header stands for itself.
LAYERS = {
    "include": [],
    "src/text": [],
    "src/process": [],
    "src/machine": ["src/process"],
    "src/segment": ["src/process"],
    "src/zsmalloc": ["src/segment", "src/process", "zsmalloc.h"],
    "src/codec": [],
    "src/spill": ["src/process"],
    "src/engine": ["src/spill", "src/codec", "src/zsmalloc", "src/segment", "src/process", "zsblk.h"],
    "src/varlink": [],
    "src/host": ["src/varlink", "src/process", "src/text", "zsblk.h"],
    "plugin": ["src/host", "zsblk.h"],
    "src/ublk": ["src/host", "src/machine", "src/process", "src/text", "zsblk.h"],
    "src/ctl": ["src/varlink", "src/machine", "src/text"],
    "src/bench": ["src/codec", "src/text", "zsblk.h"],
    "src/daemon": ["src/varlink", "src/segment", "src/machine", "src/process", "src/text", "zsblk.h"],
}
# Each protocol is spoken in one folder.
PROTOCOLS = {"nbdkit-plugin.h": "plugin", "liburing.h": "src/ublk", "libnbd.h": "src/spill", "libmnl/libmnl.h": "src/daemon"}
# zsblk.h has it in it.
INCLUDED = {"zsblk.h": ["zsblk.h", "zsblk_cold.h", "zsmalloc.h"]}


def folder_of(name):
    """The layer that a file belongs to, or None."""
    for folder in sorted(LAYERS, key=len, reverse=True):
        if name.startswith(folder + "/"):
            return folder
    return None


def includes(name):
    return re.findall(r'^\s*#\s*include\s*(["<])([^">]+)', tap.read(name), flags=re.M)


def target_of(name, included):
    """The layer of what is included: a public header is its own, and one without a folder lies beside the file."""
    if os.path.exists(tap.path("include", included)):
        return included
    if os.path.exists(tap.path(os.path.dirname(name), included)):
        return folder_of(name)
    return folder_of("src/" + included) or included


def wrong_includes(folder, names):
    allowed = {folder}
    for one in LAYERS[folder]:
        allowed.update(INCLUDED.get(one, [one]))
    if folder == "include":
        allowed.update(os.listdir(tap.path("include")))
    for name in names:
        for quote, included in includes(name):
            if included in PROTOCOLS and PROTOCOLS[included] != folder:
                yield f"{name}: {included} is for {PROTOCOLS[included]} only"
            elif quote == '"' and target_of(name, included) not in allowed:
                yield f"{name}: {included} is not below {folder}"


def upward():
    below = set()
    for folder, uses in LAYERS.items():
        yield from (f"{folder}: {use} is not below it" for use in uses if not use.endswith(".h") and use not in below)
        below.add(folder)


def main():
    sources = [name for name in tap.source_files() if name.endswith((".c", ".h")) and name.startswith(("include/", "plugin/", "src/"))]
    tap.none([name for name in sources if not folder_of(name)], "every folder of sources has its place among the layers")
    tap.none(upward(), "a layer uses layers below it only")
    for folder in LAYERS:
        tap.none(wrong_includes(folder, [name for name in sources if folder_of(name) == folder]), folder)
    drawing = tap.read("docs/architecture.md").split("## Layers")[1].split("\n## ")[0]
    tap.none([folder for folder in LAYERS if not re.search(folder + r"\b", drawing)], "docs/architecture.md draws each of them")
    tap.done()


main()
