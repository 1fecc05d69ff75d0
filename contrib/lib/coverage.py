# SPDX-License-Identifier: BSD-3-Clause
"""What no test ran, by the figures that gcov left in a build folder (see contrib/coverage --help)."""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("src", "plugin", "include")
# Files of which less was run are shown.
ENOUGH = 0.9


def objects_of(build):
    """Figures of each object; of those that never ran, its notes. pathlib's globs would find none of meson's names that begin with a dot."""
    for folder, _, names in os.walk(build):
        for name in names:
            stem, kind = os.path.splitext(name)
            if kind == ".gcda" or (kind == ".gcno" and stem + ".gcda" not in names):
                yield os.path.join(folder, name)


def documents(build):
    """gcov's JSON of each object."""
    objects = list(objects_of(build))
    for first in range(0, len(objects), 50):
        done = subprocess.run(["gcov", "--json-format", "--stdout", *objects[first:first + 50]], cwd=build,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            yield json.loads(line)


def collect(build):
    """How often each line and each function ran, by file: a source file is in several objects."""
    lines, functions = collections.Counter(), collections.Counter()
    for document in documents(build):
        for file in document["files"]:
            path = os.path.relpath(os.path.join(build, file["file"]), TOP)
            if path.split(os.sep)[0] not in FOLDERS:
                continue
            for line in file["lines"]:
                lines[path, line["line_number"]] += line["count"]
            for function in file["functions"]:
                functions[path, function["start_line"], function["name"]] += function["execution_count"]
    return lines, functions


def shares(lines):
    """Of each file: lines that ran, and all."""
    found = collections.defaultdict(lambda: [0, 0])
    for (path, _), count in lines.items():
        found[path][0] += count > 0
        found[path][1] += 1
    return found


def main():
    parser = argparse.ArgumentParser(prog="contrib/coverage")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("build")
    args = parser.parse_args()

    lines, functions = collect(os.path.realpath(args.build))
    if not lines:
        sys.exit("there are no figures: no test has run")
    files = shares(lines)
    for path, (ran, all_lines) in sorted(files.items(), key=lambda item: item[1][0] / item[1][1]):
        if args.all or ran < ENOUGH * all_lines:
            print(f"{100 * ran / all_lines:5.1f} % of {all_lines:4} lines  {path}")
    never = sorted(key for key, count in functions.items() if count == 0)
    for path, line, name in never:
        print(f"{path}:{line}: {name}() was not run")
    ran, all_lines = (sum(column) for column in zip(*files.values()))
    print(f"\n{ran} of {all_lines} lines, {100 * ran / all_lines:.1f} %; {len(never)} of {len(functions)} functions not run")


if __name__ == "__main__":
    main()
