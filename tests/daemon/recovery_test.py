#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkd's recovery under faults that a kernel cannot be asked for: see stand_in.c. Run with the name of one test.

Environment: see zsblkdtest.py.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from zsblkdtest import PLUGIN, PROGRAM, is_alive, must, point, run, soon


def test_faults(instance):
    first = instance.serve()
    point(instance.says("ready:"), "and says so", instance.said())

    os.kill(first, signal.SIGKILL)
    second = must(instance.new_server(first), "the server is killed: there is another", instance.said())

    # One that has claimed nothing yet, and has no socket: nobody can ask it who it is.
    instance.script("sleep 3")
    os.kill(second, signal.SIGKILL)
    starting = soon(lambda: [pid for pid in instance.servers() if pid != second])
    os.kill(instance.daemon(), signal.SIGKILL)
    point(starting and not list((instance.folder / "run" / instance.name).glob("*.sock")),
          "the daemon is killed while a new server starts")
    instance.script("")
    third = must(instance.new_server(second), "there is another", instance.said())
    point(soon(lambda: instance.servers() == [third]), "and only one", instance.servers())

    instance.mark()
    os.kill(third, signal.SIGSTOP)
    fourth = must(instance.new_server(third), "the server is stopped: there is another", instance.said())
    point("did not answer for" in instance.said(), "and why is said", instance.said())

    instance.mark()
    instance.world.stuck = 3
    point(instance.says("completed none of the device's requests"),
          "the server answers the probe, but does not complete requests: that is noticed", instance.said())
    instance.world.stuck = 0
    fifth = must(instance.new_server(fourth), "and there is another", instance.said())

    # As many as it takes, but not as many as there can be.
    before, began = instance.world.offered, time.monotonic()
    instance.world.refuse = 22
    os.kill(fifth, signal.SIGKILL)
    soon(lambda: instance.world.offered >= before + 4, 30)
    offered, took = instance.world.offered - before, time.monotonic() - began
    instance.world.refuse = 0
    must(instance.new_server(fifth), "the kernel refuses new connections for a while: in the end it takes them",
         instance.said())
    point(offered >= 4 and took > 0.3, f"in between it is left alone, longer and longer ({offered} times in {took:.1f} s)",
          instance.said())
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0 and not instance.servers(), "--stop",
          instance.said())


