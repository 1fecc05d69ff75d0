#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Two instances of zsblkd, and at random: what can be killed is, versions that do not work are installed, devices are detached by others,
signals come at any moment. After each step the instance serves again, and what was stored is there.

  chaos_test.py [SEED]

ZSBLK_SEED=N repeats a run as far as the machine does, ZSBLK_LONG=1 makes it long. Environment: see zsblkdtest.py.
"""
import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from zsblkdtest import PROGRAM, Hopeless, Instance, count_points, is_alive, must, point, soon

LONG = os.environ.get("ZSBLK_LONG", "0") not in ("", "0")
SECONDS = 1200 if LONG else 20
BLOCK = 4096
BLOCKS = 2000
PATIENCE = 90.0

# What a version that does not work still does: it passes the trial, and old files do not come this way.
TRIAL = "[[ $* = *rehearsal* || $* = *--dump-plugin* || $* = */proc/self/fd/4* ]]"
VERSIONS = {
    "good": "",
    "slow": "sleep 0.4",
    "ends": TRIAL + " || { echo no >&2; exit 1; }",
    "crashes": TRIAL + " || { (sleep 0.7; kill -SEGV $$) & }",
    "hangs": "[[ $* = *--dump-plugin* ]] || exec sleep 100",
    "nothing": "exit 1",
}


class Client:
    """What the kernel is to a server: an NBD client of one request at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.get(18)
        self.socket.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0))
        self.size = struct.unpack(">QH", self.get(10))[0]

    def get(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("the server has gone")
            data += more
        return data

    def request(self, kind, block, data=b""):
        self.socket.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, block, block * BLOCK, BLOCK) + data)
        magic, error, handle = struct.unpack(">IIQ", self.get(16))
        if magic != 0x67446698 or error or handle != block:
            raise OSError(f"block {block}: answer {magic:x}, error {error}")

    def read(self, block):
        self.request(0, block)
        return self.get(BLOCK)

    def write(self, block, data):
        self.request(1, block, data)

    def close(self):
        self.socket.close()


