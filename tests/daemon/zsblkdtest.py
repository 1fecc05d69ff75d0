# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of zsblkd with a stand-in for the kernel have in common: points, and an instance in a folder of its own.

Environment: ZSBLKD_FAULTS, the program (stand_in.c); ZSBLK_PLUGIN, the plugin.
"""
import contextlib
import ctypes
import mmap
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ["ZSBLKD_FAULTS"]
PLUGIN = os.environ["ZSBLK_PLUGIN"]
PROBE_SECONDS = 1.0
count = 0


def point(good, what, said=""):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {what}", flush=True)
    if not good:
        for line in str(said).splitlines():
            print(f"#   {line}")
        sys.stdout.flush()


def count_points():
    return count


class Hopeless(Exception):
    """There is no point in going on."""


def must(good, what, said=""):
    """A point without which there is no point in going on; what it is about."""
    point(good, what, said)
    if not good:
        raise Hopeless
    return good


class World(ctypes.Structure):
    """As stand_in.c has it."""
    _fields_ = [("attached", ctypes.c_uint32), ("is_swap", ctypes.c_uint32), ("refuse", ctypes.c_uint32),
                ("offered", ctypes.c_uint32), ("stuck", ctypes.c_uint32), ("slow", ctypes.c_uint32),
                ("timer_ms", ctypes.c_uint32), ("cut", ctypes.c_uint32), ("size", ctypes.c_uint64), ("backend", ctypes.c_char * 64),
                ("swapped", ctypes.c_uint32)]


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def soon(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not (got := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return got


class Instance:
    """One zsblkd in a folder of its own, with nbdkit behind a script that a test can change."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.name = f"faults-{os.getpid()}"
        self.log = self.folder / "log"
        self.nbdkit = self.folder / "nbdkit"
        self.script("")
        file = open(self.folder / "world", "w+b")  # pylint: disable=consider-using-with
        file.truncate(ctypes.sizeof(World))
        self.world = World.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(World)))
        (self.folder / "nbd0").touch()
        self.process = None
        self.setting = {}  # more for its environment
        self.marked = 0  # where in the log said() begins

    def script(self, first):
        """nbdkit, with something before it; in place of what there was in one step."""
        new = self.folder / "nbdkit.new"
        new.write_text(f"#!/bin/bash\n{first}\nexec nbdkit \"$@\"\n", encoding="ascii")
        new.chmod(0o755)
        new.rename(self.nbdkit)

    def environment(self):
        return os.environ | {"ZSBLK_TEST_WORLD": str(self.folder / "world")} | self.setting

    def start(self, *words):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--name", self.name, "--transport", "nbd", "--nbdkit", str(self.nbdkit), "--plugin", PLUGIN, "--connections", "1",
                 "--probe-timeout", str(PROBE_SECONDS), "--recovery-reserve", "1M", "size=64M", "lock=no", "reserve=1M",
                 *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=self.environment())

    def mark(self):
        """From now on, said() is what is said from now on: what was said before cannot pass for it."""
        self.marked = self.log.stat().st_size if self.log.exists() else 0

    def said(self):
        """What was said since the last mark."""
        with open(self.log, "rb") as log:
            log.seek(self.marked)
            return log.read().decode("utf-8", "replace")

    def all_said(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def says(self, text, times=1, seconds=10.0):
        return soon(lambda: self.said().count(text) >= times, seconds)

    def ask(self, request, limit=20):
        done = subprocess.run([PROGRAM, request, self.name], capture_output=True, text=True, timeout=limit, check=False,
                              cwd=self.folder, env=self.environment())
        return done.returncode, (done.stdout + done.stderr).strip()

    def server(self):
        """Its process number, when it serves; 0 otherwise."""
        try:
            status, said = self.ask("--status")
        except subprocess.TimeoutExpired:  # the machine is busy; a daemon that hangs has others who ask once more
            return 0
        found = re.search(r"server (\d+)", said)
        return int(found[1]) if status == 0 and found and "being replaced" not in said else 0

    def daemon(self):
        """Its process number, which is in the file just after the daemon has got the lock."""
        lock = self.folder / "run" / self.name / "lock"
        return int(soon(lambda: lock.read_text(encoding="ascii")))

    def relay(self):
        """The process that hands messages on; 0: there is none."""
        for pid in self.children():
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "zsblkd-messages" and is_alive(pid):
                    return pid
        return 0

    def serve(self, *words):
        """Start it; its server, once that serves."""
        self.start(*words)
        return must(soon(self.server), "it starts", self.all_said())

    def is_kept(self):
        """The supervisor holds the plugin of a server that works open, for daemons to come."""
        with contextlib.suppress(OSError):
            return any(os.readlink(file) == os.path.realpath(PLUGIN)
                       for file in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir())
        return False

    def kill(self):
        """Kill supervisor and daemon; servers go on."""
        daemon = self.daemon()
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.kill(daemon, signal.SIGKILL)
        soon(lambda: not is_alive(daemon))

    def children(self):
        """The daemon, and whoever else was started by the supervisor and lives in our folder."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (path / "exe").resolve() == pathlib.Path(PROGRAM).resolve() and \
                        (path / "cwd").resolve() == self.folder.resolve():
                    found.append(int(path.name))
        return found

    def running(self, arguments):
        """Processes with these in their command line that were started in our folder."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if arguments.encode() in (path / "cmdline").read_bytes() and \
                        (path / "cwd").resolve() == self.folder.resolve():
                    found.append(int(path.name))
        return found

    def servers(self):
        """All processes that run one, or are about to."""
        wanted = f"{self.name}/".encode()
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                arguments = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if b"--unix=" in arguments and wanted in arguments and b"rehearsal" not in arguments and is_alive(path.name):
                found.append(int(path.name))
        return found

    def end(self):
        """Whatever is left, when a test went wrong."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                os.kill(self.daemon(), signal.SIGKILL)
        for pid in self.servers():
            os.kill(pid, signal.SIGKILL)
            soon(lambda pid=pid: not is_alive(pid))
        with contextlib.suppress(OSError):
            subprocess.run(["ipcrm", "-m", os.readlink(self.folder / "run" / self.name / "segment").removeprefix("shm:id=")],
                           check=False, stderr=subprocess.DEVNULL)

    def segment(self):
        """Identifier of the segment that is noted; 0: there is no note."""
        try:
            return int(os.readlink(self.folder / "run" / self.name / "segment").removeprefix("shm:id="))
        except FileNotFoundError:
            return 0

    def new_server(self, old, seconds=30.0):
        return soon(lambda: (new := self.server()) not in (0, old) and new, seconds)


def run(test):
    """Run a test on an instance of its own, and say how many points there were."""
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(folder)
        try:
            test(instance)
        except Hopeless:
            pass
        finally:
            instance.end()
    print(f"1..{count}")
