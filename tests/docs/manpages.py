#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Man pages are clean, are installed, and show example code that is built and run (tests/examples)."""
import glob
import os
import re
import shutil
import subprocess

import tap


def examples(text):
    """(source file, code) of each example that says where it comes from."""
    for match in re.finditer(r'^\.\\" source: (\S+)\n\.Bd -literal.*?\n(.*?)^\.Ed$', text, flags=re.S | re.M):
        code = match[2].replace("\\&", "").replace("\\e", "\\")
        yield match[1], code


def check_examples(page):
    shown = list(examples(tap.read(page)))
    for source, code in shown:
        # All but the licence line.
        wanted = tap.read(source).split("\n", 1)[1]
        differs = [f"page: {a}\nfile: {b}" for a, b in zip(code.splitlines(), wanted.splitlines()) if a != b]
        tap.result(code == wanted, f"{page} shows {source} as it is", *differs[:3])
    return {source for source, _ in shown}


def check_lint(page):
    if not shutil.which("mandoc"):
        tap.skip(f"{page} is clean", "there is no mandoc")
        return
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", tap.path(page)],
                          capture_output=True, text=True)
    tap.result(lint.returncode == 0 and not lint.stdout, f"{page} is clean", lint.stdout, lint.stderr)


def main():
    pages = sorted(os.path.relpath(p, tap.TOP) for p in glob.glob(tap.path("man", "*.[1-9]")))
    installed = tap.read("man/meson.build")
    shown = set()
    for page in pages:
        check_lint(page)
        tap.result(os.path.basename(page) in installed, f"{page} is installed (man/meson.build)")
        shown |= check_examples(page)
    programs = {f"tests/examples/{os.path.basename(p)}" for p in glob.glob(tap.path("tests", "examples", "*.c"))}
    tap.none(sorted(programs - shown), "every program in tests/examples is in a man page")
    build = tap.read("tests/examples/meson.build")
    tap.none([p for p in sorted(programs) if f"'{os.path.basename(p)[:-2]}'" not in build],
             "every program in tests/examples is built")
    tap.done()


main()
