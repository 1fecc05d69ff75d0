# SPDX-License-Identifier: BSD-3-Clause
"""Results in TAP, and the few things that all these checks ask about the source tree."""
import os
import subprocess
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
_count = 0
_failed = 0


def result(good, what, *details):
    """One test. The details are shown if it failed."""
    global _count, _failed
    _count += 1
    _failed += not good
    print(f"{'ok' if good else 'not ok'} {_count} - {what}")
    if not good:
        for detail in details:
            for line in str(detail).splitlines():
                print(f"# {line}")
    sys.stdout.flush()


def none(wrong, what):
    """One test: the list of what is wrong is empty."""
    wrong = list(wrong)
    result(not wrong, what, *wrong)


def skip(what, why):
    global _count
    _count += 1
    print(f"ok {_count} - {what} # SKIP {why}")


def done():
    print(f"1..{_count}")
    sys.exit(0)


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def exists(name):
    return os.path.exists(path(name))


def path(*parts):
    return os.path.join(TOP, *parts)


def read(name):
    with open(path(name), encoding="utf-8") as file:
        return file.read()


def source_files():
    """Paths, from the top of the tree, of every file of the sources: those git knows, so that what tests leave lying about does not count."""
    try:
        out = subprocess.run(["git", "-C", TOP, "ls-files", "-z"],
                             check=True, capture_output=True).stdout.decode()
        names = [name for name in out.split("\0") if name and os.path.isfile(path(name))]
        if names:
            return sorted(names)
    except (OSError, subprocess.CalledProcessError):
        pass
    names = []
    for folder, folders, files in os.walk(TOP):
        folders[:] = [f for f in folders
                      if f not in (".git", "__pycache__") and not f.startswith("build")
                      and not os.path.exists(os.path.join(folder, f, "build.ninja"))]
        # .git is a file where the folder is a worktree of another one.
        names += [os.path.relpath(os.path.join(folder, f), TOP) for f in files if f != ".git"]
    return sorted(names)
