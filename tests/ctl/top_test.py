#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkctl top: a terminal (tmux) looks at real servers under load, presses keys, changes its size; servers die and come back."""
import contextlib
import random
import re
import subprocess
import threading

from ctltest import *  # noqa: F403
from ctltest import Here, NOT_RUNNING, WRONG_USE, FAILED, ZSBLKCTL_HERE


class Terminal:
    """A window of tmux that runs zsblkctl top in the folder of some instances. The tmux server is the test's own."""

    count = 0

    def __init__(self, here, *words, columns=120, rows=30, term=None, env=()):
        need("tmux")
        # One that ends has its socket for a while yet.
        Terminal.count += 1
        self.name = os.path.join(here.path, f"tmux{Terminal.count}")
        self.out = os.path.join(here.path, "ended")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.out)
        settings = " ".join([*([f"TERM={term}"] if term else []), *env])
        command = f"cd {here.path} && env {settings} {ZSBLKCTL_HERE} {' '.join(words)} 2>err; echo $? >{self.out}.new; mv {self.out}.new {self.out}"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), command)

    def tmux(self, *words):
        return run("tmux", "-S", self.name, *words)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            with contextlib.suppress(Exception):
                say(self.text())
        # Its own server, by its socket.
        run("tmux", "-S", self.name, "kill-server", status=None)

    def text(self, colours=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def lines(self):
        return self.text().splitlines()

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait(self, pattern, what=None):
        """Until a pattern is on the screen; returns the match."""
        return wait_for(lambda: re.search(pattern, self.text(), re.M), what or f"{pattern!r} on the screen", 20)

    def row(self, name):
        """The words of a device's row."""
        return next((line.split() for line in self.lines() if line.startswith(name + " ")), [])

    def status(self):
        """How the program has ended."""
        wait_for(lambda: os.path.exists(self.out), "end of zsblkctl top")
        with open(self.out, encoding="ascii") as file:
            return int(file.read())


class Load:
    """Reads and writes of a server's first 16 MiB, in a thread."""

    def __init__(self, server):
        self.handle = server.connect()
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        rng = random.Random(1)
        with contextlib.suppress(Exception):  # the server may be killed
            while not self.ends.wait(0.001):
                offset = rng.randrange(4096) * BLOCK
                self.handle.pwrite(rng.randbytes(1024) * 4, offset)
                self.handle.pread(BLOCK, offset)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.ends.set()
        self.thread.join()


def is_rate(word):
    return bool(re.fullmatch(r"[\d.]+[kM]?", word)) and word != "0"


@test
def two_devices():
    """the list shows two devices, and what the one under load does"""
    with Here() as here:
        busy = here.serve("busy", "size=64M")
        here.serve("quiet", "size=32M")
        with Load(busy), Terminal(here, "top", "-d", "0.3") as screen:
            screen.wait(r"2 devices, every 0\.3 s")
            wait_for(lambda: len(screen.row("busy")) > 2 and is_rate(screen.row("busy")[1]) and is_rate(screen.row("busy")[2]),
                     "rates of the busy device", 20)
            equal(screen.row("quiet")[1:3], ["0", "0"], "rates of the quiet one")
            screen.wait(r"^busy .* 64M ")
            screen.wait(r"^quiet .* 32M ")
            screen.wait(r"^stored [\d.]+[MK] in [\d.]+[MK], ratio [\d.]+; reads [\d.k]+/s")
            screen.press("q")
            equal(screen.status(), 0, "exit status")


@test
def keys():
    """keys switch views, sort, select, and change the interval"""
    with Here() as here:
        busy = here.serve("busy", "size=64M")
        here.serve("other", "size=32M")
        with Load(busy), Terminal(here, "top", "-d", "0.4") as screen:
            screen.wait(r"2 devices.*\[devices\].*by NAME")
            screen.press(">")
            screen.wait(r"by RD/S")
            # The larger rate comes first.
            wait_for(lambda: re.search(r"^busy .*\n^other ", screen.text(), re.M), "busy above other", 20)
            screen.press("r")
            screen.wait(r"by RD/S, backwards")
            wait_for(lambda: re.search(r"^other .*\n^busy ", screen.text(), re.M), "other above busy", 20)
            screen.press("r", "<")
            screen.wait(r"by NAME")
            screen.press("Home", "Down", "Up", "Enter")
            screen.wait(r"\[latency\]")
            screen.wait(r"^busy")
            screen.wait(r"^WORK +PER S")
            # Of work that is done: how often, and six times. Of the rest: none.
            for work in ("read", "write", "compress", "decompress"):
                screen.wait(rf"^{work} +(?!0 )[\d.]+k?( +[\d.]+(ns|us|ms|s)){{6}}$")
            screen.wait(r"^discard +0( +-){6}$")
            screen.press("n")
            screen.wait(r"^other")
            screen.press("p", "Tab")
            screen.wait(r"\[memory\]")
            screen.wait(r"^stored [\d.]+[KM], compressed [\d.]+[KM], in [\d.]+[KM] \([\d.]+\); at most so far [\d.]+[KM], limit none; "
                        r"blocks: same-filled 0, raw 0$")
            for part in ("objects", "table", "process"):
                screen.wait(rf"^{part} +(?!0B)[\d.]+[KM] +[\d.]+% +#+$")
            screen.wait(r"^total +[\d.]+M 100\.0%$")
            screen.press("4")
            screen.wait(r"\[classes\].*by MEMORY")
            screen.wait(r"^ +\d+ +[\d.k]+ +[\d.]+[KM] +[\d.]+% .*#$")
            screen.press("5")
            screen.wait(r"^UNUSED FOR")
            screen.press("1", "+")
            screen.wait(r"every 0\.8 s")
            screen.press("-", "-", "-", "-", "-")
            screen.wait(r"every 0\.1 s")
            screen.press("?")
            screen.wait(r"^Enter +from the list")
            screen.press("Space")
            screen.wait(r"\[devices\]")
            screen.press("q")
            equal(screen.status(), 0, "exit status")


@test
def sizes():
    """the terminal changes its size, down to almost nothing"""
    with Here() as here:
        for name in ("a", "b", "c", "d", "e", "f"):
            here.serve(name, "size=1M")
        with Terminal(here, "top", "-d", "0.2", columns=120, rows=30) as screen:
            screen.wait(r"6 devices")
            screen.resize(60, 7)
            # Three lines at the top, one at the bottom, and three devices.
            wait_for(lambda: [line[:1] for line in screen.lines()] == ["z", "s", "N", "a", "b", "c", "q"], "a small screen", 20)
            assert all(len(line) <= 60 for line in screen.lines()), screen.text()
            screen.press("Down", "Down", "Down", "Down", "Down")
            wait_for(lambda: [line[:1] for line in screen.lines()] == ["z", "s", "N", "d", "e", "f", "q"], "the end of the list", 20)
            screen.resize(10, 2)
            wait_for(lambda: len(screen.lines()) == 2 and screen.lines()[1].startswith("q leave"), "hardly a screen", 20)
            screen.resize(150, 40)
            wait_for(lambda: len(screen.lines()) == 40 and screen.lines()[39].startswith("q leave"), "a large screen", 20)
            screen.wait(r"^a .*\n^b .*\n^c .*\n^d .*\n^e .*\n^f ")
            screen.press("q")
            equal(screen.status(), 0, "exit status")


@test
def away():
    """a server that is killed is away, and is back once there is one again; one that comes later is found"""
    with Here() as here:
        first = here.serve("swap0", "size=64M")
        with Terminal(here, "top", "-d", "0.2") as screen:
            screen.wait(r"^swap0 .* 64M ")
            first.kill()
            screen.wait(r"^swap0 +away for \d+ s: the server does not run")
            screen.wait(r"; 1 away$")
            with Load(here.serve("swap0", "size=32M")):
                screen.wait(r"^swap0 .* 32M ")
                wait_for(lambda: len(screen.row("swap0")) > 2 and is_rate(screen.row("swap0")[1]), "rates of the next server", 20)
                here.serve("later", "size=16M")
                screen.wait(r"^later .* 16M ")
            screen.press("q")
            equal(screen.status(), 0, "exit status")


@test
def one_by_its_socket():
    """--control and --view: a server without zsblkd"""
    with Here() as here:
        here.serve("lone", "size=64M")
        with Terminal(here, "--control", here.run("lone", "control"), "top", "--view", "memory") as screen:
            screen.wait(r"1 device, every 1\.0 s; devices latency \[memory\]")
            screen.wait(r"^/.*/lone/control")
            screen.press("q")
            equal(screen.status(), 0, "exit status")


COLOUR = "\033[31m"


@test
def colours():
    """a device that is away is red, unless the terminal or NO_COLOR forbids it"""
    with Here() as here:
        here.make("gone")
        here.make("lost")
        with Terminal(here, "top", "-d", "0.2") as screen:
            screen.wait(r"^lost +away")
            assert COLOUR in screen.text(colours=True), screen.text(colours=True)
        for how in ({"term": "vt100"}, {"env": ("NO_COLOR=1",)}):
            with Terminal(here, "top", "-d", "0.2", **how) as screen:
                screen.wait(r"^lost +away")
                assert COLOUR not in screen.text(colours=True), screen.text(colours=True)


@test
def bad_terminals():
    """without a terminal, or on one that nobody knows, top says so"""
    with Here() as here:
        here.serve("swap0", "size=64M")
        contains(here.ctl("top", status=WRONG_USE), "--batch")
        contains(here.ctl("top", "--count", "1", status=WRONG_USE), "--batch")
        with Terminal(here, "top", term="no-such-terminal") as screen:
            equal(screen.status(), FAILED, "exit status")
            with open(os.path.join(here.path, "err"), encoding="utf-8") as file:
                contains(file.read(), "'no-such-terminal' (TERM) is not known")


@test
def batch():
    """--batch prints text, as often as it is told"""
    with Here() as here:
        server = here.serve("busy", "size=64M")
        with Load(server):
            text = here.ctl("top", "--batch", "--count", "2", "--interval", "0.3")
            equal(len(re.findall(r"^zsblkctl top - ", text, re.M)), 2, "times")
            rows = [line.split() for line in text.splitlines() if line.startswith("busy ")]
            equal(len(rows), 2, "rows")
            assert all(is_rate(row[1]) and is_rate(row[2]) for row in rows), text
            text = here.ctl("top", "--batch", "--count", "1", "-d", "0.2", "--view", "classes", "busy")
            contains(text, "[classes]", "\nbusy\n")
            assert "\033" not in text, text
        contains(here.ctl("top", "--batch", "--view", "all", status=WRONG_USE), "give devices, latency")
        for interval in ("0", "0.05", "0.1234", "x", "4000", "-1", "."):
            contains(here.ctl("top", "--batch", f"--interval={interval}", status=WRONG_USE), "0.1 to 3600")
    with Here() as here:
        done = here.ctl_done("top", "--batch", "--count", "1", "-d", "0.1")
        equal(done.returncode, NOT_RUNNING, "exit status without devices")
        contains(done.stdout, "No device runs.")


@test
def ends_with_its_reader():
    """what reads --batch may end"""
    with Here() as here:
        here.serve("swap0", "size=64M")
        text = run("bash", "-o", "pipefail", "-c", f"{ZSBLKCTL_HERE} top --batch -d 0.1 | head -1; exit 0", cwd=here.path)
        contains(text, "zsblkctl top")


main()
