#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What zsblkd does to its device and lets its children do, with a stand-in for the kernel: see stand_in.c and zsblkdtest.py."""
import os
import signal
import subprocess
import sys
import time

from zsblkdtest import PROGRAM, must, point, run


def test_slow_children(instance):
    """Servers die while a child of the daemon still has copies of all descriptors: the event loop has to survive that."""
    instance.setting["ZSBLK_TEST_FORK_DELAY"] = "100"
    server = instance.serve()
    daemon = instance.daemon()
    for _ in range(8):
        with subprocess.Popen([PROGRAM, "--status", instance.name], cwd=instance.folder, env=instance.environment(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            time.sleep(0.02)
            os.kill(server, signal.SIGKILL)
        server = must(instance.new_server(server), "a server is killed while a child is being forked: there is another",
                      instance.said())
    point("the daemon (process" not in instance.said(), "and the daemon did not abort",
          instance.said())
    point(instance.daemon() == daemon, "it is the same daemon")
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


TESTS = {
    "slow-children": test_slow_children,
}

if __name__ == "__main__":
    run(TESTS[sys.argv[1]])
