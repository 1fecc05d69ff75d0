#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""systemd's own opinion of the units: systemd-analyze verify is silent, and security says what it said when it was looked at.

Usage: units.py FOLDER ZSBLKD
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import tap

# systemd-analyze security of systemd 252, at most: what the job leaves exposed is explained in the unit.
EXPOSURE = {"zsblk@.service": 4.2, "zsblk-disk@.service": 1.0, "zsblk-reexec.service": 4.0}


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def copy(source, program, target):
    """The units as they are installed, with an instance of each template."""
    for path in sorted(glob.glob(os.path.join(source, "zsblk*.s*"))):
        name = os.path.basename(path).removesuffix(".in")
        text = tap.read(path).replace("@sbindir@/zsblkd", program)
        for instance in {name, name.replace("@.", "@test.")}:
            with open(os.path.join(target, instance), "w", encoding="utf-8") as file:
                file.write(text)
        yield name


def main():
    source, program = sys.argv[1], os.path.abspath(sys.argv[2])
    if not shutil.which("systemd-analyze"):
        tap.skip("systemd-analyze is content", "there is no systemd-analyze")
        tap.done()
        return
    with tempfile.TemporaryDirectory() as folder:
        names = list(copy(source, program, folder))
        for name in names:
            path = os.path.join(folder, name.replace("@.", "@test."))
            _, said = analyze("verify", "--man=no", path)
            # Only what it says of ours: the machine's own units are not our business. And nbdkit is no matter here.
            ours = [line for line in said.splitlines() if "zsblk" in line and "nbdkit is not executable" not in line]
            tap.none(ours, f"systemd-analyze verify {name}")
            if name.endswith(".socket"):
                continue
            _, said = analyze("security", "--offline=true", "--no-pager", path)
            level = re.search(r"Overall exposure level[^:]*: ([0-9.]+)", said)
            tap.result(level and float(level[1]) <= EXPOSURE[name],
                       f"systemd-analyze security {name}: {level[1] if level else '?'}, at most {EXPOSURE[name]}", said)
    tap.result(set(EXPOSURE) < set(names), "all services were looked at", *names)
    tap.done()


main()