def test_upgrades(instance):
    server = instance.serve()
    status, said = instance.ask("--upgrade")
    new = must(instance.new_server(server), "--upgrade: there is another server", said)
    point(status == 0, "and that is said", said)

    instance.script("[[ $* = *--dump-plugin* ]] || { echo 'nbdkit: error: no such parameter' >&2; exit 1; }")
    status, said = instance.ask("--upgrade")
    point(status == 1 and "no such parameter" in said, "--upgrade to a server that would not start says why", said)
    point(instance.server() == new and is_alive(new), "and the server there is goes on", instance.said())

    instance.script("[[ $* = *--dump-plugin* ]] || sleep 100")
    status, said = instance.ask("--upgrade", 60)
    point(status == 1 and "does not come up" in said, "--upgrade to a server that hangs ends", said)
    point(instance.server() == new and is_alive(new), "and the server there is goes on", instance.said())

    instance.script("[[ $* = *rehearsal* || $* = *--dump-plugin* ]] || sleep 2")
    with subprocess.Popen([PROGRAM, "--upgrade", instance.name], stdout=subprocess.PIPE, text=True, cwd=instance.folder,
                          env=instance.environment()) as asker:
        soon(lambda: not instance.server())
        status, said = instance.ask("--upgrade")
        first = asker.communicate(timeout=60)[0]
    point(status == 1 and "being upgraded already" in said, "--upgrade during an upgrade is refused", said)
    point(asker.returncode == 0 and "upgraded" in first, "and the first one is told when it is done", first)
    instance.script("")
    must(instance.new_server(new), "there is another server", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_trial(instance):
    """What --upgrade asks before it replaces anything: once, by one clock, and with nothing left behind."""
    instance.setting = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "600000000"}
    server = instance.serve()
    started = pathlib.Path(f"/proc/{server}/environ").read_bytes().split(b"\0")
    point(not [word for word in started if word.startswith((b"NOTIFY_SOCKET", b"WATCHDOG_"))],
          "what systemd tells zsblkd is not told to the server", started)
    trace = 'echo "${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none} $*" >>trace'
    for what, when, said_so in (("whose --dump-plugin hangs", "*--dump-plugin*", "--dump-plugin"),
                                ("that hangs", "*rehearsal*", "does not come up within")):
        instance.script(f'{trace}; [[ $* = {when} ]] && sleep 97')
        status, said = instance.ask("--upgrade", 60)
        point(status == 1 and said_so in said and "10 seconds" in said, f"--upgrade to a server {what} ends", said)
        point(soon(lambda: not instance.running("sleep\x0097")), "and nothing of it goes on", instance.running("sleep\x0097"))
        point(not (instance.folder / "run" / instance.name / "rehearsal.sock").exists(), "nor is left in the folder")
    lines = (instance.folder / "trace").read_text(encoding="ascii").splitlines()
    point(sum("--dump-plugin" in line for line in lines) == 2, "the plugin is asked once each time", lines)
    point(all(line.startswith("none none ") for line in lines), "what systemd tells zsblkd is not told to it", lines)
    instance.script("")
    status, said = instance.ask("--upgrade", 60)
    point(instance.new_server(server) and not (instance.folder / "run" / instance.name / "rehearsal.sock").exists(),
          "one that comes up leaves nothing in the folder", said)
    instance.setting = {}
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_start_that_hangs(instance):
    server = instance.serve()
    instance.script("[ -e \"$PWD/hung\" ] || { touch \"$PWD/hung\"; kill -STOP $$; }")
    instance.mark()
    os.kill(server, signal.SIGKILL)
    must(instance.new_server(server, 45), "a server that hangs before it serves is replaced", instance.said())
    point("did not come into service in time" in instance.said(), "and why is said", instance.said())
    instance.script("")
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_folder_removed(instance):
    server = instance.serve()
    instance.mark()
    shutil.rmtree(instance.folder / "run" / instance.name)
    os.kill(server, signal.SIGKILL)
    point(instance.says("serves nbd0 again"),
          "somebody removes its folder: there is another server", instance.said())
    # As is its lock, but there are not to be two.
    instance.mark()
    first = instance.process
    instance.start()
    point(instance.process.wait(30) == 75 and "which another zsblkd looks after" in instance.said(),
          "another one is refused while it lives", instance.said())
    instance.process = first
    # Its control socket is gone with the folder; the next daemon makes one.
    children = instance.children()  # before they are somebody else's
    os.kill(instance.process.pid, signal.SIGKILL)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    instance.process.wait()
    # A daemon that is being killed, and has not ended yet, still looks after its server.
    must(soon(lambda: not instance.children()), "its processes end", instance.said())
    instance.start()
    must(soon(instance.server, 30), "another daemon takes over", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_detached(instance):
    server = instance.serve()
    # In use: what cannot be read just now is not gone.
    instance.world.is_swap = 1
    instance.world.attached = 0
    time.sleep(3)  # the device is looked at every second here
    instance.world.attached = 1
    point(instance.server() == server, "what looks detached and is in use is not given up", instance.said())
    instance.world.is_swap = 0
    status, said = instance.ask("--stop")
    point(status == 0 and instance.process.wait(30) == 0 and not instance.servers(), "--stop", said)


def test_stop_beside_replacement(instance):
    """The device is detached, and that is not known yet, when a new server is ready."""
    server = instance.serve()
    instance.mark()
    instance.world.slow = 2000
    instance.script("[[ $* = *--dump-plugin* ]] || sleep 0.3")
    os.kill(server, signal.SIGKILL)
    status, said = instance.ask("--stop")
    instance.world.slow = 0
    instance.script("")
    point(status == 0 and instance.process.wait(30) == 0 and "is being detached" in instance.said(),
          "--stop while a server is replaced", said + instance.said())
    point(not instance.world.attached and not instance.servers(), "it is not attached again")


def test_stop_that_waits(instance):
    """A stop says what it waits for. (The swapoff here is refused, as while somebody else is at it, and is tried on.)"""
    instance.serve()
    instance.world.is_swap = 1
    instance.world.swapped = 300
    instance.mark()
    with subprocess.Popen([PROGRAM, "--stop", instance.name], stdout=subprocess.PIPE, text=True, cwd=instance.folder,
                          env=instance.environment()) as asker:
        point(soon(lambda: "is being stopped, and waits for swapoff" in instance.ask("--status")[1]),
              "the status says that it is being stopped", instance.ask("--status"))
        point("0.3 MiB are left" in instance.ask("--status")[1], "and what it waits for", instance.ask("--status"))
        point("0.3 MiB are swapped out to it" in instance.said(), "so does the log", instance.said())
        instance.world.is_swap = 0
        asker.communicate(timeout=60)
    point(asker.returncode == 0 and instance.process.wait(30) == 0, "when that has come, it is stopped", instance.said())


# What such a version still does.
TRIAL = "[[ $* = *rehearsal* || $* = *--dump-plugin* || $* = */proc/self/fd/4* ]]"
OLD_FILES = "from the files of the one before"


def test_version_that_does_not_work(instance):
    """It passes the trial, and then cannot open the segment."""
    server = instance.serve()
    instance.script(TRIAL + " || { echo 'cannot open this segment' >&2; exit 1; }")
    status, said = instance.ask("--upgrade", 60)
    point(status == 1 and "one " + OLD_FILES + " is there again" in said,
          "--upgrade to a version that does not work goes back to the one before", said + instance.said())
    old = must(instance.new_server(server), "which serves", instance.said())
    point(OLD_FILES in instance.ask("--status")[1], "the status says so")
    os.kill(old, signal.SIGKILL)
    again = must(instance.new_server(old), "it is killed: there is another", instance.said())

    instance.script(TRIAL + " || { (sleep 3; kill -SEGV $$) & }")
    status, said = instance.ask("--upgrade", 60)
    point(status == 0, "--upgrade to a version that crashes after a while", said)
    point(soon(lambda: OLD_FILES in instance.ask("--status")[1]), "there is one from the old files again", instance.said())
    again = must(instance.new_server(again), "which serves", instance.said())

    # A program, and not a script that runs one: it is kept as well.
    new = instance.folder / "nbdkit.new"
    shutil.copy(shutil.which("nbdkit"), new)
    new.rename(instance.nbdkit)
    status, said = instance.ask("--upgrade", 60)
    new = must(instance.new_server(again), "--upgrade to a version that works", said)
    point(status == 0 and OLD_FILES not in instance.ask("--status")[1], "and the status says no more of it", said)
    time.sleep(6)  # until it counts as one that works: for 5 seconds here
    gone = instance.folder / "gone"
    instance.nbdkit.rename(gone)
    os.kill(new, signal.SIGKILL)
    new = must(instance.new_server(new), "none is installed any more: there is another all the same", instance.said())
    point(pathlib.Path(f"/proc/{new}/comm").read_text(encoding="ascii").strip() == "nbdkit", "and is called nbdkit")
    instance.script("")
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_files_outlive_daemon(instance):
    """What is installed does not work, and the daemon that holds the files that do is killed as well."""
    server = instance.serve()
    instance.script(TRIAL + " || { echo 'cannot open this segment' >&2; exit 1; }")
    instance.ask("--upgrade", 60)
    old = must(instance.new_server(server), "--upgrade to a version that does not work goes back to the one before",
               instance.all_said())
    for times in ("", ", and once more"):
        daemon = instance.daemon()
        os.kill(daemon, signal.SIGKILL)
        os.kill(old, signal.SIGKILL)
        old = must(instance.new_server(old), "daemon and server are killed: there is another" + times, instance.said())
        point(instance.daemon() != daemon and OLD_FILES in instance.ask("--status")[1], "from the old files", instance.said())
    os.kill(instance.daemon(), signal.SIGKILL)
    point(soon(instance.server, 30) == old and OLD_FILES in instance.ask("--status")[1],
          "the daemon is killed: the next one knows whose files the server has", instance.ask("--status"))
    time.sleep(6)  # until it counts as one that works
    os.kill(old, signal.SIGKILL)
    old = must(instance.new_server(old), "the server is killed then: there is another", instance.said())
    point(OLD_FILES in instance.ask("--status")[1], "from the old files", instance.said())
    instance.script("")
    point(instance.ask("--upgrade", 60)[0] == 0 and OLD_FILES not in instance.ask("--status")[1],
          "a version that works takes over", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_kept_at_once(instance):
    """No server has served for long yet when what is installed stops working, and daemon and server are killed."""
    server = instance.serve()
    # A server that lives for half the time that counts as "for long" at most is never one that has.
    for _ in range(20):
        if soon(instance.is_kept, 2.5):
            break
        os.kill(server, signal.SIGKILL)
        server = must(instance.new_server(server), "the server is killed: there is another", instance.said())
    must(instance.is_kept(), "the first server's files are kept before it has served for long", instance.said())
    instance.script(TRIAL + " || { echo 'cannot open this segment' >&2; exit 1; }")
    os.kill(instance.daemon(), signal.SIGKILL)
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "daemon and server are killed: there is another", instance.said())
    point(OLD_FILES in instance.ask("--status")[1], "from the old files", instance.said())
    instance.script("")
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_orphan_upgrades(instance):
    """A daemon without a supervisor tries a version that does not work when another daemon is to take over from it."""
    server = instance.serve()
    must(soon(instance.is_kept), "the server's files are kept", instance.said())
    instance.process.kill()
    instance.process.wait()
    # What is installed takes its time to fail: there is no server when the other daemon asks.
    instance.script(TRIAL + " || { sleep 2; echo 'cannot open this segment' >&2; exit 1; }")
    with subprocess.Popen([PROGRAM, "--upgrade", instance.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          cwd=instance.folder, env=instance.environment()) as asker:
        must(soon(lambda: not is_alive(server), 30), "--upgrade: the server is replaced", instance.said())
        instance.start()
        said = asker.communicate(timeout=60)[0]
    point("one " + OLD_FILES + " is there again" in said, "who asked for the upgrade hears what came of it", said)
    must(instance.new_server(server), "another daemon is started meanwhile: there is a server", instance.all_said())
    point(soon(lambda: "making way for another daemon" in instance.all_said()), "and the daemon is the other one")
    must(soon(instance.is_kept), "the files that work are kept again", instance.all_said())
    server = instance.server()
    os.kill(instance.daemon(), signal.SIGKILL)
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "daemon and server are killed: there is another", instance.all_said())

    # A version that serves for a moment has not shown that its files are worth keeping.
    must(soon(instance.is_kept), "files that work are kept", instance.all_said())
    instance.process.kill()
    instance.process.wait()
    instance.script(TRIAL + " || { (sleep 2; kill -SEGV $$) & }")
    point(instance.ask("--upgrade", 60)[0] == 0, "--upgrade to a version that crashes after a while", instance.all_said())
    instance.mark()
    instance.start()
    must(instance.says("making way for another daemon", 1, 60), "another daemon takes over in the end", instance.said())
    before = instance.said().split("making way for another daemon")[0]
    point("from the files of the one before" in before, "once there is a server from the old files", instance.said())
    instance.script("")
    must(soon(instance.server, 60), "there is a server", instance.said())
    point(soon(lambda: instance.ask("--stop")[0] == 0, 60), "--stop", instance.said())


def test_killed_after_upgrade(instance):
    """Daemon and server are killed soon after an upgrade: that says nothing against what is installed."""
    server = instance.serve("--verbose")
    point(instance.ask("--upgrade", 60)[0] == 0, "--upgrade to a version that works", instance.said())
    server = must(instance.new_server(server), "which serves", instance.said())
    # The next daemon finds the server while that is dying: such a server is there, and does not answer any more.
    daemon = instance.daemon()
    instance.mark()
    os.kill(server, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    point(instance.says(f"connecting to process {server} "), "the daemon is killed: the next one finds the server",
          instance.said())
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "the server is killed: there is another", instance.said())
    point(OLD_FILES not in instance.ask("--status")[1] + instance.said(), "of what is installed", instance.said())
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_relay(instance):
    """The process that hands messages on is killed."""
    server = instance.serve()
    relay = must(soon(instance.relay), "there is a process that hands messages on")
    instance.mark()
    os.kill(relay, signal.SIGKILL)
    point(soon(lambda: instance.relay() not in (0, relay)), "it is killed: there is another", instance.said())
    point(instance.says("hands messages on"), "which says so", instance.said())
    instance.mark()
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "the server is killed: there is another", instance.said())
    point(instance.says("serves nbd0 again"), "and that is said", instance.said())
    # At the same moment: what is said meanwhile is not lost.
    relay = must(soon(instance.relay), "there is a process that hands messages on")
    instance.mark()
    os.kill(relay, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "it hangs, and the server is killed: there is another", instance.said())
    os.kill(relay, signal.SIGKILL)
    point(instance.says("serves nbd0 again"), "and what was said meanwhile is said by the next", instance.said())
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0, "--stop", instance.said())
    point(soon(lambda: not instance.children()), "none of its processes stays", instance.children())


