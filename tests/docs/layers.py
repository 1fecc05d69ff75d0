#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""layers.py: in src/daemon, dependencies go one way: a folder includes from itself and from folders that src/daemon/meson.build lists
before it. What lies in no folder is the top. A transport is known in its own folder only."""
import os
import re

import tap

TOP = "src/daemon"
# A transport, and the files beside its folder that may name it: the list of transports, what people can ask for, and the list of devices
# that are in memory themselves.
OTHERS = ("transport/transport.", "transport/choice.", "settings/", "options.c", "kernel/device.c")
TRANSPORTS = {"nbd": OTHERS, "ublk": OTHERS + ("status.c", "start.c", "main.c")}


def folder(path):
    """Of a path below src/daemon; "" is the top."""
    return os.path.dirname(path)


def naming(name, transport):
    """Lines that have a transport's name outside of comments. (nbdkit is a program, and settings have its name.)"""
    code = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), tap.read(f"{TOP}/{name}"), flags=re.S)
    return [n for n, line in enumerate(code.split("\n"), 1)
            if re.search(rf"(?<![a-z]){transport}(?!kit)", line.replace("settings->nbdkit", ""))]


def main():
    listed = re.findall(r"^  '([\w/]+\.c)',$", tap.read(f"{TOP}/meson.build"), flags=re.M)
    order = list(dict.fromkeys(map(folder, listed)))
    tap.result(len(order) > 5 and order[-1] == "", "the folders have an order, and the top is last", str(order))
    sources = [name[len(TOP) + 1:] for name in tap.source_files() if name.startswith(TOP + "/") and name.endswith((".c", ".h"))]
    tap.result(len(sources) > len(listed), "headers and sources are found", len(sources))
    tap.none([f"{name}: {folder(name)} is not in the list" for name in sources if folder(name) not in order],
             "each source is in a folder of the list")
    wrong = [f"{name} includes {other}" for name in sources if folder(name) in order
             for other in re.findall(r'^#include "daemon/(.*)"', tap.read(f"{TOP}/{name}"), flags=re.M)
             if folder(other) not in order or order.index(folder(other)) > order.index(folder(name))]
    tap.none(wrong, "nothing is included from above")
    for transport, others in TRANSPORTS.items():
        own = (f"transport/{transport}/",)
        tap.none([f"{name}: line {line}" for name in sources if not name.startswith(own + others)
                  for line in naming(name, transport)], f"{transport} is known in its own folder only")
    tap.done()


main()
