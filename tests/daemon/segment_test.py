#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The segment of an instance of zsblkd: nobody else comes into it, and it is removed only when that was asked for. With a
stand-in for the kernel: see stand_in.c and zsblkdtest.py."""
import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys

from zsblkdtest import PLUGIN, PROGRAM, is_alive, must, point, run, soon

SECRET = b"root-secret-0123456789" * 100
NOBODY = 65534


def segments():
    """All shared memory segments of the machine: identifier -> line of /proc/sysvipc/shm."""
    with open("/proc/sysvipc/shm", encoding="ascii") as file:
        names = next(file).split()
        return {int(line.split()[1]): dict(zip(names, line.split())) for line in file}


def own_segments(instance):
    """Those that bear the instance's name in their superblock."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    found = []
    for shmid in segments():
        at = libc.shmat(shmid, None, 0o10000)
        if at not in (None, ctypes.c_void_p(-1).value):
            if instance.name.encode() in ctypes.string_at(at, 256):
                found.append(shmid)
            libc.shmdt(ctypes.c_void_p(at))
    return found


def new_key(start):
    return start | (os.getpid() << 4 & 0xfffff0)


def connected(path):
    """A socket with a name is not yet one that takes connections. None: not now."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(path))
        return sock
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None


class Client:
    """The least that an NBD client has to be."""

    def __init__(self, path):
        self.sock = soon(lambda: connected(path))
        if not self.sock:
            raise ConnectionError(f"{path}: nobody takes connections")
        self.get(18)
        self.sock.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 1, 0))
        self.get(10)

    def get(self, length):
        data = b""
        while len(data) < length:
            more = self.sock.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def request(self, kind, offset, length, data=b""):
        self.sock.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, 1, offset, length) + data)
        if struct.unpack(">IIQ", self.get(16))[1]:
            raise OSError("an error in reply")

    def write(self, offset, data):
        self.request(1, offset, len(data), data)

    def read(self, offset, length):
        self.request(0, offset, length)
        return self.get(length)


def client(instance):
    path = next((instance.folder / "run" / instance.name).glob(f"{instance.server()}-*.sock"))
    return Client(path)


@contextlib.contextmanager
def old_data(instance, key):
    """A segment with data, made by a plain nbdkit that has ended."""
    path = instance.folder / "old.sock"
    with subprocess.Popen(["nbdkit", "-f", "-U", str(path), PLUGIN, "size=64M", "lock=no", "reserve=0",
                           f"memory=shm:{key:#x}"]) as server:
        try:
            Client(path).write(0, SECRET)
        finally:
            server.kill()
    try:
        yield subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout.count(f"{key:#010x}")
    finally:
        subprocess.run(["ipcrm", "-M", str(key)], check=False, stderr=subprocess.DEVNULL)


def has_key(key):
    return any(int(line["key"]) & 0xffffffff == key for line in segments().values())


def as_nobody(function):
    """Run it as an ordinary user; what it returns, a small number."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os._exit(function())  # pylint: disable=protected-access
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def attachable(shmids):
    """How many of them an ordinary user can attach. Other programs' are none of our business."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    return sum(libc.shmat(shmid, None, 0o10000) not in (None, ctypes.c_void_p(-1).value) for shmid in shmids)


def test_private(instance):
    """There is no key to guess, and an ordinary user cannot attach what there is."""
    instance.serve()
    client(instance).write(4096, SECRET)
    line = segments().get(instance.segment())
    must(line, "the segment is noted in the folder, by its identifier", instance.said())
    point(line["key"] == "0", "it has no key that anybody could have taken first", line)
    point(line["perms"].endswith("600") and line["uid"] == line["cuid"] == str(os.geteuid()),
          "it is ours, and nobody else may attach it", line)
    if os.geteuid() == 0:
        own = own_segments(instance)
        point(instance.segment() in own and as_nobody(lambda: attachable(own)) == 0, "an ordinary user cannot attach it", own)
    # Neither for a moment while it is made, used and made again.
    for _ in range(2):
        shmid = instance.segment()
        point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0, "--stop", instance.said())
        point(shmid not in segments(), "which removes it")
        instance.serve()
        point(segments()[instance.segment()]["key"] == "0", "the next one has no key either")
    point(instance.ask("--stop")[0] == 0, "--stop", instance.said())


def test_squatted_key(instance):
    """Another user has made the segment with the configured key first, or it is open to others."""
    key = new_key(0x79000001)
    libc = ctypes.CDLL(None)
    modes = [0o666, 0o600] if os.geteuid() == 0 else []
    for mode in modes:
        as_nobody(lambda mode=mode: 0 if libc.shmget(key, 201465856, 0o1000 | 0o10000 | mode) >= 0 else 1)
        must(has_key(key), f"an ordinary user makes the segment, mode {mode:04o}")
        instance.mark()
        instance.start(f"memory=shm:{key:#x}")
        point(instance.process.wait(30) == 1 and "was made by user 65534" in instance.said(), "it is refused", instance.said())
        point("ipcrm -m" in instance.said(), "and what to do is said", instance.said())
        point(not instance.servers() and has_key(key), "it is left alone")
        subprocess.run(["ipcrm", "-M", str(key)], check=True)
    libc.shmget(key, 201465856, 0o1000 | 0o10000 | 0o666)
    instance.mark()
    instance.start(f"memory=shm:{key:#x}")
    point(instance.process.wait(30) == 1 and "mode 0666" in instance.said(), "one of ours that is open to others is refused",
          instance.said())
    subprocess.run(["ipcrm", "-M", str(key)], check=True)
    instance.serve(f"memory=shm:{key:#x}")
    point(has_key(key), "without all that, the key is used", instance.said())
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0 and not has_key(key), "--stop removes it",
          instance.said())


def test_failed_mount(instance):
    """A start that fails keeps what was there before it."""
    key = new_key(0x78000001)
    with old_data(instance, key) as there:
        must(there == 1, "there is a segment with data")
        config = instance.folder / f"{instance.name}.conf"
        config.write_text(f"size = 64M\nmemory = shm:{key:#x}\nmount-point = {instance.folder}/mnt\noptions = discrd\n"
                          f"transport = nbd\nnbdkit = {instance.nbdkit}\nplugin = {PLUGIN}\nreserve = 1M\nrecovery-reserve = 1M\n", encoding="ascii")
        config.chmod(0o600)
        instance.script('set -- "${@/lock=yes/lock=no}"')
        with open(instance.log, "ab") as log:
            instance.process = subprocess.Popen([PROGRAM, "--config", config.name], stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=log, cwd=instance.folder, env=instance.environment())
        point(instance.process.wait(30) == 1 and "mount" in instance.said(), "mount fails: exit status 1", instance.said())
        point(has_key(key), "the segment stays", instance.said())
        point("stays, with what is stored in it" in instance.said() and "ipcrm -m" in instance.said(),
              "which is said, and what to do", instance.said())
        instance.mark()
        instance.script("")
        instance.serve(f"memory=shm:{key:#x}")
        point(client(instance).read(0, len(SECRET)) == SECRET, "started again, the data is there")
        point(instance.ask("--stop")[0] == 0, "--stop", instance.said())
        # What a failed start made itself is not left behind.
        point(not has_key(key), "which removes the segment")
        instance.script('set -- "${@/lock=yes/lock=no}"')
        before = set(segments())
        config.write_text(config.read_text(encoding="ascii").replace(f"memory = shm:{key:#x}\n", ""), encoding="ascii")
        with open(instance.log, "ab") as log:
            instance.process = subprocess.Popen([PROGRAM, "--config", config.name], stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=log, cwd=instance.folder, env=instance.environment())
        point(instance.process.wait(30) == 1 and not own_segments(instance), "a segment that the failed start made is removed",
              (before, instance.said()))


def test_interrupted_start(instance):
    """SIGTERM before the device is in use."""
    key = new_key(0x77000001)
    with old_data(instance, key) as there:
        must(there == 1, "there is a segment with data")
        instance.script("[[ $* = *--dump-plugin* ]] || sleep 2")
        instance.start(f"memory=shm:{key:#x}")
        soon(instance.servers)
        instance.process.send_signal(signal.SIGTERM)
        instance.process.wait(30)
        point(has_key(key), "SIGTERM during the first start: the segment stays", instance.said())
        point("stays, with what is stored in it" in instance.said(), "which is said", instance.said())
        point(soon(lambda: not instance.servers()), "no server is left")
    # And one that was made by that start goes.
    instance.mark()
    instance.start()
    soon(instance.servers)
    instance.process.send_signal(signal.SIGTERM)
    instance.process.wait(30)
    point(not own_segments(instance), "one that this start made is removed", instance.said())


def test_detached_by_others(instance):
    """nbd-client -d by somebody."""
    instance.serve()
    client(instance).write(4096, SECRET)
    shmid = instance.segment()
    instance.world.attached = 0
    point(instance.process.wait(30) == 1 and "was detached by somebody else" in instance.said(),
          "the device is detached by somebody else: exit status 1", instance.said())
    point(shmid in segments() and not instance.servers(), "the segment stays, and no server", instance.said())
    point(f"(ipcrm -m {shmid})" in instance.said() and f"start '{instance.name}' again" in instance.said(),
          "where it is and what to do is said", instance.said())
    instance.serve()
    point(instance.segment() == shmid and client(instance).read(4096, len(SECRET)) == SECRET,
          "started again, it goes on with the data", instance.said())
    # The same, and somebody empties the folder.
    instance.mark()
    instance.world.attached = 0
    point(instance.process.wait(30) == 1, "detached again", instance.said())
    (instance.folder / "run" / instance.name / "segment").unlink()
    instance.serve()
    point(instance.segment() == shmid and client(instance).read(4096, len(SECRET)) == SECRET,
          "without the note it is found by its name", instance.said())
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0, "--stop", instance.said())
    point(shmid not in segments() and not (instance.folder / "run" / instance.name).exists(), "leaves nothing behind")


def test_stop(instance):
    """What is removed is said before."""
    for how in ("--stop", "SIGTERM"):
        instance.mark()
        instance.serve()
        shmid = instance.segment()
        if how == "--stop":
            instance.ask("--stop")
        else:
            instance.process.send_signal(signal.SIGTERM)
        point(instance.process.wait(30) == 0 and shmid not in segments(), f"{how} removes the segment", instance.said())
        said = instance.said()
        point(f"the segment shm:id={shmid} is removed, with what is stored in it (" in said, "and says which and how much", said)
        point(said.find("is removed, with") < said.find("stopped"), "before it is done", said)
    # Refused by the device, asked again.
    server = instance.serve()
    instance.world.is_swap = 1
    point(instance.ask("--stop-unused")[0] == 1 and instance.server() == server, "--stop-unused of swap is refused",
          instance.said())
    instance.world.is_swap = 0
    point(instance.ask("--stop-unused")[0] == 0 and instance.process.wait(30) == 0 and not own_segments(instance),
          "--stop-unused", instance.said())


def test_ipcrm(instance):
    """Somebody removes the segment under a server that lives."""
    server = instance.serve()
    client(instance).write(4096, SECRET)
    shmid = instance.segment()
    subprocess.run(["ipcrm", "-m", str(shmid)], check=True)
    point(instance.says("somebody has removed the segment"), "it is noticed and said", instance.said())
    point("somebody has removed its segment" in instance.ask("--status")[1], "the status says so as well")
    os.kill(server, signal.SIGKILL)
    new = must(instance.new_server(server), "the server is killed: there is another", instance.said())
    point(client(instance).read(4096, len(SECRET)) == SECRET, "and the data is there", instance.said())
    instance.kill()
    instance.mark()
    instance.start()
    point(soon(instance.server, 30) == new, "the daemon is killed: the next one adopts the server", instance.said())
    os.kill(new, signal.SIGKILL)
    new = must(instance.new_server(new), "and keeps the segment", instance.said())
    point(client(instance).read(4096, len(SECRET)) == SECRET, "with the data", instance.said())
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0, "--stop", instance.said())
    point(soon(lambda: shmid not in segments()) and not instance.servers(), "leaves nothing behind")


def test_rmid_forced(instance):
    """Settings of the kernel that stand in the way, in an IPC namespace of its own."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--ipc", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        print("1..0 # SKIP this takes the right to make an IPC namespace")
        sys.exit(0)
    for setting, value, words in (("shm_rmid_forced", 1, "kernel.shm_rmid_forced=0"), ("shmmax", 33554432, "kernel.shmmax is 33554432")):
        script = f"echo {value} >/proc/sys/kernel/{setting} && exec {PROGRAM} --name {instance.name} --transport nbd --nbdkit {instance.nbdkit} " \
                 f"--plugin {PLUGIN} --recovery-reserve 1M size=64M lock=no reserve=1M"
        done = subprocess.run(["unshare", "--ipc", "sh", "-c", script], cwd=instance.folder, env=instance.environment(), text=True,
                              capture_output=True, timeout=60, check=False)
        point(done.returncode == 1 and words in done.stderr, f"kernel.{setting} = {value}: zsblkd refuses to start, and says why", done)
        point(not instance.servers() and not (instance.folder / "run" / instance.name).exists(), "nothing is left behind")


