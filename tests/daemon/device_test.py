#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What zsblkd does to its device and lets its children do, with a stand-in for the kernel: see stand_in.c and zsblkdtest.py."""
import errno
import os
import signal
import subprocess
import sys
import time

from zsblkdtest import PLUGIN, PROGRAM, is_alive, must, point, run, soon


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


def test_taken_over(instance):
    """Somebody detaches the device and attaches another server to it: that one is left alone."""
    instance.serve()
    instance.world.backend = b"theirs"
    status, said = instance.ask("--stop")
    point(instance.process.wait(30) == 1 and "attached to another server now, and is left alone" in instance.said(),
          "another server is attached to the device: --stop says so", instance.said())
    point(instance.world.attached, "and does not detach it", said)
    point(not instance.servers(), "our server is ended", instance.servers())

    instance.world.attached = 0
    instance.mark()
    server = instance.serve()
    instance.world.backend = b"theirs"
    offered = instance.world.offered
    os.kill(server, signal.SIGKILL)
    point(instance.process.wait(30) == 1 and "attached to another server now" in instance.said(),
          "the same, and our server dies: the daemon ends", instance.said())
    point(instance.world.attached and instance.world.offered == offered, "and the device is not given our connections",
          instance.world.offered - offered)

    # nbd-client attaches devices without an identifier.
    instance.world.attached = 0
    instance.mark()
    instance.serve()
    instance.world.backend = b""
    point(instance.process.wait(30) == 1 and instance.world.attached,
          "another server without an identifier is attached: that is noticed without being asked", instance.said())


def test_no_identifiers(instance):
    """A kernel that does not remember whose a device is: the next daemon would attach a second one to the same data."""
    instance.setting["ZSBLK_TEST_NO_BACKEND"] = "1"
    instance.start()
    point(instance.process.wait(30) == 1 and "does not say that it is ours (Linux 5.14" in instance.said(),
          "a kernel that does not say whose a device is: refused", instance.said())
    point(instance.world.offered == 1 and not instance.world.attached, "the device is detached again")
    point(not instance.servers(), "there is no server", instance.servers())


def test_cannot_tell(instance):
    """Whose a device is cannot be read at a start: a second one on the same data would be made swap, over the first one's."""
    server = instance.serve()
    instance.kill()
    backend, instance.world.backend = instance.world.backend, b"?"
    offered = instance.world.offered
    instance.mark()
    instance.start()
    soon(lambda: instance.process.poll() is not None or instance.server(), 30)
    point("it cannot be told whether a device is attached" in instance.said(), "the start is refused", instance.said())
    point(instance.process.poll() not in (None, 0, 1), "to be tried again", instance.process.returncode)
    point(instance.world.offered == offered, "no device is attached")
    point(instance.servers() == [server], "the server lives on", instance.servers())
    instance.world.backend = backend
    point(instance.serve() == server, "once it can be told, the server is adopted", instance.said())
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0, "--stop", instance.said())


def test_swapoff(instance):
    """swapoff -a by somebody else: it is said, and an upgrade tries to bring swap back."""
    instance.world.is_swap = 1
    server = instance.serve("--swapon")
    must("is no swap" not in instance.said(), "swap is on", instance.said())
    instance.world.is_swap = 0
    must(instance.says("is no swap any more: somebody else has switched that off"), "swapoff is noticed", instance.said())
    status, said = instance.ask("--status")
    point(status == 0 and "it is no swap now" in said, "the status says it", said)
    point(instance.server() == server, "the device is served on")
    time.sleep(2.5)  # the device is looked at every second here
    point(instance.said().count("is no swap any more") == 1, "it is said once", instance.said())
    status, said = instance.ask("--upgrade")
    point(status == 0, "--upgrade", said)
    # There is no device here that mkswap could write to.
    must(instance.says("swap stays off"), "swap is tried again, and that it fails stops nothing", instance.said())
    server = must(instance.server(), "the device is served on", instance.said())
    instance.world.is_swap = 1
    must(instance.says("is swap again"), "swapon is noticed", instance.said())
    point("it is no swap now" not in instance.ask("--status")[1], "the status does not say it any more")
    instance.world.is_swap = 0
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def program(instance, name, text):
    """A program that is found before the system's."""
    path = instance.folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/bash\n" + text, encoding="ascii")
    path.chmod(0o755)
    instance.setting["PATH"] = f"{path.parent}:{os.environ['PATH']}"


