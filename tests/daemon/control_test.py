#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The two control sockets of an instance of zsblkd, over Varlink: what they tell, under load and across the death of servers and daemons.
With a stand-in for the kernel: see stand_in.c and zsblkdtest.py."""
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading

from chaos_test import BLOCK, Client
from zsblkdtest import PLUGIN, PROGRAM, is_alive, must, point, run, soon

MIB = 1 << 20

# unshare(2), mount(2), umount2(2)
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x1000, 0x4000, 0x40000, 2


class Failed(Exception):
    """An error that the service replied with."""


def call(instance, which, method, **parameters):
    """The reply's parameters. `which`: daemon or control."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        # The folder's path may be longer than an address has room for.
        folder = os.open(instance.folder / "run" / instance.name, os.O_PATH)
        try:
            sock.connect(f"/proc/self/fd/{folder}/{which}")
        finally:
            os.close(folder)
        sock.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        data = b""
        while not data.endswith(b"\0"):
            more = sock.recv(65536)
            if not more:
                raise ConnectionError("the connection was closed")
            data += more
    reply = json.loads(data[:-1])
    if "error" in reply:
        raise Failed(f"{reply['error']}: {reply.get('parameters')}")
    return reply.get("parameters", {})


def status(instance):
    return call(instance, "daemon", "org.zsblk.Daemon.GetStatus")


def describes(instance):
    """What the server tells of itself; None: it does not answer now."""
    with contextlib.suppress(OSError):
        return call(instance, "control", "org.zsblk.Device.GetDescription")
    return None


def refusal(*what, **parameters):
    try:
        return f"no error, but {call(*what, **parameters)}"
    except Failed as error:
        return str(error)


def test_history(instance):
    """Each server that was replaced is told, with the reason, by the daemon that has seen it."""
    first = instance.serve()
    told = status(instance)
    point(told["state"] == "in service" and told["server_pid"] == first and told["size"] == 64 * MIB and told["transport"] == "nbd" and
          told["name"] == instance.name and told["pid"] == instance.daemon() and told["segment"] == instance.segment(),
          "the status tells what there is", told)
    point(told["history"] == [] and told["replacements"] == 0 and "outage_max_ms" not in told, "and that nothing was replaced", told)
    point(told["sentence"] == instance.ask("--status")[1] or "server" in told["sentence"], "in words, too", told["sentence"])
    os.kill(first, signal.SIGKILL)
    second = must(instance.new_server(first), "the server is killed: there is another", instance.said())
    os.kill(second, signal.SIGSTOP)
    third = must(instance.new_server(second), "the server is stopped: there is another", instance.said())
    point(instance.ask("--upgrade")[0] == 0, "--upgrade", instance.said())
    told = status(instance)
    history = told["history"]
    point([entry["event"] for entry in history] == ["died", "hung", "upgraded"], "the three are told in their order", history)
    point([entry["before_pid"] for entry in history] == [first, second, third] and history[1]["server_pid"] == third, "by their numbers", history)
    point("signal 9" in history[0]["why"] and "did not answer" in history[1]["why"], "with the reason", history)
    point(0 < told["outage_median_ms"] <= told["outage_max_ms"] == max(entry["outage_ms"] for entry in history), "and the outages", told)
    os.kill(instance.daemon(), signal.SIGKILL)
    must(soon(instance.server, 30), "the daemon is killed: there is another", instance.said())
    point(status(instance)["history"] == [], "which begins anew", status(instance))
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_refusals(instance):
    instance.serve()
    point("InvalidParameter" in refusal(instance, "daemon", "org.zsblk.Daemon.Stop", unless_used=1), "a parameter of another type is refused")
    point("MethodNotFound" in refusal(instance, "daemon", "org.zsblk.Daemon.Explode"), "and a method that there is not")
    point("has a supervisor" in refusal(instance, "daemon", "org.zsblk.Daemon.MakeWay"), "a daemon with a supervisor does not make way")
    for size, words in ((0, "size=0 cannot be"), (4097, "a multiple of 4096"), (1 << 45, "up to")):
        point(words in refusal(instance, "daemon", "org.zsblk.Daemon.Resize", size=size), f"a size of {size} is refused")
    instance.world.is_swap = 1
    said = refusal(instance, "daemon", "org.zsblk.Daemon.Resize", size=32 * MIB)
    instance.world.is_swap = 0
    point("swapoff" in said and "mkswap" in said, "swap in use does not become smaller, and what has to happen is said", said)
    point(instance.server() and instance.world.size == 64 * MIB, "nothing has changed", instance.said())
    text = call(instance, "daemon", "org.varlink.service.GetInterfaceDescription", interface="org.zsblk.Daemon")["description"]
    point("method Resize(size: int)" in text, "the interface describes itself")
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_server(instance):
    """The server has its own, which each server after it has as well."""
    server = instance.serve("background-cpu=20")
    for what in ("killed", "upgraded"):
        told = must(soon(lambda: describes(instance)), "the server's socket answers", instance.said())
        point(told["pid"] == server and told["name"] == instance.name and told["size"] == 64 * MIB, "it is the server's", told)
        if what == "killed":
            os.kill(server, signal.SIGKILL)
        else:
            instance.ask("--upgrade")
        server = must(instance.new_server(server), f"the server is {what}: there is another", instance.said())
    point(soon(lambda: (describes(instance) or {}).get("pid") == server), "whose socket is there as well", describes(instance))
    point(instance.ask("--stop")[0] == 0 and not (instance.folder / "run" / instance.name).exists(), "--stop leaves nothing", instance.said())