def test_killed_while_made(instance):
    """The daemon is killed between the making of the segment and the first server, at any moment; none is lost track of."""
    instance.script("sleep 0.1")
    for tenths in range(12):
        instance.start()
        soon(lambda delay=tenths: False, 0.02 * tenths)
        daemons = instance.children()
        for pid in daemons:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        instance.process.wait()
        soon(lambda pids=daemons: not any(is_alive(pid) for pid in pids))
    instance.script("")
    point(len(own_segments(instance)) <= 1, "killed again and again while it starts: at most one segment is left", own_segments(instance))
    instance.serve()
    point(own_segments(instance) == [instance.segment()], "started, it has one", (own_segments(instance), instance.said()))
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0, "--stop", instance.said())
    point(not own_segments(instance) and not instance.servers(), "leaves nothing behind", own_segments(instance))


def test_left_server(instance):
    """Daemon and supervisor are killed while a server starts, and the next start fails: the one after that still knows the server."""
    instance.serve()
    client(instance).write(4096, SECRET)
    instance.world.attached = 0
    must(instance.process.wait(30) == 1, "the device is detached by somebody else: there is a segment with data", instance.said())
    instance.script("sleep 3")
    instance.start()
    left = must(soon(instance.servers), "a server is about to start", instance.said())[0]
    instance.kill()
    instance.script("")
    nbdkit, instance.nbdkit = instance.nbdkit, instance.folder / "missing"
    instance.mark()
    instance.start()
    point(instance.process.wait(30) == 1 and "cannot be run" in instance.said(), "the next start fails", instance.said())
    instance.nbdkit = nbdkit
    if is_alive(left):
        must(soon(lambda: list((instance.folder / "run" / instance.name).glob(f"{left}-*.sock")) or not is_alive(left)),
             "the server comes up meanwhile", instance.said())
    server = instance.serve()
    point(client(instance).read(4096, len(SECRET)) == SECRET, "the start after that serves the data", instance.said())
    point(server == left or not is_alive(left), "there is one server", instance.servers())
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0, "--stop", instance.said())
    point(not instance.servers() and not own_segments(instance), "leaves nothing behind")


