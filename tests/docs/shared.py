#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What several man pages say in the same words is the same in all of them, and the servers' pages have every parameter there is.

Usage: shared.py [--fix]

A passage stands between two comments:

    .\\" shared: NAME
    .\\" end of NAME

A page needs no more than the comments: --fix copies each passage from the first page that has it, nbdkit-zsblk-plugin(1) before all
others, to those that have the comments too.
"""
import glob
import os
import re
import sys

import tap

PASSAGE = re.compile(r'^\.\\" shared: (.*)\n(.*?)^\.\\" end of \1\n', flags=re.S | re.M)
PAGES = [page for page in sorted(os.path.relpath(path, tap.TOP) for path in glob.glob(tap.path("man", "*.[1-9]")))
         if PASSAGE.search(tap.read(page))]
# Those that every server's page has: a page with one of them has all.
SERVERS = {"parameters", "statistics", "control groups"}
KEYS = "src/host/host_params.c"


def passages(page):
    return {match[1]: match[2] for match in PASSAGE.finditer(tap.read(page))}


def first_of_all():
    """Each passage, and the page that it is taken from."""
    found = {}
    for page in PAGES:
        for name, text in passages(page).items():
            found.setdefault(name, (page, text))
    return found


def fix():
    texts = first_of_all()
    for page in PAGES:
        with open(tap.path(page), "r+", encoding="utf-8") as file:
            text = PASSAGE.sub(lambda match: f'.\\" shared: {match[1]}\n{texts[match[1]][1]}.\\" end of {match[1]}\n', file.read())
            file.seek(0)
            file.write(text)
            file.truncate()


def differences(name, page, text):
    source, wanted = first_of_all()[name]
    if text != wanted:
        lines, others = text.splitlines(), wanted.splitlines()
        place = next((n for n, (a, b) in enumerate(zip(lines, others)) if a != b), min(len(lines), len(others)))
        yield f"{page}: {' '.join(lines[place:place + 1])!r} is {' '.join(others[place:place + 1])!r} in {source}; --fix copies that"


def check_page(page):
    found = passages(page)
    tap.none(sorted(SERVERS - set(found)), f"{page} has what all servers' pages have")
    begun = re.findall(r'^\.\\" (?:shared: |end of )(.*)$', tap.read(page), flags=re.M)
    tap.none([name for name in begun if begun.count(name) != 2 or name not in found], f"{page}: every passage has its end")
    tap.none([wrong for name, text in found.items() for wrong in differences(name, page, text)],
             f"{page}: the same as other pages")


def check_keys():
    """Against the table of keys in the source: the list of the man pages, in both directions."""
    table = re.findall(r'^\t\{"([a-z-]+)", set_', tap.read(KEYS), flags=re.M)
    _, text = first_of_all().get("parameters", (None, ""))
    listed = re.findall(r"^\.It Cm ([a-z-]+)= ", text, flags=re.M)
    tap.result(table and listed == table, "the man pages have the keys of the table, in its order", f"table: {table}", f"pages: {listed}")
    for page in PAGES:
        synopsis = tap.read(page).split(".Sh SYNOPSIS")[-1].split(".Sh ")[0]
        tap.none([key for key in table if f"Cm {key}= " not in synopsis], f"{page}: the synopsis has all of them")


def main():
    if sys.argv[1:] == ["--fix"]:
        fix()
        return
    for page in PAGES:
        check_page(page)
    check_keys()
    tap.done()


main()
