#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""contrib/debian against the sources: each file that is installed is in one package, the symbols files have what the libraries export,
and what a build takes is the same as in contrib/packages/build.txt. What -dev packages depend on is what their files for pkg-config name.

Usage: packaging.py [--fix] BUILD-FOLDER LIBZSMALLOC LIBZSBLK   (--fix writes the symbols files anew)
"""
import fnmatch
import glob
import json
import os
import re
import subprocess
import sys

import tap

DEBIAN = "contrib/debian"
# The compiler and what comes with it are there in every build of a package; meson brings ninja.
IMPLIED = {"gcc", "libc6-dev", "ninja-build"}
# Debian 12 and 13 have the second under the first name as well; lintian of Debian 13 takes the second only.
RENAMED = {"pkg-config": "pkgconf"}
# What Debian's own way of building takes.
DEBIANS = {"debhelper-compat", "dh-apparmor", "dh-sequence-installsysusers", "procps"}


def build_options(build):
    with open(os.path.join(build, "meson-info/intro-buildoptions.json"), encoding="utf-8") as file:
        return {option["name"]: option["value"] for option in json.load(file)}


def installed(build):
    """Where files go in a package: as if the prefix were /usr and libraries had a folder for their architecture."""
    options = build_options(build)
    with open(os.path.join(build, "meson-info/intro-installed.json"), encoding="utf-8") as file:
        for path in json.load(file).values():
            path = re.sub(rf"^{re.escape(options['prefix'])}/{re.escape(options['libdir'])}/(?!systemd)", "/usr/lib/ARCH/", path)
            path = re.sub(rf"^{re.escape(options['prefix'])}/", "/usr/", path)
            path = re.sub(r"^/usr/lib(64|/[\w-]+-linux-[\w-]+)/", "/usr/lib/ARCH/", path)
            yield path.lstrip("/")


def takes(pattern, path):
    """As dh_install: a pattern names files, or a folder with all that is below it. A star matches no slash."""
    parts, words = path.split("/"), pattern.split("/")
    return len(words) <= len(parts) and all(fnmatch.fnmatchcase(part, word) for part, word in zip(parts, words))


def check_files(build):
    patterns = {}
    for file in glob.glob(f"{DEBIAN}/*.install", root_dir=tap.TOP):
        patterns[os.path.basename(file).removesuffix(".install")] = re.sub(r"^#.*$", "", tap.read(file), flags=re.M).split()
    wrong = []
    for path in sorted(installed(build)):
        owners = [package for package, lines in patterns.items() if any(takes(line, path) for line in lines)]
        if len(owners) != 1:
            wrong.append(f"{path} is in {len(owners)} packages: {' '.join(sorted(owners)) or 'name it in an .install file'}")
    tap.none(wrong, f"{DEBIAN}: each file is in one package")


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines()}


def check_symbols(name, library, fix):
    """New symbols get the version of the project; those that the file has keep theirs."""
    file = f"{DEBIAN}/{name}0.symbols"
    head = [line for line in tap.read(file).splitlines() if not line.startswith(" ")]
    listed = dict(re.findall(r"^ (\w+)@Base (\S+)$", tap.read(file), flags=re.M))
    now = exported(library)
    if fix and now != listed.keys():
        version = re.search(r"version: '([^']+)'", tap.read("meson.build"))[1] + "~git"
        lines = head + [f" {symbol}@Base {listed.get(symbol, version)}" for symbol in sorted(now)]
        with open(tap.path(file), "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
        listed = now
    tap.none([f"{symbol}: only in the library" for symbol in sorted(now - set(listed))] +
             [f"{symbol}: only in the file" for symbol in sorted(set(listed) - now)] +
             (["to mend it: tests/docs/packaging.py --fix " + " ".join(sys.argv[1:])] if now != set(listed) else []),
             f"{file} has what the library exports")


def check_build_depends():
    listed = re.search(r"^Build-Depends:\n((?: .*\n)+)", tap.read(f"{DEBIAN}/control"), flags=re.M)[1]
    control = {re.match(r"[\w.+-]+", word.strip())[0] for word in listed.split(",") if word.strip()}
    lines = [line.split("#")[0].split() for line in tap.read("contrib/packages/build.txt").splitlines()]
    build = {RENAMED.get(words[0], words[0]).lstrip("?") for words in lines if words}
    tap.none([f"{name}: not in {DEBIAN}/control" for name in sorted(build - control - IMPLIED)] +
             [f"{name}: not in contrib/packages/build.txt" for name in sorted(control - build - DEBIANS)],
             "a package is built with what contrib/setup installs for a build")


def check_pkg_config(name, build):
    """pkg-config looks for the files of what a library is made of, even if it only has to tell where the header is."""
    with open(os.path.join(build, f"meson-private/{name}.pc"), encoding="utf-8") as file:
        needed = set(re.findall(r"(?:^Requires.*?:|,) *([\w.+-]+)", "".join(line for line in file if line.startswith("Requires")), flags=re.M))
    packages = {words[1].removeprefix("pc:"): words[0]
                for words in map(str.split, tap.read("contrib/packages/build.txt").splitlines()) if len(words) > 1}
    paragraph = re.search(rf"^Package: lib{name}-dev\n(?:.+\n)*", tap.read(f"{DEBIAN}/control"), flags=re.M)[0]
    tap.none([f"{packages.get(module, module)}: not in Depends of lib{name}-dev" for module in sorted(needed)
              if not re.search(rf"\b{re.escape(packages.get(module, module))}\b", paragraph)],
             f"lib{name}-dev brings what its file for pkg-config asks for")


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--fix"]
    fix = "--fix" in sys.argv[1:]
    check_files(arguments[0])
    for library in arguments[1:]:
        name = re.match(r"lib([a-z]+)", os.path.basename(library))[1]
        check_symbols(f"lib{name}", library, fix)
        check_pkg_config(name, arguments[0])
    check_build_depends()
    tap.done()


main()
