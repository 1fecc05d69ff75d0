# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of backing stores share: spill_driver, which does what it is told."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../plugin"))
from zsblktest import *  # noqa: E402,F401,F403
from zsblktest import WAIT, contains, equal  # noqa: E402

DRIVER = os.environ.get("SPILL_DRIVER", "build/tests/interop/spill_driver")
TEXT = b"The quick brown fox jumps over the lazy dog. "


class Driver:
    """An owner of a store: a process. Its table is a file, with which the next one can go on."""

    def __init__(self, folder, table="table", wrap=()):
        self.table = os.path.join(folder, table)
        self.process = subprocess.Popen([*wrap, DRIVER, self.table], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, *words):
        """Give a command whose answer is waited for later."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the driver has ended"
        return line.strip()

    def tell(self, *words):
        self.begin(*words)
        return self.answer()

    def expect(self, wanted, *words):
        equal(self.tell(*words), wanted, " ".join(map(str, words)))

    def open(self, location, **options):
        self.expect("ok 0", "open", location, *(f"{name}={value}" for name, value in options.items()))
        return self

    def refused(self, error, text, location, **options):
        """The store is not opened, for this reason."""
        said = self.tell("open", location, *(f"{name}={value}" for name, value in options.items()))
        assert not said.startswith("ok"), said
        contains(said, error + " ", text)

    def number(self, *words):
        answer = self.tell(*words)
        assert answer.startswith("ok "), answer
        return int(answer.split()[1])

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None and not error[0]:
            self.process.stdin.close()
            equal(self.process.wait(WAIT), 0, "exit status of the driver")
            self.process.stdout.close()
        else:
            self.kill()
