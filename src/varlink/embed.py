#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""embed.py IN OUT NAME: write a text as the initialised constant NAME of a C header."""
import sys


def main():
    source, target, name = sys.argv[1:]
    with open(source, encoding="ascii") as file:
        lines = file.read().splitlines()
    with open(target, "w", encoding="ascii") as file:
        file.write(f"/* Made from {source.rsplit('/', 1)[-1]} by embed.py. */\nconst char {name}[] =\n")
        for line in lines:
            quoted = line.replace("\\", "\\\\").replace('"', '\\"')
            file.write(f'\t"{quoted}\\n"\n')
        file.write("\t;\n")


main()