class Stored:
    """What is on a device: for each block what it may hold, which is one thing unless a write was not answered."""

    def __init__(self, dice):
        self.dice = dice
        self.blocks = {}

    def data(self):
        kind = self.dice.randrange(4)
        if kind == 0:
            return bytes([self.dice.randrange(256)]) * BLOCK
        if kind == 1:
            return self.dice.randbytes(BLOCK)
        return (self.dice.randbytes(40) * (BLOCK // 40 + 1))[:BLOCK]

    def write(self, client, n):
        for _ in range(n):
            block, data = self.dice.randrange(BLOCKS), self.data()
            before = self.blocks.get(block, {bytes(BLOCK)})
            self.blocks[block] = before | {data}
            client.write(block, data)
            self.blocks[block] = {data}

    def wrong(self, client):
        """Blocks that hold what they must not."""
        found = []
        for block, may in self.blocks.items():
            data = client.read(block)
            if data not in may:
                found.append(block)
            self.blocks[block] = {data}
        return found


class Device:
    """An instance, what is stored on it, and what was done to it."""

    def __init__(self, folder, number, dice):
        os.mkdir(folder)
        self.instance = Instance(folder)
        self.instance.name += f"-{number}"
        self.dice = dice
        self.stored = Stored(dice)
        self.history = []
        self.askers = []
        self.may_end = False  # somebody has asked for it, or detached the device

    # ------------------------------------------------------------ what happens

    def processes(self):
        """Supervisor, daemon, relay, and servers: those that there are."""
        found = {"supervisor": self.instance.process.pid if self.instance.process.poll() is None else 0,
                 "relay": self.instance.relay(), "server": next(iter(self.instance.servers()), 0), "daemon": 0}
        with contextlib.suppress(OSError, ValueError):
            found["daemon"] = self.instance.daemon()
        return found

    def send(self, number, *who):
        processes = self.processes()
        for name in who:
            # A number that was read from a file may be nobody's any more, or somebody else's.
            if processes[name] and (name != "daemon" or processes[name] in self.instance.children()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(processes[name], number)
        if "supervisor" in who and number == signal.SIGKILL:
            self.instance.process.wait()

    def ask(self, request):
        self.askers.append(subprocess.Popen([PROGRAM, request, self.instance.name], cwd=self.instance.folder,
                                            env=self.instance.environment(), stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def start(self):
        """Unless it runs."""
        if not self.instance.process or self.instance.process.poll() is not None:
            # As children are that wait for memory: stand_in.c.
            self.instance.setting = self.dice.choice([{}, {}, {"ZSBLK_TEST_FORK_DELAY": "60"}])
            self.instance.start()
            soon(self.has_begun)

    def has_begun(self):
        """It has come to its first line, in which it holds signals back: before that they end it, as any program."""
        if self.instance.process.poll() is not None:
            return True
        status = pathlib.Path(f"/proc/{self.instance.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"SigBlk:\s*([0-9a-f]+)", status)[1], 16) >> (signal.SIGTERM - 1) & 1

    def act(self):
        kill, world = signal.SIGKILL, self.instance.world
        actions = [
            (8, "server dies", lambda: self.send(kill, "server")),
            (2, "server stops", lambda: self.send(signal.SIGSTOP, "server")),
            (3, "daemon dies", lambda: self.send(kill, "daemon")),
            (4, "daemon and server die", lambda: self.send(kill, "daemon", "server")),
            (2, "relay dies", lambda: self.send(kill, "relay")),
            (2, "supervisor dies", lambda: self.send(kill, "supervisor")),
            (2, "all die", lambda: self.send(kill, "supervisor", "daemon", "server", "relay")),
            (1, "daemon stops", lambda: self.send(signal.SIGSTOP, "daemon")),
            (2, "SIGHUP", lambda: self.send(signal.SIGHUP, self.dice.choice(["supervisor", "daemon", "relay", "server"]))),
            (2, "SIGTERM", lambda: self.send(signal.SIGTERM, self.dice.choice(["supervisor", "daemon", "relay", "server"]))),
            (1, "SIGINT", lambda: self.send(signal.SIGINT, self.dice.choice(["supervisor", "daemon"]))),
            (3, "--upgrade", lambda: self.ask("--upgrade")),
            (1, "--stop-unused", lambda: self.ask("--stop-unused")),
            (1, "--status", lambda: self.ask("--status")),
            (1, "refused", lambda: setattr(world, "refuse", 22)),
            (1, "taken", lambda: setattr(world, "refuse", 0)),
            (1, "stuck", lambda: setattr(world, "stuck", 3)),
            (1, "detached by others", self.detach),
            (2, "started", self.start),
        ] + [(1, f"version {name}", lambda text=text: self.instance.script(text)) for name, text in VERSIONS.items()]
        what = self.dice.choices(actions, [weight for weight, _, _ in actions])[0]
        self.history.append(what[1])
        what[2]()

    def detach(self):
        """As nbd-client -d does, while nobody uses the device."""
        self.instance.world.is_swap = 0
        self.instance.world.attached = 0
        self.may_end = True

    # ------------------------------------------------------------ and what is to come of it

    def heal(self):
        """Nothing is wrong any more, other than what zsblkd is there for."""
        world = self.instance.world
        world.refuse = world.stuck = world.slow = 0
        self.instance.script("")
        self.send(signal.SIGCONT, "daemon")
        for asker in self.askers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                asker.wait(PATIENCE)
            point(asker.poll() is not None, "who asks something gets an answer", self.said()) if asker.poll() is None else None
        self.askers = []

    def serving(self):
        """Its server; the service manager starts it again, whatever it ended with."""
        status = self.instance.process.poll()
        if status is not None:
            if status < 0 and status != -signal.SIGKILL:
                raise RuntimeError(f"the supervisor was ended by signal {-status}")
            self.history.append(f"(ended with {status})")
            self.start()
        # A daemon whose device was detached notices that soon, and ends.
        return self.instance.world.attached and self.instance.server()

    def is_supervised(self):
        """The daemon that looks after the device is a child of the supervisor that was started last."""
        with contextlib.suppress(OSError, ValueError):
            status = pathlib.Path(f"/proc/{self.instance.daemon()}/status").read_text(encoding="ascii")
            return int(re.search(r"PPid:\s*(\d+)", status)[1]) == self.instance.process.pid
        return False

    def said(self):
        # Where the middle of a long text is left out, what happened is at the end.
        return "\n".join(self.instance.all_said().splitlines()[-40:]) + f"\n{self.instance.name}: {', '.join(self.history[-12:])}"

    def settle(self, what):
        """It serves, nobody has aborted, and what was stored is there."""
        server = must_quietly(soon(self.serving, PATIENCE), f"{what}: it serves", self.said)
        self.instance.world.is_swap = 1
        self.may_end = False
        wrong = None
        for _ in range(20):
            # One more may be on its way, as of an upgrade that was asked for.
            with contextlib.suppress(OSError, IndexError, StopIteration, struct.error):
                client = Client(next(iter((self.instance.folder / "run" / self.instance.name).glob(f"{server}-*.sock"))))
                wrong = self.stored.wrong(client)
                self.stored.write(client, 10)
                client.close()
                break
            time.sleep(0.1)
            server = soon(self.serving, PATIENCE)
        must_quietly(wrong == [], f"{what}: what was stored is there", lambda: f"{wrong}\n{self.said()}")
        aborted = re.findall(r"the daemon \(process \d+\) was ended by signal (?!9 )\d+", self.instance.all_said())
        must_quietly(not aborted, f"{what}: no daemon ended by itself", self.said)

    def step(self):
        self.history.append("|")
        for _ in range(self.dice.choice([1, 1, 2, 3, 5])):
            self.act()
            time.sleep(self.dice.choice([0, 0, 0.01, 0.05, 0.3, 1.0]))
        self.heal()

    def bad_version_and_daemon_death(self):
        """The new version does not work, daemon and server die: no one puts that right, and it serves all the same."""
        self.history.append("| bad version, and daemon and server die")
        # Who has only just come into service is not what is to go on from: soon its files are kept.
        must_quietly(soon(self.instance.is_kept, PATIENCE), "files that work are kept", self.said)
        self.instance.script(VERSIONS["ends"])
        self.instance.ask("--upgrade", PATIENCE)
        soon(self.instance.server, PATIENCE)
        must_quietly(soon(self.instance.is_kept, PATIENCE), "they still are", self.said)
        self.send(signal.SIGKILL, *self.dice.choice([["daemon", "server"], ["server", "daemon"], ["server", "relay", "daemon"]]))
        soon(self.serving, PATIENCE)
        self.settle("a version that does not work, and the daemon's death")
        self.instance.script("")

    def start_and_signal(self):
        """Stopped, started, and told something before it can be ready; then started as always."""
        self.stop()
        number = self.dice.choice([signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
        self.history.append(f"| started, and signal {number}")
        self.start()
        time.sleep(self.dice.choice([0.01, 0.03, 0.1, 0.2, 0.3, 0.5]))
        self.send(number, "supervisor")
        soon(self.serving, PATIENCE)

    def stop(self):
        """For good: what was stored is gone, and nothing is left."""
        self.history.append("| --stop")
        # A daemon without a supervisor makes way once its server has proved itself: to be stopped before would leave the other to start anew.
        must_quietly(soon(lambda: self.serving() and self.is_supervised(), PATIENCE), "the daemon has a supervisor", self.said)
        self.instance.world.is_swap = 0
        # One that is being upgraded, or is replaced just now, says so.
        answer = soon(lambda: (got := self.instance.ask("--stop", PATIENCE))[0] == 0 and got, PATIENCE)
        must_quietly(answer and soon(lambda: self.instance.process.poll() is not None, 30), "--stop", lambda: f"{answer}\n{self.said()}")
        must_quietly(self.instance.process.poll() == 0, "which ends with 0", self.said)
        must_quietly(soon(lambda: not self.instance.servers() and not self.instance.children()), "nothing of it goes on",
                     lambda: f"{self.instance.servers()} {self.instance.children()}\n{self.said()}")
        must_quietly(not (self.instance.folder / "run" / self.instance.name).exists(), "its folder is gone", self.said)
        self.stored = Stored(self.dice)


def must_quietly(good, what, said):
    """As must(), but a point only when it is wrong: there are thousands."""
    return good or must(good, what, said())


def play(devices, dice):
    end, steps = time.monotonic() + SECONDS, 0
    for device in devices:
        device.start()
        device.settle("start")
        with contextlib.suppress(OSError):
            device.stored.blocks.clear()
    while not steps or time.monotonic() < end:  # on a machine that is busy, one at least
        device = dice.choice(devices)
        other = devices[1 - devices.index(device)]
        kind = dice.random()
        if kind < 0.1:
            device.bad_version_and_daemon_death()
        elif kind < 0.2:
            device.start_and_signal()
            device.heal()
        elif kind < 0.35:
            # Both at once.
            other.history.append("|")
            for _ in range(4):
                dice.choice(devices).act()
            device.heal()
            other.heal()
        else:
            device.step()
        device.settle("a step")
        other.settle("the other one")
        steps += 1
    return steps


def main():
    seed = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ZSBLK_SEED") or time.time_ns() // 1000)
    print(f"# ZSBLK_SEED={seed}", flush=True)
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        devices = [Device(f"{folder}/{number}", number, random.Random(dice.random())) for number in range(2)]
        try:
            steps = play(devices, dice)
            point(steps > 0, f"{steps} steps: two instances served, with what was stored")
            for device in devices:
                device.stop()
            point(True, "and both stop, with nothing left")
        except (Hopeless, RuntimeError) as error:
            point(False, f"seed {seed}", error)
        finally:
            for device in devices:
                device.instance.end()
    print(f"1..{count_points()}")


if __name__ == "__main__":
    main()
