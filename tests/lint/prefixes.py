#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Global names have the prefix of their file, so that a static library has none that could be anybody's.

Usage: prefixes.py ARCHIVE...

A file's prefix is its name, the first words of that, its plural, or its folder's name. The engine has the public prefix zsblk_ as well,
and the allocator zs_.
"""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "docs"))
import tap  # noqa: E402

PUBLIC = {"engine": ["zsblk"], "zsmalloc": ["zs"]}


def prefixes_of(source):
    """Of src/segment/super_open.c: super_open, super, and segment."""
    folder, stem = os.path.basename(os.path.dirname(source)), os.path.basename(source)[:-2]
    words = stem.split("_")
    stems = ["_".join(words[:n]) for n in range(1, len(words) + 1)]
    return stems + [one + "s" for one in stems] + [folder] + PUBLIC.get(folder, [])


def globals_of(archive):
    """Name of the object file and name of the symbol, of each that it defines."""
    out = subprocess.run(["nm", "-g", "--defined-only", archive], check=True, stdout=subprocess.PIPE, text=True).stdout
    member = None
    for line in out.splitlines():
        if line.endswith(":"):
            member = os.path.basename(line[:-1])
        elif line and member:
            yield member, line.split()[-1]


def sources_by_object():
    """Meson names an object after the path of its source, from the folder of the meson.build that has it."""
    found = {}
    for name in tap.source_files():
        parts = name.split("/")
        if name.endswith(".c") and parts[0] == "src":
            found.update({"_".join(parts[n:]) + ".o": name for n in range(1, len(parts))})
    return found


def main():
    if not shutil.which("nm"):
        tap.skip_all("there is no nm")
    sources = sources_by_object()
    for archive in sys.argv[1:]:
        wrong = [f"{sources.get(member, member)}: {symbol}" for member, symbol in globals_of(archive)
                 # Sanitizers and fuzzers put names of their own in.
                 if not symbol.startswith("_") and
                 not any(symbol == prefix or symbol.startswith(prefix + "_") for prefix in prefixes_of(sources.get(member, "")))]
        tap.none(wrong, os.path.basename(archive))
    tap.done()


main()
