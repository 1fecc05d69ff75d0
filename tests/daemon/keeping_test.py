#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What zsblkd sees to while all is well: its server's socket, memory for the next one, the kernel's connections, and a server that is
not one yet. Run with the name of one test.

Environment: see zsblkdtest.py; ZSBLKD_FAULTY, the library of faulty.c.
"""
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import time

from fault_test import KINDS, make_plan
from zsblkdtest import PROGRAM, is_alive, must, point, run, soon


def test_socket(instance):
    """Nobody else is to connect to a server, in whatever folder its socket is."""
    server = instance.serve()
    for times in range(2):
        sockets = list((instance.folder / "run" / instance.name).glob(f"{server}-*.sock"))
        modes = [stat.S_IMODE(path.stat().st_mode) for path in sockets]
        point(modes == [0o600], "the server's socket is for us alone", [oct(mode) for mode in modes])
        if not times:
            os.kill(server, signal.SIGKILL)
            server = must(instance.new_server(server), "another server", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_control_socket(instance):
    """A control socket that could not be made is made later, and so is one that somebody has removed."""
    plan = make_plan(instance)
    plan.kind, plan.first, plan.times = KINDS.index("socket"), 1, 2
    instance.start()
    must(soon(lambda: "no control socket" in instance.said() and "ready" in instance.said()), "no socket can be had: it serves without",
         instance.said())
    plan.times = 0
    server = must(soon(instance.server, 30), "when there is one again, it can be asked", instance.said())
    point(soon(lambda: "the control socket is there now" in instance.said()), "which is said", instance.said())
    (instance.folder / "run" / instance.name / "daemon").unlink()
    point(soon(lambda: instance.server() == server, 30), "somebody has removed the socket: there is another one", instance.said())
    point(instance.ask("--stop")[0] == 0 and not (instance.folder / "run" / instance.name).exists(), "--stop", instance.said())


def held_kib(pid):
    """Of the memory that is held for the next server, 1 MiB here, with a page before it."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="ascii")
    found = re.search(r"/dev/zero \(deleted\)\nSize: +1028 kB(?:\n(?!Rss).*)*\nRss: +(\d+) kB", text)
    return int(found[1]) if found else -1


def test_ballast(instance):
    """Memory that is held for a start is given back before it."""
    server = instance.serve()
    before = held_kib(instance.process.pid)
    point(before == 1028, "memory is held for the start of a server", before)
    instance.script("sleep 2")
    os.kill(server, signal.SIGKILL)
    point(soon(lambda: [pid for pid in instance.servers() if pid != server]) and held_kib(instance.process.pid) <= 4,
          "when a server starts in place of another, it is given back", held_kib(instance.process.pid))
    must(instance.new_server(server), "which serves", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_links(instance):
    """The kernel tells of a connection that it has given up; or it does not, and the daemon looks."""
    os.mkfifo(instance.folder / "links")
    server = instance.serve()
    with open(instance.folder / "links", "r+b", buffering=0) as links:
        offered = instance.world.offered
        links.write(b"x")
        point(soon(lambda: instance.world.offered > offered), "a link has died, and ours are up: they are offered again",
              instance.said())
        point(instance.server() == server, "the server stays", instance.said())

        instance.mark()
        instance.world.cut = 1
        links.write(b"x")
        server = must(instance.new_server(server), "a link has died, and it is ours: another server", instance.said())
        point("lost its connection to the kernel" in instance.said(), "and why is said", instance.said())

    instance.mark()
    instance.world.cut = 1
    server = must(instance.new_server(server), "the same, and the kernel does not tell: another server", instance.said())
    point("lost its connection to the kernel" in instance.said(), "and why is said", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_links_adopted(instance):
    """The link of a server that an earlier daemon attached dies: this daemon has no copy of it, and replaces the server."""
    os.mkfifo(instance.folder / "links")
    server = instance.serve()
    daemon = instance.daemon()
    instance.mark()
    os.kill(daemon, signal.SIGKILL)
    must(soon(lambda: instance.daemon() not in (daemon, None, 0) and instance.server() == server), "the server is adopted", instance.said())
    with open(instance.folder / "links", "r+b", buffering=0) as links:
        links.write(b"x")
        point(instance.new_server(server), "an adopted server whose connection the kernel gave up is replaced", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_small(instance):
    """Supervisor and daemon are locked in memory: what they are linked with is, too. (The daemon also holds the files of its server.)"""
    instance.serve()
    maps = pathlib.Path(f"/proc/{instance.process.pid}/maps").read_text(encoding="ascii")
    libraries = {os.path.basename(line.split()[-1]) for line in maps.splitlines() if ".so" in line}
    large = ["libicu", "libxml2", "libgnutls", "libgomp"] + ([] if "libasan" in maps else ["libstdc++"])
    for program in (PROGRAM, os.environ["ZSBLKD"]):
        dynamic = subprocess.run(["readelf", "--dynamic", program], capture_output=True, text=True, check=True).stdout
        point("BIND_NOW" in dynamic, f"{os.path.basename(program)} looks up no symbol later than at its start", dynamic)
    point(not [name for name in libraries if name.startswith(tuple(large))], "no run-time of C++, no TLS, no XML", sorted(libraries))
    for who, pid in (("supervisor", instance.process.pid), ("daemon", instance.daemon())):
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        print(f"# {who}: {', '.join(line for line in status.expandtabs(1).splitlines() if line.startswith(('VmRSS', 'VmSize')))}")
    print(f"# libraries: {' '.join(sorted(libraries))}")
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_server_to_be(instance):
    """The daemon dies when its child is not a server yet, and not noted down: nobody would know of that server."""
    plan = make_plan(instance)
    server = instance.serve()
    known = instance.children()
    plan.note_delay = 1500
    instance.script("sleep 1")
    os.kill(server, signal.SIGKILL)
    child = must(soon(lambda: [pid for pid in instance.children() if pid not in known]), "a server is about to be")[0]
    time.sleep(0.3)  # it has come to its note
    os.kill(instance.daemon(), signal.SIGKILL)
    plan.note_delay = 0
    became = []
    while is_alive(child):
        try:
            became.append(pathlib.Path(f"/proc/{child}/comm").read_text(encoding="ascii").strip())
        except OSError:
            break
        time.sleep(0.01)
    point(set(became) <= {"zsblkd-faults"}, "the daemon dies: so does the child", set(became))
    must(instance.new_server(server), "there is another server", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_memory_lock(instance):
    """A server hangs with the lock on its memory: whoever asks for its mappings or its command line waits as long."""
    plan = make_plan(instance)
    plan.is_deaf = 1
    server = instance.serve()
    # All that is asked of a server that works is asked by then.
    until = time.monotonic() + 7
    while time.monotonic() < until:
        must(soon(lambda: instance.server() == server), "the daemon answers, whatever it asks meanwhile", instance.said())
        time.sleep(0.5)
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "it is killed: there is another", instance.said())
    point(instance.ask("--upgrade")[0] == 0, "--upgrade", instance.said())
    server = must(instance.new_server(server), "there is a new one", instance.said())

    instance.kill()
    instance.start()
    must(soon(instance.server) == server, "the next daemon takes it over", instance.said())
    os.kill(server, signal.SIGKILL)
    must(instance.new_server(server), "it is killed: there is another", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


TESTS = {"socket": test_socket, "control-socket": test_control_socket, "ballast": test_ballast, "links": test_links, "links-adopted": test_links_adopted, "small": test_small,
         "server-to-be": test_server_to_be, "memory-lock": test_memory_lock}

if __name__ == "__main__":
    run(TESTS[sys.argv[1]])
