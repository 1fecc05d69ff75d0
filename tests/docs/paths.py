#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the documentation names is there: links and their anchors, files and folders, meson suites, test functions."""
import glob
import os
import re

import tap

PLACEHOLDER = re.compile(r"(?<![A-Za-z])[A-Z]{2,}(?![A-Za-z])")
FOLDERS = ("contrib", "docs", "include", "man", "plugin", "src", "tests")
NAMED = re.compile(r"(?:%s)/[\w./*{},+-]*" % "|".join(FOLDERS))


def documents(files):
    return [name for name in files if name.endswith(".md")]


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def anchors(name):
    """As GitHub makes them from headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(tap.read(name)), flags=re.M):
        heading = re.sub(r"[`*]", "", heading.strip().lower())
        found.add(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-"))
    return found


def broken_links(name):
    text = without_code(tap.read(name))
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        file = os.path.normpath(os.path.join(os.path.dirname(name), file)) if file else name
        if not os.path.exists(tap.path(file)):
            yield f"{name}: link to {target}: no such file"
        elif anchor and file.endswith(".md") and anchor not in anchors(file):
            yield f"{name}: link to {target}: no such heading"


def expand(name):
    """a/{b,c} and a/b.{c,h} as the shell would."""
    match = re.search(r"\{([^{}]*)\}", name)
    if not match:
        return [name]
    return [one for part in match[1].split(",")
            for one in expand(name[:match.start()] + part + name[match.end():])]


def missing(name):
    """Files and folders named in a document that do not exist; words in capitals stand for something."""
    for word in re.findall(r"(?<![\w/.-])" + NAMED.pattern, tap.read(name)):
        word = word.rstrip(".,")
        if word.count("{") != word.count("}") or PLACEHOLDER.search(word.replace("README", "")):
            continue
        for one in expand(word):
            if not glob.glob(tap.path(one)):
                yield f"{name}: {one}"


def missing_short(name, files):
    """Files that a document names without their folders, or with some of them: `io.c`, `settings/config.h`."""
    known = {path[at:] for path in files for at in [0] + [i + 1 for i, sign in enumerate(path) if sign == "/"]}
    for word in re.findall(r"`((?:\w+/)*\w+\.(?:c|h|py))`", without_code(tap.read(name))):
        if word not in known and not PLACEHOLDER.search(word):
            yield f"{name}: {word}"


def missing_tests(name, tests):
    """Test functions that a document names."""
    for word in re.findall(r"\btest_\w+", without_code(tap.read(name))):
        if word not in tests:
            yield f"{name}: {word}"


def missing_documents(name):
    """The same for documents that a source file points to."""
    if name.endswith((".md", ".json", ".svg")):
        return
    try:
        text = tap.read(name)
    except UnicodeDecodeError:
        return
    for word in re.findall(r"(?<![\w/.-])docs/[\w./-]+\.md", text):
        if not os.path.exists(tap.path(word)):
            yield f"{name}: {word}"


def suites(files):
    """There is one for each folder of tests; some have more."""
    builds = [name for name in files if re.fullmatch(r"tests/\w+/meson\.build", name)]
    more = {suite for name in builds for suite in re.findall(r"suite:.*'([\w-]+)'", tap.read(name))}
    return {name.split("/")[1] for name in builds} | more


def main():
    files = tap.source_files()
    known = suites(files)
    tests = {word for name in files if re.fullmatch(r"tests/.*\.(c|py)", name)
             for word in re.findall(r"\btest_\w+", tap.read(name))}
    for name in documents(files):
        tap.none(broken_links(name), f"{name}: links")
        tap.none([*missing(name), *missing_short(name, files)], f"{name}: files")
        tap.none(missing_tests(name, tests), f"{name}: test functions")
        named = re.findall(r"--suite[ =]([\w-]+)", tap.read(name))
        tap.none(sorted(set(named) - known), f"{name}: suites")
    tap.none([line for name in files for line in missing_documents(name)], "documents that sources name")
    tap.done()


main()
