#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What zsblkd holds for a server and its connections: memory for the next one, the mode of the socket, links to the kernel. Run
with the name of one test.

Environment: see zsblkdtest.py.
"""
import os
import pathlib
import re
import signal
import sys

from zsblkdtest import must, point, run, soon

HELD_KIB = 1024  # the recovery reserve of an instance


def shared_kib(instance):
    """Shared memory that the supervisor and the daemon have in memory: mostly what is held for the next server."""
    most = 0
    for pid in (instance.process.pid, instance.daemon()):
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        most = max(most, int(re.search(r"^RssShmem:\s+(\d+)", status, re.M)[1]))
    return most


def test_memory_for_the_next(instance):
    """It is given back before the next server starts, and taken again when that serves."""
    server = instance.serve()
    held = must(soon(lambda: (kib := shared_kib(instance)) >= HELD_KIB and kib, 30), "memory is held", shared_kib(instance))
    instance.script("kill -STOP $$")
    os.kill(server, signal.SIGKILL)
    must(soon(lambda: [pid for pid in instance.servers() if pid != server], 30), "the server is killed: the next one starts")
    point(soon(lambda: shared_kib(instance) <= held - HELD_KIB * 3 // 4, 30), "and has that memory",
          f"{held} KiB, then {shared_kib(instance)}")
    instance.script("")
    for pid in instance.servers():
        os.kill(pid, signal.SIGKILL)
    must(instance.new_server(server, 60), "a third one serves", instance.said())
    point(soon(lambda: shared_kib(instance) >= held, 30), "and memory is held again", f"{held} KiB, then {shared_kib(instance)}")
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_socket_mode(instance):
    """Only we can connect to a server, wherever its socket lies."""
    os.umask(0)
    first = instance.serve()
    for what in ("first", "second"):
        modes = [path.stat().st_mode & 0o777 for path in (instance.folder / "run" / instance.name).glob("*.sock")]
        point(modes == [0o600], f"the {what} server's socket has mode 0600", [oct(mode) for mode in modes])
        if what == "first":
            os.kill(first, signal.SIGKILL)
            must(instance.new_server(first), "it is killed: there is another", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_lost_link(instance):
    """The kernel gives a connection up, and the server lives and answers."""
    server = instance.serve()
    instance.mark()
    instance.world.cut = 1
    point(instance.says("lost its connection to the kernel", seconds=30), "a connection is lost: that is said", instance.said())
    must(instance.new_server(server), "and there is another server", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


TESTS = {"memory-for-the-next": test_memory_for_the_next, "socket-mode": test_socket_mode, "lost-link": test_lost_link}

run(TESTS[sys.argv[1]])
