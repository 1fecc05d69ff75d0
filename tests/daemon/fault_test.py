#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkd while calls fail (faulty.c): in its start, the replacement of a server, an upgrade, the death of the daemon, a stop. It serves,
or it ends and says why; it never hangs and never aborts; and what was stored is there.

  fault_test.py [SEED]

ZSBLK_SEED=N repeats a run, ZSBLK_LONG=1 makes it long. Environment: see zsblkdtest.py; ZSBLKD_FAULTY, the library.
"""
import contextlib
import ctypes
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from chaos_test import PATIENCE, Device, must_quietly
from zsblkdtest import PROGRAM, Hopeless, Instance, count_points, point, soon

LONG = os.environ.get("ZSBLK_LONG", "0") not in ("", "0")
SECONDS = 1200 if LONG else 20
KINDS = ["fork", "pidfd_open", "epoll", "pipe", "socket", "open", "memory"]


class Plan(ctypes.Structure):
    """As faulty.c has it."""
    _fields_ = [("kind", ctypes.c_uint32), ("first", ctypes.c_uint32), ("times", ctypes.c_uint32),
                ("note_delay", ctypes.c_uint32), ("is_deaf", ctypes.c_uint32),
                ("failed", ctypes.c_uint32), ("calls", ctypes.c_uint32 * len(KINDS))]


def make_plan(instance):
    """Have the calls of what is started from now on follow a plan; the plan."""
    with open(instance.folder / "plan", "w+b") as file:
        file.truncate(ctypes.sizeof(Plan))
        plan = Plan.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(Plan)))
    instance.setting = {"LD_PRELOAD": os.environ["ZSBLKD_FAULTY"], "ZSBLK_TEST_FAULTS": f"{instance.folder}/plan"}
    return plan


class Faulty(Device):
    """A device whose daemon's calls can fail."""

    def __init__(self, folder, dice):
        super().__init__(folder, 0, dice)
        self.plan = make_plan(self.instance)
        self.setting = self.instance.setting
        self.instance.setting = {}  # those who ask are not meant
        self.usual = {}  # calls that each phase makes

    def start(self):
        if self.instance.process and self.instance.process.poll() is None:
            return
        self.instance.setting = self.setting | self.dice.choice([{}, {}, {"ZSBLK_TEST_FORK_DELAY": "60"}])
        self.instance.start()
        soon(self.has_begun)
        self.instance.setting = {}

    # ------------------------------------------------------------ phases: what is done, and whether it has come to an end

    def phase_start(self):
        self.stop()
        yield
        self.start()
        yield lambda: self.instance.process.poll() is not None or self.instance.server()

    def phase_replace(self):
        server = self.instance.server()
        yield
        self.send(signal.SIGKILL, "server")
        yield lambda: self.instance.server() not in (0, server)

    def phase_upgrade(self):
        yield
        self.ask("--upgrade")
        yield lambda: self.askers[-1].poll() is not None

    def phase_daemon(self):
        daemon = self.instance.daemon()
        yield
        self.send(signal.SIGKILL, "daemon")
        yield lambda: self.instance.process.poll() is not None or (self.instance.server() and self.instance.daemon() != daemon)

    def phase_both(self):
        server = self.instance.server()
        yield
        self.send(signal.SIGKILL, "daemon", "server")
        yield lambda: self.instance.process.poll() is not None or self.instance.server() not in (0, server)

    def phase_stop(self):
        yield
        self.instance.world.is_swap = 0
        self.ask("--stop")
        yield lambda: self.askers[-1].poll() is not None

    PHASES = {"start": phase_start, "replace": phase_replace, "upgrade": phase_upgrade, "daemon": phase_daemon, "both": phase_both,
              "stop": phase_stop}

    def one(self, name, kind, first, times):
        """One phase, with a fault; `times` 0: only count what is called."""
        phase = self.PHASES[name](self)
        next(phase)
        self.history.append(f"{name}: {KINDS[kind]} {first} x {times}")
        self.plan.kind, self.plan.first, self.plan.failed = kind, first, 0
        for i in range(len(KINDS)):
            self.plan.calls[i] = 0
        self.plan.times = times
        self.instance.mark()
        ended = next(phase)
        # Time in which all is well again is not what is tested; with some faults nothing comes of it before.
        soon(ended, 3 if times else PATIENCE)
        calls = list(self.plan.calls)
        self.plan.times = 0
        self.settle_after(name)
        return calls

    def settle_after(self, name):
        stopped = name == "stop" and self.askers[-1].wait(PATIENCE) == 0
        self.heal()
        if stopped:
            must_quietly(self.instance.process.wait(PATIENCE) == 0, "it stops when it says so", self.said)
        status = self.instance.process.poll()
        if status is not None:
            must_quietly(status >= 0, f"{name}: no abort", lambda: f"{status}\n{self.said()}")
            must_quietly(status == 0 or self.instance.said().strip(), f"{name}: who ends says why", self.said)
            if stopped:
                self.stored.blocks.clear()
        self.settle(name)


