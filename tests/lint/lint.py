#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""lint.py [--fix] shell|format|c|python|size: programs that look at the sources. A point for each file.

shell   shellcheck warns of nothing in scripts
format  clang-format would leave C sources as they are; with --fix it does not, and changes them
c       cppcheck finds nothing in the library, the daemon, the plugin and the benchmark
python  Python compiles
size    no source has more than 600 lines, and no C function more than 50
"""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "docs"))
import tap  # noqa: E402

MOST_LINES, MOST_FUNCTION_LINES = 600, 50
# Other versions lay some lines out in another way.
FORMAT_VERSION = 14
CPPCHECK = ["cppcheck", "--quiet", "--enable=warning,portability,performance", "--inline-suppr", "--std=c11", "-Iinclude", "-Isrc",
            "-D_GNU_SOURCE", "-D__linux__",
            # Loops of libmnl; its headers are not read. (No semicolon: cppcheck takes it for the end of a definition.)
            "-Dmnl_attr_for_each_nested(attribute,nest)=while (next(&attribute))", "-Dmnl_attr_for_each(attribute,header,offset)=while (next(&attribute))",
            # cppcheck is no judge of what was set only where it is used: compilers and valgrind are.
            "--suppress=uninitvar", "--suppress=ctuuninitvar", "--suppress=uninitStructMember",
            "--template={file}:{line}: {id}: {message}", "--template-location={file}:{line}: note: {info}"]


def need(program):
    if not shutil.which(program):
        tap.skip_all(f"no {program} here")


def run(*command):
    return subprocess.run(command, cwd=tap.TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)


def first_lines(name):
    with open(tap.path(name), "rb") as file:
        return file.read(200).decode("utf-8", "replace")


def is_script(name):
    head = first_lines(name)
    return bool(re.match(r"#!/bin/(ba)?sh", head) or "# shellcheck shell=" in head)


def is_python(name):
    return name.endswith(".py") or first_lines(name).startswith("#!/usr/bin/env python3")


def shell(files):
    need("shellcheck")
    for name in filter(is_script, files):
        tap.result((out := run("shellcheck", "-x", "-S", "warning", name)).returncode == 0, name, out.stdout)


def layout(files, fix=False):
    need("clang-format")
    version = re.search(r"version (\d+)", run("clang-format", "--version").stdout)[1]
    if int(version) != FORMAT_VERSION:
        tap.skip_all(f"the layout is that of clang-format {FORMAT_VERSION}, and here is {version}")
    sources = [name for name in files if name.endswith((".c", ".h"))]
    if fix:
        run("clang-format", "-i", *sources)
    for name in sources:
        out = run("clang-format", "--dry-run", "-Werror", "--ferror-limit=3", name)
        tap.result(out.returncode == 0, name, out.stdout)


def c(files):
    need("cppcheck")
    sources = [name for name in files if re.fullmatch(r"(src|plugin)/.*\.c", name)]
    out = run(*CPPCHECK, *sources)
    found, at = {}, ""
    for line in out.stdout.splitlines():
        # A note belongs to what was found before it, wherever it points.
        at = at if ": note: " in line else line.split(":")[0]
        found.setdefault(at, []).append(line)
    for name in sources:
        tap.result(name not in found, name, *found.pop(name, []))
    tap.none([line for lines in found.values() for line in lines], "nothing elsewhere")


def python(files):
    for name in filter(is_python, files):
        try:
            compile(tap.read(name), name, "exec")
            tap.result(True, name)
        except SyntaxError as error:
            tap.result(False, name, error)


def long_functions(name, lines):
    """clang-format has the braces of a function, and of nothing else that has statements, in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start - 1 > MOST_FUNCTION_LINES:
                yield f"{name}:{start}: a function of {number - start - 1} lines"
            start = None


def size(files):
    for name in files:
        if not name.endswith((".c", ".h", ".py")) and not is_script(name):
            continue
        lines = tap.read(name).splitlines()
        found = list(long_functions(name, lines)) if name.endswith((".c", ".h")) else []
        if len(lines) > MOST_LINES:
            found.append(f"{name}: {len(lines)} lines")
        tap.result(not found, name, *found)


def main():
    words = [word for word in sys.argv[1:] if word != "--fix"]
    files = [name for name in tap.source_files() if "/corpus/" not in name]
    {"shell": shell, "format": lambda names: layout(names, "--fix" in sys.argv), "c": c, "python": python, "size": size}[words[0]](files)
    tap.done()


main()
