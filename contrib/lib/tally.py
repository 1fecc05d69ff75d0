# SPDX-License-Identifier: BSD-3-Clause
"""Count what `meson test` ran, from its testlog.json: each point of a TAP program is a test of its own."""
import json
import re

POINT = re.compile(r"^(not )?ok\b *(\d+)? *-? *([^#]*?) *(?:# *(skip|todo)\S*\b *(.*))?$", re.IGNORECASE)
PLAN_SKIP = re.compile(r"^1\.\.0 *# *skip\S* *(.*)$", re.IGNORECASE)


class Tally:
    """Passed, failed and skipped tests; the latter two with names and reasons."""

    def __init__(self):
        self.passed = 0
        self.failed = []   # (name, what was printed)
        self.skipped = []  # (name, reason)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def around(lines, at):
    """What a TAP program said about the point in line `at`: the lines between its neighbours."""
    first = at
    while first > 0 and not POINT.match(lines[first - 1]):
        first -= 1
    last = at + 1
    while last < len(lines) and not POINT.match(lines[last]):
        last += 1
    return "\n".join(lines[first:last]).strip()


def said_before(lines, at):
    """The comment right before a point, or nothing."""
    return lines[at - 1][1:].strip() if at and lines[at - 1].startswith("#") else ""


def count_points(name, text):
    """The points of one TAP program, or None if it printed no TAP."""
    tally = Tally()
    seen = False
    lines = text.splitlines()
    for at, line in enumerate(lines):
        plan = PLAN_SKIP.match(line)
        if plan:
            tally.skipped.append((name, plan.group(1) or "no reason given"))
            seen = True
            continue
        point = POINT.match(line)
        if not point:
            continue
        seen = True
        bad, number, what, directive, reason = point.groups()
        what = f"{name}: {what or number or '?'}"
        if directive and directive.lower() == "skip":
            if reason and not point.group(3):  # cmocka's: "not ok 4 # SKIP test_name", and why in a line before it
                what, reason = f"{name}: {reason}", said_before(lines, at)
            tally.skipped.append((what, reason or "no reason given"))
        elif bad and not directive:
            tally.failed.append((what, around(lines, at)))
        else:
            tally.passed += 1
    return tally if seen else None


def only_skipped(tally, entry):
    """cmocka 1.1.5 writes a skipped test as "not ok # SKIP", which meson takes for a failure."""
    return entry["result"] == "FAIL" and entry.get("returncode") == 0 and tally.skipped and not tally.failed


def count_program(entry):
    """One line of testlog.json."""
    name, result = entry["name"], entry["result"]
    output = entry.get("stdout") or ""
    printed = (output + "\n" + (entry.get("stderr") or "")).strip()
    tally = count_points(name, output) or Tally()
    points = tally.passed + len(tally.failed) + len(tally.skipped)
    if result in ("OK", "EXPECTEDFAIL") or only_skipped(tally, entry):
        if not points:
            tally.passed = 1
    elif result == "SKIP":
        if not points:
            tally.skipped.append((name, last_line(printed) or "no reason given"))
    elif not tally.failed:
        tally.failed.append((name, f"{result}, exit status {entry.get('returncode')}\n{printed}"))
    return tally


def count_log(path):
    """A whole testlog.json."""
    tally = Tally()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.strip():
                tally.add(count_program(json.loads(line)))
    return tally
