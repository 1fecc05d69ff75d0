# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of zsblkctl share: a folder with instances, each a real server of its own, and the tool that looks for them there."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "plugin"))
from zsblktest import *  # noqa: E402, F403
import zsblktest  # noqa: E402

ZSBLKCTL = os.environ["ZSBLKCTL"]          # what is installed
ZSBLKCTL_HERE = os.environ["ZSBLKCTL_HERE"]  # the same, and looks for instances in ./run

# Exit codes, as zsblkctl(8) has them.
DONE, FAILED, WRONG_USE, NOT_RUNNING, NOT_ALLOWED, NO_ANSWER = range(6)


class Here:
    """A folder with run/NAME for each instance. Servers in it are started by serve()."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="zsblk-ctl-")
        self.servers = []
        os.mkdir(self.run(), 0o755)
        return self

    def __exit__(self, kind, value, trace):
        for server in reversed(self.servers):
            server.__exit__(kind, value, trace)
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, *parts):
        return os.path.join(self.path, "run", *parts)

    def make(self, name):
        """The folder of an instance, as zsblkd makes it."""
        os.mkdir(self.run(name), 0o700)
        return self.run(name)

    def serve(self, name, *params, **kwargs):
        if not os.path.exists(self.run(name)):
            self.make(name)
        server = Server(*params, f"control={self.run(name, 'control')}", **kwargs)
        self.servers.append(server)
        wait_for(lambda: os.path.exists(self.run(name, "control")), "the control socket")
        return server

    def ctl(self, *words, status=DONE, **kwargs):
        """What zsblkctl prints. Its errors have to be empty if it is done, and to begin with its name otherwise."""
        done = self.ctl_done(*words, **kwargs)
        assert status is None or done.returncode == status, \
            f"zsblkctl {' '.join(words)}: exit status {done.returncode}, wanted {status}:\n{done.stdout}{done.stderr}"
        if done.returncode == DONE:
            equal(done.stderr, "", "standard error")
        else:
            assert all(line.startswith("zsblkctl: ") for line in done.stderr.splitlines()) and done.stderr, done.stderr
        return done.stdout if done.returncode == DONE else done.stderr

    def ctl_done(self, *words, program=ZSBLKCTL_HERE, wrap=(), env=None, timeout=WAIT):
        return subprocess.run([*wrap, program, *words], cwd=self.path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, check=False, env={**os.environ, **(env or {})})

    def json(self, *words, **kwargs):
        return json.loads(self.ctl("--json", *words, **kwargs))


def has_control():
    """Does the plugin have the parameter control=?"""
    return "control=" in run("nbdkit", zsblktest.PLUGIN, "--help", env=zsblktest.ENV)
