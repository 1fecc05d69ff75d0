#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkctl doctor on this machine, whatever it finds there; tests/unit/doctor_test.c has each finding on machines of its own."""
import glob
import json

from ctltest import *  # noqa: F403
from ctltest import Here, WRONG_USE, ZSBLKCTL_HERE

WARNED = 6
SEVERITIES = ("well", "note", "warning", "problem")
SETTINGS = ["/proc/sys/vm/swappiness", "/proc/sys/vm/page-cluster", "/proc/sys/vm/watermark_boost_factor", "/proc/sys/vm/min_free_kbytes",
            "/proc/sys/kernel/shm*", "/proc/swaps", "/proc/modules", "/sys/module/zswap/parameters/enabled"]


def wanted_status(report):
    return 1 if report["problems"] else WARNED if report["warnings"] else 0


def settings():
    found = {}
    for name in (one for pattern in SETTINGS for one in glob.glob(pattern)):
        with open(name, encoding="ascii") as file:
            # Use counts of modules change by themselves.
            found[name] = [line.split()[0] for line in file] if name == "/proc/modules" else file.read()
    return found


@test
def as_json():
    """JSON has every finding, and the exit status tells the worst"""
    with Here() as here:
        before = settings()
        done = here.ctl_done("doctor", "--json")
        report = json.loads(done.stdout)
        equal(done.stderr, "", "standard error")
        equal(done.returncode, wanted_status(report), "exit status")
        checks = {finding["check"] for finding in report["findings"]}
        assert {"kernel", "rights", "nbd", "ublk", "memory limit", "zswap", "hibernation"} <= checks, checks
        for name in ("problem", "warning", "note"):
            equal(report[name + "s"], sum(finding["severity"] == name for finding in report["findings"]), name + "s")
        for finding in report["findings"]:
            assert finding["severity"] in SEVERITIES, finding
            if finding["severity"] != "well":
                assert finding["what"] and finding["why"] and finding["remedy"], finding
        after = settings()
        if "/proc/swaps" in before:  # how much is used changes by itself
            before["/proc/swaps"], after["/proc/swaps"] = ([line.split()[0] for line in one["/proc/swaps"].splitlines()] for one in (before, after))
        equal(after, before, "the machine")


@test
def for_people():
    """text has the same findings, the worst first, and their commands"""
    with Here() as here:
        report = json.loads(here.ctl_done("doctor", "--json").stdout)
        done = here.ctl_done("doctor")
        equal(done.returncode, wanted_status(report), "exit status")
        order = [SEVERITIES.index(line.split()[0]) for line in done.stdout.splitlines() if line.split(" ")[0] in SEVERITIES]
        equal(order, sorted(order, reverse=True), "order")
        for finding in report["findings"]:
            if finding["severity"] != "well":
                contains(done.stdout, f"{finding['check']}: {finding['what']}", finding["why"], *finding["remedy"])
        assert "\033" not in done.stdout, done.stdout


@test
def on_a_terminal():
    """sentences are no wider than the terminal"""
    need("script")
    with Here() as here:
        text = run("script", "-qec", f"stty cols 60; {ZSBLKCTL_HERE} doctor", "/dev/null", status=None, cwd=here.path,
                   env={**os.environ, "TERM": "vt100", "NO_COLOR": "1"})
        lines = [line.rstrip("\r") for line in text.splitlines()]
        commands = [line for line in lines if line.lstrip().startswith(("$", "#"))]
        wide = [line for line in lines if len(line) > 60 and line not in commands and len(line.split()) > 1]
        equal(wide, [], "lines that are too wide")


@test
def as_nobody_is():
    """an ordinary user gets a report as well"""
    with Here() as here:
        os.chmod(here.path, 0o755)
        done = here.ctl_done("doctor", "--json", wrap=as_nobody())
        report = json.loads(done.stdout)
        equal(done.returncode, wanted_status(report), "exit status")
        assert any(finding["check"] == "rights" and finding["severity"] != "well" for finding in report["findings"]), report


@test
def wrong_use():
    """doctor takes no names and no other options"""
    with Here() as here:
        contains(here.ctl("doctor", "swap0", status=WRONG_USE), "a word too many")
        contains(here.ctl("doctor", "--bytes", status=WRONG_USE), "does not take --bytes")


main()