def write_cold(instance, server):
    """Blocks that are in groups after that, over a connection of our own."""
    path = next((instance.folder / "run" / instance.name).glob(f"{server}-*.sock"))
    with contextlib.closing(Client(path)) as client:
        for block in range(16):
            client.write(block, (b"what compresses %07d\n" % block * BLOCK)[:BLOCK])
    job = call(instance, "control", "org.zsblk.Device.Group", older_than_s=0)["job"]
    return call(instance, "control", "org.zsblk.Device.WaitJob", job=job)["job"]


def test_features(instance):
    """A version that does not know what has been stored is not tried in place of one that does."""
    server = instance.serve()
    job = write_cold(instance, server)
    point(job["state"] == "done" and job.get("groups", 0) > 0, "groups are made", job)
    instance.script("if [[ $* = *--dump-plugin* ]]; then nbdkit \"$@\" | grep -v zsblk_segment_feature=shared; exit; fi")
    code, said = instance.ask("--upgrade")
    point(code == 1 and "does not know the feature 'shared'" in said, "an upgrade to a version without them is refused, and why is said", said)
    point(instance.server() == server and is_alive(server), "and the server there is goes on", instance.said())
    instance.script("")
    code, said = instance.ask("--upgrade")
    server = code == 0 and instance.new_server(server)
    point(server, "one that knows them comes up", said)
    facts = subprocess.run(["nbdkit", "--dump-plugin", PLUGIN], stdout=subprocess.PIPE, text=True, check=True).stdout
    if " lzma\n" in facts:
        call(instance, "control", "org.zsblk.Device.SetAlgorithm", algorithm="lzma")
        instance.script("if [[ $* = *--dump-plugin* ]]; then nbdkit \"$@\" | sed '/^zsblk_algorithms=/s/ lzma//'; exit; fi")
        code, said = instance.ask("--upgrade")
        point(code == 1 and "does not have the algorithm 'lzma'" in said, "nor is one that was built without an algorithm that is used", said)
        point(instance.server() == server and is_alive(server), "and the server there is goes on", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def hammer(instance, which, method, over, counts):
    """Ask all the time; a server that is just being replaced does not answer, and that is no fault."""
    while not over.is_set():
        try:
            call(instance, which, method)
            counts[which] += 1
        except (OSError, Failed):
            over.wait(0.005)


def test_hammered(instance):
    """Under all the requests that eight clients can make, servers are replaced, and nothing else happens."""
    server = instance.serve()
    over, counts = threading.Event(), {"daemon": 0, "control": 0}
    threads = [threading.Thread(target=hammer, args=(instance, which, method, over, counts)) for _ in range(4)
               for which, method in (("daemon", "org.zsblk.Daemon.GetStatus"), ("control", "org.zsblk.Device.GetStatistics"))]
    for thread in threads:
        thread.start()
    try:
        daemon = instance.daemon()
        for _ in range(5):
            os.kill(server, signal.SIGKILL)
            before, server = server, must(soon(lambda: (pid := status(instance).get("server_pid", 0)) not in (0, server) and
                                               status(instance)["state"] == "in service" and pid, 30),
                                          "the server is killed: there is another", instance.said())
            point(not is_alive(before), "and the one before is gone")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    point(counts["daemon"] > 20 and counts["control"] > 20, "meanwhile both sockets have answered", counts)
    point(instance.daemon() == daemon and "hang" not in instance.said(), "the daemon is the one it was", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_resize(instance):
    """Larger and smaller while it is served; and the server is killed just before it is asked."""
    server = instance.serve("max-size=256M")
    text = call(instance, "daemon", "org.zsblk.Daemon.Resize", size=128 * MIB)["text"]
    point(f"has {128 * MIB} bytes" in text and instance.world.size == 128 * MIB, "it becomes larger", (text, instance.said()))
    server = must(instance.new_server(server), "a new server has connections of that size", instance.said())
    point(status(instance)["history"][-1]["event"] == "resized" and status(instance)["size"] == 128 * MIB, "which is told", status(instance))
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "the server is killed: the next one has that size", instance.said())
    said = refusal(instance, "daemon", "org.zsblk.Daemon.Resize", size=512 * MIB)
    point("268435456" in said and instance.server() == server, "it does not become larger than max-size", said)
    text = call(instance, "daemon", "org.zsblk.Daemon.Resize", size=32 * MIB)["text"]
    point(f"has {32 * MIB} bytes" in text and instance.world.size == 32 * MIB, "it becomes smaller", (text, instance.said()))
    server = must(instance.new_server(server), "with a new server", instance.said())
    instance.world.is_swap = 1
    text = call(instance, "daemon", "org.zsblk.Daemon.Resize", size=64 * MIB)["text"]
    instance.world.is_swap = 0
    point("mkswap" in text, "swap that has become larger is to be made anew, which is said", text)
    daemon = instance.daemon()
    os.kill(daemon, signal.SIGKILL)
    must(soon(lambda: instance.daemon() != daemon and instance.server(), 30), "the daemon is killed: there is another", instance.said())
    point(instance.world.size == 64 * MIB and status(instance)["size"] == 64 * MIB, "the size stays", status(instance))
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def lose_group(instance, libc):
    """A daemon that takes over, with no server there, does not read /etc/group, which may be swapped out to the device."""
    config = instance.folder / f"{instance.name}.conf"
    config.write_text(f"size = 64M\nuse = nothing\ncontrol-group = lookers\nconnections = 1\ntransport = nbd\nnbdkit = {instance.nbdkit}\n"
                      f"plugin = {PLUGIN}\nreserve = 1M\nrecovery-reserve = 1M\n", encoding="ascii")
    config.chmod(0o600)
    instance.script('set -- "${@/lock=yes/lock=no}"')
    with open(instance.log, "ab") as log:
        instance.process = subprocess.Popen([PROGRAM, "--config", config.name], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=instance.folder, env=instance.environment())
    server, daemon = must(soon(instance.server), "it starts", instance.all_said()), instance.daemon()
    point((instance.folder / "run" / instance.name / "daemon").stat().st_gid == 54321, "the group may look", instance.said())
    # Whoever opens that waits for ever, as for a page that is on the device.
    os.mkfifo(instance.folder / "never")
    must(libc.mount(bytes(instance.folder / "never"), b"/etc/group", None, MS_BIND, None) == 0, "/etc/group cannot be read any more")
    try:
        os.kill(daemon, signal.SIGSTOP)
        os.kill(server, signal.SIGKILL)
        os.kill(daemon, signal.SIGKILL)
        must(soon(lambda: instance.daemon() != daemon and instance.server() not in (0, server), 20),
             "server and daemon are killed: there are others", instance.said())
        point((instance.folder / "run" / instance.name / "daemon").stat().st_gid == 54321, "the group may still look", instance.said())
        point(instance.ask("--stop")[0] == 0, "--stop", instance.said())
    finally:
        libc.umount2(b"/etc/group", MNT_DETACH)


def test_group(instance):
    """control-group=, by name, with a /etc/group of the test's own, in a mount namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        print("1..0 # SKIP this takes the right to make a mount namespace")
        sys.exit(0)
    known = instance.folder / "group"
    known.write_text("root:x:0:\nlookers:x:54321:\n", encoding="ascii")
    must(libc.mount(bytes(known), b"/etc/group", None, MS_BIND, None) == 0, "/etc/group is one of the test's own")
    try:
        lose_group(instance, libc)
    finally:
        libc.umount2(b"/etc/group", MNT_DETACH)


TESTS = {
    "history": test_history,
    "refusals": test_refusals,
    "server": test_server,
    "hammered": test_hammered,
    "resize": test_resize,
    "group": test_group,
    "features": test_features,
}

if __name__ == "__main__":
    run(TESTS[sys.argv[1]])
