#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Backing stores behind NBD servers: nbdkit, qemu-nbd and nbd-server, killed, stopped and started again, and over TLS."""
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from spilltest import *  # noqa: E402,F403


def stopped(pid):
    """All of its threads: each one stops when it comes to it."""
    states = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8") as file:
            states.append(file.read().rsplit(")", 1)[1].split()[0])
    return all(state in "TtZX" for state in states)


class StoreServer:
    """An NBD server with a file behind it. Its address stays when it is started again, and its file may change."""

    def __init__(self, kind, top, name="image", filters=(), options=()):
        self.kind, self.top, self.process, self.pid = kind, top, None, None
        self.socket = os.path.join(top, "socket")
        self.uri = f"nbd+unix:///?socket={self.socket}"
        self.filters, self.options = filters, options
        if kind == "nbd-server":
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.uri = f"nbd://127.0.0.1:{self.port}/store"
        self.start(name)

    def image(self, name):
        path = os.path.join(self.top, name)
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.truncate(24 << 20)
        return path

    def command(self, path):
        if self.kind == "nbdkit":
            return ["nbdkit", "-f", "-U", self.socket, *(f"--filter={name}" for name in self.filters), "file", path, *self.options]
        if self.kind == "qemu-nbd":
            return ["qemu-nbd", "--persistent", "--shared=4", "--discard=unmap", "-f", "raw", "-k", self.socket, path]
        config = os.path.join(self.top, "config")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"[generic]\nport = {self.port}\nlistenaddr = 127.0.0.1\n[store]\nexportname = {path}\ntrim = true\n")
        # It goes to the background, and has a process for each connection.
        return ["nbd-server", "-C", config, "-p", os.path.join(self.top, "pid")]

    def start(self, name="image"):
        need(self.kind)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        with open(os.path.join(self.top, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(self.image(name)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self.answers, "start of the server")
        self.pid = self.process.pid
        if self.kind == "nbd-server":
            self.process.wait()
            with open(os.path.join(self.top, "pid"), encoding="ascii") as file:
                self.pid = int(file.read())

    def answers(self):
        assert not self.process.poll(), self.log()
        try:
            if self.kind == "nbd-server":
                socket.create_connection(("127.0.0.1", self.port)).close()
            else:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.socket)
            return True
        except OSError:
            return False

    def log(self):
        with open(os.path.join(self.top, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def signal(self, number):
        """To the server, and to the processes that it has for its connections."""
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False).stdout.split()
        for pid in [self.pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                if number == signal.SIGSTOP:
                    wait_for(lambda pid=pid: stopped(pid), "a server that does nothing")

    def stop(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not alive(self.pid), "end of the server")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.signal(signal.SIGCONT)
        self.stop()


def wait_for_status(driver, *parts):
    wait_for(lambda: all(part in driver.tell("status") for part in parts), f"status with {parts}")


def go_round(kind):
    with folder() as top, StoreServer(kind, top) as server:
        with Driver(top) as driver:
            driver.open(server.uri, existing=1)
            driver.expect("ok 0", "put", 0, 1200)
            driver.expect("ok 1200", "get", 0, 1200)
            with Driver(top, "other") as other:
                other.refused("EBUSY", "in use by process", server.uri, existing=1, take_over=1)
            # Away, and there again: reads wait, and then have what they asked for.
            server.stop()
            wait_for_status(driver, "reachable=0")
            driver.begin("hold", 0, 100)
            equal(driver.answer(), "held")
            server.start()
            equal(driver.answer(), "ok 100")
            assert driver.number("stats", "reconnects") >= 1
            driver.expect("ok 0", "put", 1200, 300)
            driver.expect("ok 0", "drop", 0, 1100)
            driver.expect("ok 0", "clean")
            driver.expect("ok 1500", "get", 0, 1500)
            assert driver.number("stats", "discarded") > 0
            driver.kill()
        with Driver(top) as driver:
            driver.open(server.uri)
            driver.expect("ok 1500", "get", 0, 1500)
            driver.expect("ok 0", "put", 0, 100)
        with open(top + "/image", "rb") as file:
            assert TEXT[:20] not in file.read()


@test
def with_nbdkit():
    "nbdkit: a store that is written, read, cleaned, away for a while, and opened by the next process"
    go_round("nbdkit")


@test
def with_qemu_nbd():
    "qemu-nbd: the same"
    go_round("qemu-nbd")


@test
def with_nbd_server():
    "nbd-server: the same"
    go_round("nbd-server")


@test
def not_there():
    "a server that is not there, does not answer, or has something else"
    with folder() as top, Driver(top) as driver:
        driver.refused("ENOENT", "", f"nbd+unix:///?socket={top}/nothing")
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(top + "/silent")
            silent.listen()
            driver.refused("ETIMEDOUT", "no answer in time", f"nbd+unix:///?socket={top}/silent", deadline=300)
        with StoreServer("nbdkit", top) as server:
            with open(top + "/image", "r+b") as file:
                file.write(b"somebody's")
            driver.refused("EMEDIUMTYPE", "data at byte 0", server.uri, existing=1, take_over=1)
        with open(top + "/image", "r+b") as file:
            equal(file.read(10), b"somebody's")


@test
def read_only():
    "an export that is read-only, or too small"
    need("nbdkit")
    for options, error, text in ((["-r", "memory", "24M"], "EROFS", "read-only"), (["memory", "2M"], "ENOSPC", "4 MiB at least")):
        with folder() as top, Driver(top) as driver:
            with subprocess.Popen(["nbdkit", "-f", "-U", top + "/socket", *options]) as server:
                wait_for(lambda: os.path.exists(top + "/socket"), "start of the server")
                driver.refused(error, text, f"nbd+unix:///?socket={top}/socket", existing=1)
                server.kill()


@test
def power_loss():
    "a server's machine that loses its power: what was acknowledged is on the medium, with FUA and without"
    need("nbdkit")
    # The filter fua hides that the server has it.
    for filters in (["cache"], ["fua", "cache"]):
        with folder() as top, StoreServer("nbdkit", top, filters=filters, options=["cache=writeback"]) as server, Driver(top) as driver:
            driver.open(server.uri, existing=1, deadline=10000)
            driver.expect("ok 0", "put", 0, 300)
            # What the cache has is gone.
            server.stop()
            server.start()
            driver.expect("ok 10", "get", 0, 10)


@test
def hung():
    "a server that hangs: reads fail by their deadline, and go on when it does"
    with folder() as top, StoreServer("nbdkit", top) as server, Driver(top) as driver:
        driver.open(server.uri, existing=1, deadline=4000)
        driver.expect("ok 0", "put", 0, 300)
        server.signal(signal.SIGSTOP)
        driver.expect("ok 0 ETIMEDOUT=1", "get", 0, 1)
        wait_for_status(driver, "reachable=0")
        # Nothing waits for a store that cannot be reached, other than reads.
        driver.expect("ENOTCONN", "put", 1000, 10)
        assert driver.number("stats", "timed_out") >= 1
        server.signal(signal.SIGCONT)
        wait_for_status(driver, "reachable=1")
        driver.expect("ok 300", "get", 0, 300)
        driver.expect("ok 0", "put", 1000, 10)


@test
def hung_write():
    "a write whose end is not known: its bucket is left alone, and nothing that counts is lost"
    with folder() as top, StoreServer("nbdkit", top) as server, Driver(top) as driver:
        driver.open(server.uri, existing=1, deadline=4000)
        driver.expect("ok 0", "put", 0, 100)
        server.signal(signal.SIGSTOP)
        contains(driver.tell("put", 100, 100), "ETIMEDOUT")
        wait_for_status(driver, "reachable=0")
        equal(driver.number("stats", "buckets_lost"), 1)
        server.signal(signal.SIGCONT)
        wait_for_status(driver, "reachable=1")
        driver.expect("ok 100", "get", 0, 100)
        driver.expect("ok 0", "put", 100, 1000)
        driver.expect("ok 1100", "get", 0, 1100)
        equal(driver.number("stats", "buckets_lost"), 1)


@test
def another_store():
    "behind the same address there is another store, or none, after a while"
    with folder() as top, StoreServer("nbdkit", top) as server, Driver(top) as driver:
        driver.open(server.uri, existing=1, deadline=4000)
        driver.expect("ok 0", "put", 0, 100)
        server.stop()
        server.start("blank")
        wait_for_status(driver, "reachable=0", "not a store of zsblk")
        driver.expect("ok 0 ETIMEDOUT=1", "get", 0, 1)
        server.stop()
        # A store of another owner, which must not be written to either.
        server.start("other-image")
        with Driver(top, "other") as other:
            other.open(server.uri, existing=1)
            other.expect("ok 0", "put", 0, 50)
            wait_for_status(driver, "reachable=0", "another store")
            driver.expect("ENOTCONN", "put", 100, 10)
            other.expect("ok 50", "get", 0, 50)
        server.stop()
        server.start()
        wait_for_status(driver, "reachable=1")
        driver.expect("ok 100", "get", 0, 100)


@test
def taken_over():
    "a store that somebody else has made anew is not written to any more"
    with folder() as top, StoreServer("nbdkit", top) as server, Driver(top) as driver, Driver(top, "other") as other:
        driver.open(server.uri, existing=1, deadline=4000)
        driver.expect("ok 0", "put", 0, 100)
        server.stop()
        with open(top + "/image", "r+b") as file:
            file.seek(512)
            # Nobody's: as if this process had ended.
            file.write(b"\0" * 64)
        server.start()
        wait_for_status(driver, "reachable=0", "claimed")
        other.refused("EBUSY", "cannot be told", server.uri, existing=1, take_over=1)


def certificates(top):
    """A certificate authority, and a server's certificate for 10.97.0.1. And another authority, which nobody trusts."""
    need("openssl")
    for who in ("ca", "wrong"):
        os.makedirs(f"{top}/{who}")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={who}", "-keyout", f"{top}/{who}/ca-key.pem", "-out", f"{top}/{who}/ca-cert.pem")
    os.makedirs(f"{top}/server")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=10.97.0.1",
        "-keyout", f"{top}/server/server-key.pem", "-out", f"{top}/server/request.pem")
    with open(f"{top}/server/extensions", "w", encoding="ascii") as file:
        file.write("subjectAltName=IP:10.97.0.1\n")
    run("openssl", "x509", "-req", "-in", f"{top}/server/request.pem", "-CA", f"{top}/ca/ca-cert.pem", "-CAkey",
        f"{top}/ca/ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", f"{top}/server/extensions",
        "-out", f"{top}/server/server-cert.pem")
    os.rename(f"{top}/ca/ca-key.pem", f"{top}/authority-key.pem")
    with open(f"{top}/ca/ca-cert.pem", "rb") as one, open(f"{top}/server/ca-cert.pem", "wb") as other:
        other.write(one.read())


@contextlib.contextmanager
def two_machines():
    """Two network namespaces, as two machines: 10.97.0.1, which serves, and 10.97.0.2. What commands are run with there."""
    need_root()
    need("ip")
    names = [f"zsblk-spill-{random.getrandbits(48):x}" for _ in range(2)]
    made = []
    try:
        for name in names:
            if run("ip", "netns", "add", name, status=None):
                raise Skip("no network namespaces here")
            made.append(name)
        if run("ip", "-n", names[0], "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", names[1], status=None):
            raise Skip("no virtual interfaces here")
        for number, name in enumerate(names, 1):
            run("ip", "-n", name, "addr", "add", f"10.97.0.{number}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        yield [["ip", "netns", "exec", name] for name in names]
    finally:
        for name in made:
            run("ip", "netns", "del", name)


@contextlib.contextmanager
def serving_over_tls(top, there, here):
    """Only over TLS, on the other machine."""
    path = os.path.join(top, "image")
    with open(path, "ab") as file:
        file.truncate(24 << 20)
    process = subprocess.Popen([*there, "nbdkit", "-f", "-i", "10.97.0.1", "-p", "10809", "--tls=require",
                                f"--tls-certificates={top}/server", "file", path])
    try:
        wait_for(lambda: not subprocess.run([*here, "nbdinfo", "--size", f"nbds://10.97.0.1/?tls-certificates={top}/ca"],
                                            capture_output=True, check=False).returncode, "start of the server")
        yield process
    finally:
        process.kill()
        process.wait()


@test
def over_tls():
    "another machine's nbdkit over TCP with TLS: who it is is verified, and it may go and come back"
    need("nbdkit", "nbdinfo")
    with folder() as top, two_machines() as (there, here), Driver(top, wrap=here) as driver:
        certificates(top)
        uri = f"nbds://10.97.0.1/?tls-certificates={top}/ca"
        with serving_over_tls(top, there, here):
            driver.refused("", "certificate", f"nbds://10.97.0.1/?tls-certificates={top}/wrong", existing=1, deadline=5000)
            driver.refused("", "TLS", "nbd://10.97.0.1/", existing=1, deadline=5000)
            driver.open(uri, existing=1)
            driver.expect("ok 0", "put", 0, 1000)
            driver.expect("ok 1000", "get", 0, 1000)
            many = driver.number("allocations", 0, 1000)
            say(f"{many} allocations for 1000 reads over TLS")
            assert many < 20000, many
        wait_for_status(driver, "reachable=0")
        with serving_over_tls(top, there, here):
            driver.expect("ok 1000", "get", 0, 1000)


@test
def memory_for_reading():
    "what libnbd allocates for reads without TLS"
    with folder() as top, StoreServer("nbdkit", top) as server, Driver(top) as driver:
        driver.open(server.uri, existing=1)
        driver.expect("ok 0", "put", 0, 500)
        many = driver.number("allocations", 0, 500)
        say(f"{many} allocations for 500 reads")
        # One, of what libnbd keeps of a request.
        assert many <= 1000, many


main()
