#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each deliberate fault of contrib/mutate can be put in at exactly one place, and the tests that have to catch it exist.

Usage: mutations.py BUILD_ROOT
"""
import sys

import tap

sys.path.insert(0, tap.path("contrib/lib"))
sys.dont_write_bytecode = True
try:
    import mutate
except ModuleNotFoundError as error:
    tap.skip_all(f"this Python has no {error.name}")


def main():
    faults = mutate.load()
    tap.none(mutate.problems(faults), f"{len(faults)} faults can be put in")
    known = mutate.tests_of(sys.argv[1])
    what = "the tests that have to catch them exist"
    if any(test.startswith("daemon/") for test in known) and any(test.startswith("plugin/") for test in known):
        tap.none(mutate.problems(faults, known=known), what)
    else:
        tap.skip(what, "this build has not all of them")
    tap.done()


main()