def test_other_parameters(instance):
    """The daemon is started again with others than those of the server that it finds."""
    server = instance.serve()
    instance.world.is_swap = 1

    # Whatever else was lost: what was asked for once is not what is attached.
    instance.kill()
    (instance.folder / "run" / instance.name / "segment").unlink()
    instance.mark()
    instance.start("memory=shm:0x7c123451")
    point(soon(instance.server, 30) == server, "its own one is found by its name", instance.said())
    point("memory=shm:0x7c123451 was asked for; the device is attached with" in instance.said(), "which is said",
          instance.said())

    instance.kill()
    config = instance.folder / f"{instance.name}.conf"
    done = subprocess.run([PROGRAM, "--config", config.name], capture_output=True, text=True, timeout=20, check=False,
                          cwd=instance.folder, env=instance.environment())
    point(done.returncode == 75 and "No such file" in done.stderr, "no configuration, with the device attached", done)
    for text, error in (("size = 64M\nsise = 1\n", ":2: there is no key 'sise'"), ("size = 64M\nuse = mount\n", ":2: use = mount")):
        config.write_text(text, encoding="ascii")
        config.chmod(0o600)
        done = subprocess.run([PROGRAM, "--config", config.name], capture_output=True, text=True, timeout=20, check=False,
                              cwd=instance.folder, env=instance.environment())
        point(done.returncode == 75 and error in done.stderr and "goes on without" in done.stderr,
              "a wrong configuration, with the device attached: it is to be tried again", done)
    instance.mark()
    instance.start("colour=red")
    point(instance.says("no server would come up") and instance.says("ready:"),
          "parameters that no server would start with are noticed while there is one", instance.said())
    status, said = instance.ask("--status")
    point(status == 0 and "no other server would come up" in said and instance.server() == server,
          "the server goes on, and the status says so", said)

    # An empty segment, of another size, which nobody serves.
    key = f"shm:0x{0x7b000001 + (os.getpid() << 4 & 0xfffff0):08x}"
    socket = instance.folder / "other.sock"
    with subprocess.Popen(["nbdkit", "-f", "-U", str(socket), PLUGIN, "size=32M", "lock=no", f"memory={key}"]) as other:
        soon(socket.exists)
        other.kill()
    instance.kill()
    instance.mark()
    instance.start(f"memory={key}")
    point(instance.says(f"memory={key} was asked for; the device is attached with"), "another segment is not taken",
          instance.said())
    point(soon(instance.server) == server, "the server goes on", instance.said())

    # Nor when the folder is empty and nobody serves.
    instance.kill()
    shutil.rmtree(instance.folder / "run" / instance.name)
    os.kill(server, signal.SIGKILL)
    soon(lambda: not instance.servers())
    instance.mark()
    instance.start(f"memory={key}")
    must(soon(instance.server, 30), "with its own one it goes on", instance.said())
    point(instance.says(f"memory={key} was asked for; the device is attached with"), "which is said", instance.said())
    point("no other server" not in instance.ask("--status")[1], "and the status says no more of parameters")
    subprocess.run(["ipcrm", "-M", key[4:]], check=False)
    instance.world.is_swap = 0
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_daemon_that_hangs(instance):
    """Nobody but the next daemon is there to end it."""
    server = instance.serve()
    daemon = instance.daemon()
    instance.process.kill()
    instance.process.wait()
    os.kill(daemon, signal.SIGSTOP)
    status, said = instance.ask("--status")
    point(status == 1 and "does not answer" in said, "--status of a daemon that hangs ends", said)
    instance.mark()
    instance.start()
    point(soon(lambda: "has no supervisor, and does not answer; it is killed" in instance.said(), 30),
          "the next daemon kills it", instance.said())
    point(soon(instance.server, 30) == server, "and takes over", instance.said())
    status, said = instance.ask("--upgrade")
    point(status == 0 and instance.new_server(server), "--upgrade of a server that was adopted", said)
    # One that has a supervisor is not touched.
    first = instance.process
    instance.mark()
    instance.start()
    point(instance.process.wait(30) == 1 and "is in use by zsblkd" in instance.said() and first.poll() is None,
          "two with one name: the second is refused", instance.said())
    instance.process = first
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_foreign(instance):
    """Somebody else's segment is not taken, neither by a device that is new nor by one that is attached with another."""
    socket = instance.folder / "foreign.sock"
    key = f"shm:0x{0x7a000001 + (os.getpid() << 4 & 0xfffff0):08x}"
    with subprocess.Popen(["nbdkit", "-f", "-U", str(socket), PLUGIN, "size=64M", "lock=no", f"memory={key}"]) as foreign:
        try:
            soon(socket.exists)
            instance.start(f"memory={key}")
            status = instance.process.wait(30)
            said = instance.said()
            refusal = f"{key} is in use by process {foreign.pid}, which is no server of"
            point(status == 1 and refusal in said, "a segment that somebody else serves is refused", said)
            point(not (instance.folder / "run" / instance.name).exists(), "and nothing is left behind")

            instance.start()
            server = must(soon(instance.server), "it starts", instance.said())
            instance.kill()
            os.kill(server, signal.SIGKILL)
            soon(lambda: not instance.servers())
            instance.mark()
            instance.start(f"memory={key}")
            must(soon(instance.server, 30), "when the device is attached, it goes on with its own segment", instance.said())
            point(f"memory={key} was asked for; the device is attached with" in instance.said(), "which is said")
            point(instance.ask("--stop")[0] == 0, "--stop", instance.said())
            point(is_alive(foreign.pid), "the other one is served on")
        finally:
            foreign.kill()
    subprocess.run(["ipcrm", "-M", key[4:]], check=False)


TESTS = {
    "faults": test_faults,
    "upgrades": test_upgrades,
    "killed-after-upgrade": test_killed_after_upgrade,
    "trial": test_trial,
    "start-that-hangs": test_start_that_hangs,
    "folder-removed": test_folder_removed,
    "detached": test_detached,
    "stop-that-waits": test_stop_that_waits,
    "stop-beside-replacement": test_stop_beside_replacement,
    "bad-version": test_version_that_does_not_work,
    "other-parameters": test_other_parameters,
    "daemon-hangs": test_daemon_that_hangs,
    "foreign": test_foreign,
    "files-outlive-daemon": test_files_outlive_daemon,
    "kept-at-once": test_kept_at_once,
    "orphan-upgrades": test_orphan_upgrades,
    "relay": test_relay,
}

if __name__ == "__main__":
    run(TESTS[sys.argv[1]])