def test_memory_for_settings():
    """Sizes are evaluated, and settings read, before anything is attached. Each allocation of that fails once."""
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(folder)
        plan = make_plan(instance)
        plan.kind = KINDS.index("memory")
        file = instance.folder / "faults.conf"
        file.write_text("size = min(ram / 2, 64M) + 1\nmem-limit = 32\nreserve = max(1M, 1)\nsise = 1\n", encoding="ascii")
        aborted, silent = [], []
        while plan.failed or not plan.first:
            plan.first, plan.failed, plan.times = plan.first + 1, 0, 1
            plan.calls[plan.kind] = 0
            done = subprocess.run([PROGRAM, "--config", file], capture_output=True, check=False, timeout=20, cwd=folder,
                                  env=instance.environment())
            # Of the mistake in the file, or of memory.
            said = [word for word in (b"'sise'", b"emory") if word in done.stderr]
            aborted += [plan.first] if done.returncode < 0 else []
            silent += [] if said else [(plan.first, done.stderr)]
        point(plan.first > 10 and not aborted, f"no memory for the settings, {plan.first - 1} times: no abort", aborted)
        point(not silent, "what is wrong is said each time", silent)


def test_answers(device):
    """Each allocation of a stop fails once. Who asked is told what has come of it: settle() looks for what was stored if it was no stop."""
    device.start()
    device.settle("start")
    most = device.one("stop", 0, 1, 0)[KINDS.index("memory")]
    for number in range(1, most + 1):
        device.one("stop", KINDS.index("memory"), number, 1)
    point(most > 5, f"no memory for a stop, {most} times: no daemon dies, and the answer is right")


def play(device, dice):
    device.start()
    device.settle("start")
    for name in Faulty.PHASES:
        device.usual[name] = device.one(name, 0, 1, 0)
    print(f"# calls: {device.usual}", flush=True)
    end, faults = time.monotonic() + SECONDS, 0
    while not faults or time.monotonic() < end:  # on a machine that is busy, one at least
        name, kind = dice.choice(list(Faulty.PHASES)), dice.randrange(len(KINDS))
        most = max(1, device.usual[name][kind])
        device.one(name, kind, dice.choice([1, dice.randint(1, most), dice.randint(1, most), dice.randint(1, min(most, 20))]),
                   dice.choice([1, 1, 2, 5, 100]))
        faults += device.plan.failed > 0
    return faults


def main():
    seed = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ZSBLK_SEED") or time.time_ns() // 1000)
    print(f"# ZSBLK_SEED={seed}", flush=True)
    dice = random.Random(seed)
    test_memory_for_settings()
    with tempfile.TemporaryDirectory() as folder:
        device = Faulty(f"{folder}/0", dice)
        try:
            test_answers(device)
            faults = play(device, dice)
            point(faults > 0, f"{faults} faults: it served, with what was stored")
            device.stop()
            point(True, "and stops, with nothing left")
        except (Hopeless, RuntimeError) as error:
            point(False, f"seed {seed}", error)
        finally:
            with contextlib.suppress(OSError):
                device.instance.end()
    print(f"1..{count_points()}")


if __name__ == "__main__":
    main()
