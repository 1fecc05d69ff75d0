#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every source file that can carry a comment says under which licence it is."""
import tap

LINE = "SPDX-License-Identifier: BSD-3-Clause"
# The licence itself, and formats without comments.
EXEMPT_NAMES = {"LICENSE"}
EXEMPT_FILES = {"contrib/debian/changelog", "contrib/debian/source/format"}
EXEMPT_ENDINGS = (".json", ".jsonl", ".png", ".csv", ".bin")
# Inputs of the fuzzers.
EXEMPT_FOLDERS = ("corpus", "seeds")


def is_exempt(name):
    parts = name.split("/")
    return (parts[-1] in EXEMPT_NAMES or name in EXEMPT_FILES or name.endswith(EXEMPT_ENDINGS) or
            any(part in EXEMPT_FOLDERS for part in parts[:-1]))


def has_line(name):
    with open(tap.path(name), "rb") as file:
        return any(LINE.encode() in file.readline() for _ in range(5))


def main():
    files = [name for name in tap.source_files() if not is_exempt(name)]
    tap.none([name for name in files if not has_line(name)], f"{len(files)} files have their SPDX line")
    tap.none([name for name in files if "/" not in name and name.endswith(".md") and
              not tap.read(name).startswith("<!--")], "documents have it in a comment")
    tap.done()


main()