def test_two_with_one_key(instance):
    """Two instances have the same key by mistake: neither touches what the other has stored."""
    key = new_key(0x76000001)
    instance.serve(f"memory=shm:{key:#x}")
    client(instance).write(4096, SECRET)
    instance.world.attached = 0
    must(instance.process.wait(30) == 1 and has_key(key), "the segment of the first one stays, without a server", instance.said())
    name, instance.name = instance.name, instance.name + "-b"
    instance.mark()
    instance.start(f"memory=shm:{key:#x}")
    ended = soon(lambda: instance.process.poll() is not None or instance.server())
    point(ended and instance.process.poll() == 1, "the second one is refused", instance.said())
    point(f"'{name}'" in instance.said(), "whose it is is said", instance.said())
    if instance.process.poll() is None:
        instance.ask("--stop")
        instance.process.wait(30)
    point(has_key(key), "the segment stays", instance.said())
    instance.name = name
    instance.serve(f"memory=shm:{key:#x}")
    point(client(instance).read(4096, len(SECRET)) == SECRET, "the first one goes on with its data", instance.said())
    # Its folder is emptied, and its daemon killed: what has the key and what has the name is one segment.
    shmid = instance.segment()
    (instance.folder / "run" / instance.name / "segment").unlink()
    instance.kill()
    instance.mark()
    instance.start(f"memory=shm:{key:#x}")
    point(soon(instance.server, 20), "without its note it is adopted all the same", instance.said())
    point(instance.segment() == shmid, "and noted again")
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0 and not has_key(key), "--stop removes it",
          instance.said())


