#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The libraries, their headers and their man pages tell of the same functions, types and members.

Usage: symbols.py LIBZSMALLOC LIBZSBLK   (the shared libraries; without them, that part is skipped)
"""
import re
import shutil
import subprocess
import sys

import tap

PAGES = {"zsmalloc": ("include/zsmalloc.h", "man/zsmalloc.3"),
         "zsblk": ("include/zsblk.h", "man/zsblk.3")}


def read_header(path):
    """A header with the parts of it that are files of their own, such as zsblk_cold.h."""
    text = tap.read(path)
    name = path.removesuffix(".h").rsplit("/", 1)[-1]
    parts = re.findall(rf'^#include "({name}_\w+\.h)"', text, flags=re.M)
    return ";\n".join([text] + [tap.read(f"include/{part}") for part in parts])


def plain(text):
    """C without comments and preprocessor lines."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"^#.*$", "", text, flags=re.M)


def squeeze(text):
    return re.sub(r"\s*([*(),])\s*", r"\1", " ".join(text.split()))


def header_functions(text):
    """Name to prototype, of the functions a header declares."""
    outer = text
    while re.search(r"struct \w+ \{[^{}]*\}", outer):
        outer = re.sub(r"\{[^{}]*\}", "", outer)
    found = {}
    for statement in outer.split(";"):
        match = re.fullmatch(r"\s*(?:extern \"C\" \{)?\s*((?:const )?(?:struct |enum )?\w+[\s*]+?)(\w+)\((.*)\)\s*",
                             statement, flags=re.S)
        if match and "typedef" not in statement and not re.search(r"\b\w+\(", match[3]):
            found[match[2]] = squeeze(f"{match[1]} {match[2]}({match[3]})")
    return found


def page_functions(text):
    """The same from the SYNOPSIS of a man page."""
    synopsis = text.split(".Sh SYNOPSIS")[1].split(".Sh ")[0]
    found = {}
    result = name = None
    arguments = []
    for line in synopsis.splitlines():
        words = re.findall(r'"([^"]*)"|(\S+)', line)
        words = [quoted or bare for quoted, bare in words]
        if not words:
            continue
        if words[0] == ".Ft":
            result = " ".join(words[1:])
        elif words[0] == ".Fn":
            found[words[1]] = squeeze(f"{result} {words[1]}({', '.join(words[2:])})")
        elif words[0] == ".Fo":
            name, arguments = words[1], []
        elif words[0] == ".Fa":
            arguments += words[1:]
        elif words[0] == ".Fc":
            found[name] = squeeze(f"{result} {name}({', '.join(arguments)})")
    return found


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                         capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()}


def members(text):
    """Members of the structs that a header defines, and the constants of its enums."""
    for match in re.finditer(r"struct (\w+) \{(.*?)\n\}", text, flags=re.S):
        for statement in match[2].split(";"):
            pointer = re.search(r"\(\*(\w+)\)\(", statement)
            if pointer:
                yield f"struct {match[1]}", pointer[1]
                continue
            for part in statement.split(","):
                name = re.search(r"(\w+)(\[\w*\])?\s*$", part)
                if name:
                    yield f"struct {match[1]}", name[1]
    for match in re.finditer(r"enum (\w+) \{(.*?)\}", text, flags=re.S):
        for name in re.findall(r"\b([A-Z][A-Z0-9_]+)\b", match[2]):
            yield f"enum {match[1]}", name


def check_page(name, header, page):
    declared = header_functions(plain(read_header(header)))
    shown = page_functions(tap.read(page))
    tap.none([f"{f}: not in the SYNOPSIS of {page}" for f in sorted(declared.keys() - shown.keys())] +
             [f"{f}: not in {header}" for f in sorted(shown.keys() - declared.keys())],
             f"{page} has the {len(declared)} functions of {header}")
    tap.none([f"{header}: {declared[f]}\n{page}: {shown[f]}" for f in sorted(declared.keys() & shown.keys())
              if declared[f] != shown[f]], f"{page} has their prototypes")
    body = tap.read(page).split(".Sh DESCRIPTION")[1]
    described = set(re.findall(r"^\.(?:Fn|Fo) (\w+)", body, flags=re.M))
    tap.none([f for f in sorted(declared) if f not in described], f"{page} says something of each")
    words = set(re.findall(r"[A-Za-z_]\w*", body))
    # A series is described by its first and last names.
    series = re.compile(r"ZS_INUSE_RATIO_[2-8]0")
    tap.none([f"{member} of {owner}" for owner, member in members(plain(read_header(header)))
              if member not in words and not series.fullmatch(member)],
             f"{page} tells of every public member and constant")
    return declared


def main():
    libraries = dict(zip(PAGES, sys.argv[1:]))
    declared = {name: check_page(name, *PAGES[name]) for name in PAGES}
    for name in PAGES:
        what = f"lib{name}.so exports what the headers declare"
        if name not in libraries:
            tap.skip(what, "the library was not given")
        elif not shutil.which("nm"):
            tap.skip(what, "there is no nm")
        else:
            symbols = exported(libraries[name])
            tap.none([f"{f}: declared, not exported" for f in sorted(declared[name].keys() - symbols)] +
                     [f"{f}: exported, not declared" for f in sorted(symbols - declared[name].keys())], what)
    tap.done()


main()
