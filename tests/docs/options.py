#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Options and parameters that --help tells of are documented, and no other.

Usage: options.py BUILD_ROOT
"""
import glob
import os
import re
import shutil
import subprocess
import sys

import tap


def run(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return done.returncode, done.stdout + done.stderr


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def page_options(page):
    """Long options that an mdoc page marks as its own."""
    return {f"-{name}" for name in re.findall(r"\bFl (-[a-z][a-z0-9-]*)", tap.read(page).replace("\\-", "-"))}


def find(build, *names):
    for name in names:
        if os.path.exists(os.path.join(build, name)):
            return os.path.join(build, name)
    return None


def check_bench(build):
    what = "man/zsblk-bench.1 has the options of zsblk-bench --help"
    program = find(build, "src/bench/zsblk-bench", "zsblk-bench")
    if not program:
        tap.skip(what, "zsblk-bench is not built")
        return
    status, text = run(program, "--help")
    page = "man/zsblk-bench.1"
    shown = page_options(page) if tap.exists(page) else set()
    told = options(text)
    tap.result(status == 0 and told, "zsblk-bench --help says something", text)
    tap.none([f"{o}: not in the man page" for o in sorted(told - shown - {"--help", "--version"})] +
             [f"{o}: not in --help" for o in sorted(shown - told)], what)


def check_daemon(build):
    what = "man/zsblkd.8 has the options of zsblkd --help"
    program = find(build, "src/daemon/zsblkd")
    if not program:
        tap.skip(what, "zsblkd is not built")
        return
    status, text = run(program, "--help")
    shown, told = page_options("man/zsblkd.8"), options(text)
    tap.result(status == 0 and told, "zsblkd --help says something", text)
    tap.none([f"{o}: not in the man page" for o in sorted(told - shown - {"--help", "--version"})] +
             [f"{o}: not in --help" for o in sorted(shown - told)], what)
    # Keys of configuration files, as the source has them.
    source = tap.read("src/daemon/settings/settings_keys.c")
    keys = re.findall(r'^\t\{"([a-z-]+)", (?:NULL|"([a-z-]+)"), set_', source, flags=re.M)
    page = tap.read("man/zsblk.conf.5").replace("\\-", "-")
    tap.none([key for pair in keys for key in pair if key and key not in page] or ([] if keys else ["no keys found"]),
             "man/zsblk.conf.5 has every key of configuration files")


def verb_rows():
    """Names of verbs and of their long options, as src/ctl/verbs.c and options.c have them."""
    source, header = tap.read("src/ctl/verbs.c"), tap.read("src/ctl/options.c")
    names = {bit: f"--{name}" for name, bit in re.findall(r'\{"([a-z-]+)",\s+(OPTION_[A-Z_]+),', header)}
    return re.findall(r'\.name = "([a-z-]+)"', source), set(names.values())


def completed(path):
    """The words of a completion, and the long options in it: fish has them without dashes."""
    text = tap.read(path)
    return set(re.findall(r"[a-z][a-z-]+", text)), options(text) | {f"--{name}" for name in re.findall(r"-l ([a-z-]+)", text)}


def check_ctl(build):
    what = "man/zsblkctl.8 and completions have the verbs and options of zsblkctl --help"
    program = find(build, "src/ctl/zsblkctl")
    if not program:
        tap.skip(what, "zsblkctl is not built")
        return
    status, text = run(program, "--help")
    verbs, known = verb_rows()
    told = re.findall(r"^  ([a-z][a-z-]*)(?: |$)", text.split("\nVerbs\n")[1].split("\n\n")[0], flags=re.M)
    tap.result(status == 0 and told == verbs and options(text) == known, "zsblkctl --help has all verbs and options", text)
    page = tap.read("man/zsblkctl.8")
    shown = page_options("man/zsblkctl.8")
    paragraphs = re.findall(r"^\.It Cm ([a-z-]+)(?: |$)", page, flags=re.M)
    tap.none([f"{verb}: has no paragraph" for verb in verbs if verb not in paragraphs] +
             [f"{verb}: there is no such verb" for verb in paragraphs if verb not in verbs] +
             [f"{o}: not in the man page" for o in sorted(known - shown)] + [f"{o}: not in --help" for o in sorted(shown - known)], what)
    for name in ("zsblkctl.bash", "_zsblkctl", "zsblkctl.fish"):
        words, own = completed(f"contrib/completions/{name}")
        # Options of other programs are in there as well.
        tap.none([verb for verb in verbs if verb not in words] + sorted(known - own), f"contrib/completions/{name}")


def check_ublk(build):
    what = "man/zsblk-ublk.8 has the options and parameters of zsblk-ublk --help"
    program = find(build, "src/ublk/zsblk-ublk")
    if not program:
        tap.skip(what, "zsblk-ublk is not built")
        return
    status, text = run(program, "--help")
    page = "man/zsblk-ublk.8"
    shown, told = page_options(page), options(text)
    parameters = re.findall(r"^([a-z][a-z-]*)=", text, flags=re.M)
    tap.result(status == 0 and told and parameters, "zsblk-ublk --help says something", text)
    tap.none([f"{o}: not in the man page" for o in sorted(told - shown)] + [f"{o}: not in --help" for o in sorted(shown - told)] +
             [f"{p}: not in the man page" for p in parameters if f".It Cm {p}= " not in tap.read(page)], what)


def check_plugin(build):
    what = "man/nbdkit-zsblk-plugin.1 has the parameters of nbdkit zsblk --help"
    plugin = find(build, "zsblk.so", "plugin/zsblk.so", "plugin/nbdkit-zsblk-plugin.so")
    if not plugin:
        tap.skip(what, "the plugin is not built")
        return
    if not shutil.which("nbdkit"):
        tap.skip(what, "there is no nbdkit")
        return
    status, text = run("nbdkit", plugin, "--help")
    told = set(re.findall(r"^\s*([a-z][a-z-]*)=", text, flags=re.M))
    page = "man/nbdkit-zsblk-plugin.1"
    page = tap.read(page).replace("\\-", "-") if tap.exists(page) else ""
    tap.result(status == 0 and told, "nbdkit zsblk --help says something", text)
    tap.none([o for o in sorted(told) if not re.search(r"\b%s\b" % re.escape(o), page)], what)


def check_script(script, documents):
    with open(tap.path(script), "rb") as file:
        if not file.read(2) == b"#!":
            return
    status, text = run(tap.path(script), "--help")
    tap.result(status == 0 and text, f"{script} --help works", text)
    told = options(text) - {"--help"}
    # The options of other programs that a help text shows are not the script's own.
    own = {o for o in told if re.search(r"^\s+(?:-\w, )?%s\b|[\[|]\s*%s\b" % (o, o), text, flags=re.M)}
    tap.none([o for o in sorted(own) if o not in documents],
             f"{script}: its options are in README.md, CONTRIBUTING.md or docs")


def main():
    build = sys.argv[1]
    check_bench(build)
    check_daemon(build)
    check_plugin(build)
    check_ublk(build)
    check_ctl(build)
    names = ["README.md", "CONTRIBUTING.md"] + glob.glob("docs/**/*.md", root_dir=tap.TOP, recursive=True)
    documents = options("".join(tap.read(name) for name in names))
    for script in sorted(glob.glob("contrib/*", root_dir=tap.TOP)):
        if os.path.isfile(tap.path(script)) and os.access(tap.path(script), os.X_OK):
            check_script(script, documents)
    tap.done()


main()
