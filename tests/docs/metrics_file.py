#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The command of zsblk-metrics.service, whose folder may be another user's: no link that stands there, or comes to stand there, is followed.

Usage: metrics_file.py UNIT
"""
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import tap

# What the real one prints may have a backslash in a label, and must be on the disk as it is.
TEXT = 'zsblk_up{name="a\\\\n"} 1\nzsblk_stored_bytes{name="100%"} 7\n'


def command(unit):
    """The shell's options and script, as the shell gets them: units have percent signs and backslashes twice."""
    option, script = re.search(r"^ExecStart=/bin/sh (-\w+) '(.*)'$", tap.read(unit), re.M).groups()
    return [option, script.replace("%%", "%").replace("\\\\", "\\")]


def write(folder, text, status=0, program="zsblkctl", meanwhile=""):
    """
    Run the command, with a zsblkctl that prints this text. `meanwhile` is what somebody does while `program` runs, after it has done its
    work.
    """
    programs = os.path.join(folder, "programs")
    shutil.rmtree(programs, ignore_errors=True)
    os.mkdir(programs)
    scripts = {"zsblkctl": f"cat <<'END'\n{text}END\n"}
    scripts.setdefault(program, f'{shutil.which(program)} "$@"\n')
    scripts[program] += meanwhile
    for name, script in scripts.items():
        with open(os.path.join(programs, name), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{script}\nexit {status}\n")
        os.chmod(file.name, 0o755)
    environment = {"PATH": programs + ":" + os.environ["PATH"], "FILE": os.path.join(folder, "theirs/zsblk.prom")}
    return subprocess.run(["/bin/sh", *command(sys.argv[1])], capture_output=True, text=True, check=False, timeout=60,
                          env=environment, umask=0o022)


def check_plain(folder):
    theirs = os.path.join(folder, "theirs")
    for text in (TEXT, TEXT + TEXT):
        done = write(folder, text)
        tap.result(done.returncode == 0 and tap.read(os.path.join(theirs, "zsblk.prom")) == text, "the file has what zsblkctl printed",
                   done.stderr)
    tap.result(stat.S_IMODE(os.stat(os.path.join(theirs, "zsblk.prom")).st_mode) == 0o644, "others may read it")
    tap.result(os.listdir(theirs) == ["zsblk.prom"], "nothing else is there", *os.listdir(theirs))
    done = write(folder, "half\n", status=1)
    tap.result(done.returncode != 0 and tap.read(os.path.join(theirs, "zsblk.prom")) == TEXT + TEXT,
               "the file stays as it was when zsblkctl fails", done.stderr)


def plant(folder, name):
    """A link to a file of root's, in the words of a shell; the file is new."""
    with open(os.path.join(folder, "victim"), "w", encoding="utf-8") as file:
        file.write("root's\n")
    os.chmod(file.name, 0o600)
    return f"ln -sfT '{file.name}' '{os.path.join(folder, 'theirs', name)}'"


def unharmed(folder):
    victim = os.path.join(folder, "victim")
    return tap.read(victim) == "root's\n" and stat.S_IMODE(os.stat(victim).st_mode) == 0o600


def check_links(folder):
    target = os.path.join(folder, "theirs/zsblk.prom")
    for name in ("zsblk.prom.new", "zsblk.prom"):
        subprocess.run(plant(folder, name), shell=True, check=True)
        done = write(folder, TEXT)
        tap.result(unharmed(folder), f"a link of the name {name} is not followed", done.stderr)
        tap.result(done.returncode == 0 and not os.path.islink(target), "and the file is there", done.stderr)
    for program in ("zsblkctl", "rm", "dd"):
        done = write(folder, TEXT, program=program, meanwhile=plant(folder, "zsblk.prom.new"))
        tap.result(unharmed(folder), f"nor one that comes to stand there while {program} runs", done.stderr)


def main():
    for check in (check_plain, check_links):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "theirs"))
            check(folder)
    tap.done()


main()