def test_half_resized(instance):
    """The segment has another size than the kernel's device, as after a resize that was interrupted: the segment's counts."""
    whole = 64 << 20
    server = instance.serve("max-size=128M")
    instance.world.size = whole // 2
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "the server is killed: there is another", instance.said())
    point(instance.world.size == whole and f"has {whole} bytes now, and had {whole // 2}" in instance.said(), "and the kernel is told the size",
          (instance.world.size, instance.said()))
    instance.world.size = whole // 2
    instance.kill()
    os.kill(server, signal.SIGKILL)
    soon(lambda: not instance.servers())
    instance.mark()
    instance.start()
    must(instance.new_server(server), "all are killed, and it is started again", instance.said())
    point(instance.world.size == whole, "the segment's size counts", (instance.world.size, instance.said()))
    point(instance.ask("--stop")[0] == 0 and instance.process.wait(30) == 0, "--stop", instance.said())


TESTS = {
    "half-resized": test_half_resized,
    "private": test_private,
    "squatted-key": test_squatted_key,
    "failed-mount": test_failed_mount,
    "interrupted-start": test_interrupted_start,
    "detached-by-others": test_detached_by_others,
    "stop": test_stop,
    "ipcrm": test_ipcrm,
    "rmid-forced": test_rmid_forced,
    "killed-while-made": test_killed_while_made,
    "left-server": test_left_server,
    "two-with-one-key": test_two_with_one_key,
}

if __name__ == "__main__":
    run(TESTS[sys.argv[1]])
