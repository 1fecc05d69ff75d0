#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""systemd's own opinion of the units: systemd-analyze verify is silent, and security says what it said when it was looked at.

Usage: units.py FOLDER ZSBLKD METRICS

The units of zsblkd are in FOLDER, those for metrics in METRICS.
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
EXPOSURE = {"zsblk@.service": 4.2, "zsblk-disk@.service": 1.0, "zsblk-reexec.service": 4.0,
            "zsblk-metrics.service": 1.7, "zsblk-apparmor.service": 2.9}


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def copy(source, program, target):
    """The units as they are installed, with an instance of each template."""
    for path in sorted(glob.glob(os.path.join(source, "zsblk*.[st][eoi]*"))):
        name = os.path.basename(path).removesuffix(".in")
        text = tap.read(path).replace("@sbindir@/zsblkd", program).replace("@sbindir@", os.path.dirname(program))
        for instance in {name, name.replace("@.", "@test.")}:
            with open(os.path.join(target, instance), "w", encoding="utf-8") as file:
                file.write(text)
        yield name


TMP_MOUNT = """[Unit]
DefaultDependencies=no
Conflicts=umount.target
Before=local-fs.target umount.target
After=swap.target
[Mount]
What=tmpfs
Where=/tmp
Type=tmpfs
"""


def check_order(source, program):
    """A file system below /tmp, which systemd mounts after swap.target: no cycle once what is for swap is switched off."""
    with tempfile.TemporaryDirectory() as folder:
        list(copy(source, program, folder))
        drop_ins = os.path.join(folder, "zsblk@test.service.d")
        wants = os.path.join(folder, "swap.target.wants")
        for path in (drop_ins, wants):
            os.mkdir(path)
        os.symlink("../zsblk@test.service", os.path.join(wants, "zsblk@test.service"))
        files = {os.path.join(folder, "tmp.mount"): TMP_MOUNT,
                 os.path.join(drop_ins, "mount.conf"): "[Unit]\nRequiresMountsFor=/tmp/build\n"}
        for path, text in files.items():
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        order = os.path.join(drop_ins, "10-swap-order.conf")
        for name, switch, cycle in (("for swap", lambda: shutil.copy(os.path.join(source, "swap-order.conf"), order), True),
                                    ("switched off", lambda: (os.remove(order), os.symlink("/dev/null", order)), False)):
            switch()
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", "swap.target"], capture_output=True, text=True,
                                  check=False, timeout=60, env=os.environ | {"SYSTEMD_UNIT_PATH": folder + ":"})
            found = "zsblk@test.service" in done.stderr and "cycle" in done.stderr
            tap.result(found == cycle, f"mounted below /tmp, 10-swap-order.conf {name}: {'a' if cycle else 'no'} cycle", done.stderr)


def check_disk_user(source):
    """A disk's shared memory outlives its service: systemd removes that of a dynamic user, and with RemoveIPC=yes any user's."""
    service = tap.read(os.path.join(source, "zsblk-disk@.service"))
    settings = dict(re.findall(r"^(\w+)=(.*)$", service, re.M))
    users = re.findall(r"^u (\S+) ", tap.read(os.path.join(source, "zsblk.sysusers")), re.M)
    tap.result(settings.get("DynamicUser", "no") == "no" and settings.get("RemoveIPC", "no") == "no",
               "zsblk-disk@.service: shared memory stays when it ends", service)
    tap.result("StopPropagatedFrom=" not in tap.read(os.path.join(source, "zsblk-disk@.socket")),
               "zsblk-disk@.socket: stays when the service crashes")
    tap.result(settings.get("User") in users, "zsblk-disk@.service: its user is in zsblk.sysusers", service)


def main():
    source, program, metrics = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3]
    if not shutil.which("systemd-analyze"):
        tap.skip("systemd-analyze is content", "there is no systemd-analyze")
        tap.done()
        return
    with tempfile.TemporaryDirectory() as folder:
        names = [*copy(source, program, folder), *copy(metrics, program, folder)]
        for name in names:
            path = os.path.join(folder, name.replace("@.", "@test."))
            _, said = analyze("verify", "--man=no", path)
            # Only what it says of ours: the machine's own units are not our business. And other packages' programs are no matter here.
            ours = [line for line in said.splitlines() if "zsblk" in line and not re.search("(nbdkit|apparmor_parser) is not executable", line)]
            tap.none(ours, f"systemd-analyze verify {name}")
            if not name.endswith(".service"):
                continue
            _, said = analyze("security", "--offline=true", "--no-pager", path)
            level = re.search(r"Overall exposure level[^:]*: ([0-9.]+)", said)
            tap.result(level and float(level[1]) <= EXPOSURE[name],
                       f"systemd-analyze security {name}: {level[1] if level else '?'}, at most {EXPOSURE[name]}", said)
    check_disk_user(source)
    check_order(source, program)
    tap.result(set(EXPOSURE) < set(names), "all services were looked at", *names)
    tap.done()


main()
