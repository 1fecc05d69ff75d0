#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""systemd's own opinion of the units: systemd-analyze verify is silent, and security says what it said when it was looked at.

Usage: units.py UNIT ZSBLKD
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import tap

# systemd-analyze security of systemd 252: what the job leaves exposed is explained in the unit.
EXPOSURE_AT_MOST = 4.5


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def main():
    unit, program = sys.argv[1], os.path.abspath(sys.argv[2])
    if not shutil.which("systemd-analyze"):
        tap.skip("systemd-analyze is content", "there is no systemd-analyze")
        tap.done()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "zsblk@test.service")
        text = re.sub(r"(Exec\w+=)\S*/zsblkd", rf"\1{program}", tap.read(unit))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        status, said = analyze("verify", "--man=no", path)
        # Only what it says of ours: the machine's own units are not our business.
        ours = [line for line in said.splitlines() if "zsblk" in line]
        tap.none(ours, "systemd-analyze verify zsblk@.service")
        status, said = analyze("security", "--offline=true", "--no-pager", path)
        level = re.search(r"Overall exposure level[^:]*: ([0-9.]+)", said)
        tap.result(level and float(level[1]) <= EXPOSURE_AT_MOST,
                   f"systemd-analyze security: {level[1] if level else '?'}, at most {EXPOSURE_AT_MOST}", said)
    tap.done()


main()
