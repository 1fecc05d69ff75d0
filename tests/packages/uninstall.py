#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What `ninja install` puts somewhere, `ninja uninstall` takes away: every file, every link and every folder that was not there before.

Usage: uninstall.py BUILD-FOLDER
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/docs"))
import tap  # noqa: E402


def installed(build):
    """Paths that meson would install; some of what they are made of may not have been built."""
    found = json.loads((build / "meson-info/intro-installed.json").read_text(encoding="utf-8"))
    return {target: source for source, target in found.items()}


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode == 0, done.stdout


def try_it(build, root):
    # A folder that is there before is others', also if it is empty.
    theirs = root / "etc/zsblk"
    theirs.mkdir(parents=True)
    (theirs / "swap0.conf").write_text("size = 64\n", encoding="utf-8")
    before = everything(root)
    done, said = run("meson", "install", "-C", str(build), "--no-rebuild", "--destdir", str(root))
    tap.result(done, "meson install", said)
    there = set(files(root))
    tap.none([path for path in installed(build) if path.lstrip("/") not in there], "every file is there that meson tells of")
    done, said = run("ninja", "-C", str(build), "uninstall")
    tap.result(done, "ninja uninstall", said)
    tap.none(sorted(set(everything(root)) - set(before)), "nothing is left")
    tap.none(sorted(set(before) - set(everything(root))), "what was there before is still there")


def main():
    build = pathlib.Path(sys.argv[1])
    missing = [source for source in installed(build).values() if source.startswith(str(build)) and not os.path.lexists(source)]
    if missing:
        tap.skip_all(f"not all is built: {missing[0]}")
    # Of an installation that somebody may want to undo.
    log = build / "meson-logs/install-log.txt"
    with tempfile.TemporaryDirectory() as folder:
        kept = pathlib.Path(folder) / "install-log.txt"
        if log.exists():
            shutil.copy2(log, kept)
        root = pathlib.Path(folder) / "root"
        root.mkdir()
        try:
            try_it(build, root)
        finally:
            log.unlink(missing_ok=True)
            if kept.exists():
                shutil.copy2(kept, log)
    tap.done()


main()