def test_stop_at_start(instance):
    """mkswap hangs: that keeps nobody from stopping the daemon. Nor is it told how to speak for the daemon."""
    started = instance.folder / "started"
    program(instance, "mkswap", f"env >'{instance.folder}/environment'; sleep 1000 & echo $! >'{started}'; wait\n")
    instance.setting["NOTIFY_SOCKET"] = str(instance.folder / "notify")
    for how, stop in (("--stop", lambda: instance.ask("--stop")), ("SIGTERM", lambda: (instance.process.terminate(), "")),
                      ("--stop-unused", lambda: instance.ask("--stop-unused"))):
        started.unlink(missing_ok=True)
        instance.mark()
        instance.start("--swapon")
        must(soon(lambda: started.exists() and started.read_text(encoding="ascii")), "mkswap hangs", instance.said())
        said = stop()[1]
        try:
            status = instance.process.wait(20)
        except subprocess.TimeoutExpired:
            status = "it goes on"
        must(status in (0, 1), f"{how}: the daemon stops", f"{status} {said}\n{instance.said()}")
        point(soon(lambda: not is_alive(int(started.read_text(encoding="ascii")))), "and what mkswap had started ends")
        point(not instance.world.attached and not instance.servers(), "nothing is left", instance.servers())
    environment = (instance.folder / "environment").read_text(encoding="utf-8")
    point("NOTIFY_SOCKET" not in environment and "ZSBLK_TEST_WORLD" in environment,
          "programs are not told where the service manager listens", environment)


def test_messages(instance):
    """Nothing is said without words, nor the same with each try; and what is not there has no number."""
    instance.setting["ZSBLK_TEST_NO_MEMORY"] = "1"
    instance.start()
    point(instance.process.wait(30) == 1 and "Cannot allocate memory" in instance.said(),
          "no memory at the start: that is said", instance.said())
    del instance.setting["ZSBLK_TEST_NO_MEMORY"]

    instance.mark()
    server = instance.serve()
    instance.world.refuse = 5
    offered = instance.world.offered
    os.kill(server, signal.SIGKILL)
    must(soon(lambda: instance.world.offered > offered + 3), "connections are refused again and again", instance.said())
    point(instance.said().count("cannot be given its new connections") == 1, "that is said once", instance.said())
    instance.script("exit 1")
    said = must(soon(lambda: "the server is being replaced" in (said := instance.ask("--status")[1]) and said),
                "--status while there is no server says so", instance.ask("--status")[1])
    point("server 0" not in said, "and names none", said)
    instance.script("")
    instance.world.refuse = 0
    must(soon(instance.server, 30), "it serves again", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_device_open(instance):
    """Somebody has the device open while it is to be attached."""
    instance.world.refuse = errno.EBUSY
    instance.start()
    must(soon(lambda: instance.world.offered > 2), "somebody has the device open: it is tried again", instance.said())
    instance.world.refuse = 0
    must(soon(instance.server), "and attached when he has closed it", instance.said())
    point(instance.said().count("while somebody has it open") == 1, "which was said once", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())
    instance.mark()
    instance.world.refuse = errno.EBUSY
    instance.start()
    point(instance.process.wait(30) == 1 and "somebody has it open, or another server" in instance.said(),
          "one that does not close it: that is said in the end", instance.said())


def test_failed_mount(instance):
    """Why a file system cannot be made or mounted is said."""
    instance.setting["PATH"] = os.environ["PATH"]
    (instance.folder / "nbd0").write_bytes(bytes(1 << 16))
    program(instance, "blkid", "exit 2\n")
    program(instance, "mkfs", "echo 'mke2fs 1.47.0 (5-Feb-2023)' >&2; echo 'nbd0: Not enough space to build it' >&2; exit 1\n")
    program(instance, "mount", "echo mounted >&2; exit 1\n")
    config = instance.folder / f"{instance.name}.conf"
    instance.script('set -- "${@/lock=yes/lock=no}"')

    def fails(path, words):
        config.write_text(f"size = 64M\nmount-point = {path}\nconnections = 1\ntransport = nbd\nnbdkit = {instance.nbdkit}\nplugin = {PLUGIN}\nreserve = 1\n"
                          "recovery-reserve = 1\n", encoding="ascii")
        config.chmod(0o600)
        done = subprocess.run([PROGRAM, "--config", config.name], capture_output=True, text=True, timeout=60, check=False,
                              cwd=instance.folder, env=instance.environment())
        point(done.returncode == 1 and words in done.stderr, f"says: {words}", done.stderr)

    fails(instance.folder / "there", ": nbd0: Not enough space to build it")
    program(instance, "mkfs", "exit 0\n")
    fails("/proc/nowhere/there", "mount-point: /proc/nowhere cannot be made: No such file")


TESTS = {
    "swapoff": test_swapoff,
    "device-open": test_device_open,
    "failed-mount": test_failed_mount,
    "stop-at-start": test_stop_at_start,
    "messages": test_messages,
    "slow-children": test_slow_children,
    "taken-over": test_taken_over,
    "no-identifiers": test_no_identifiers,
    "cannot-tell": test_cannot_tell,
}

if __name__ == "__main__":
    run(TESTS[sys.argv[1]])
