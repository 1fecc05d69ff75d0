#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The shared segment across servers, locks on memory, and --swap."""
from zsblktest import *
from zsblktest import _libc

PATTERN_BLOCKS = 2048


def segment(key):
    return f"memory=shm:{key:#x}"


def rights():
    facts = dump_plugin()
    return {name: facts[f"zsblk_lock_{name}"] == "yes" for name in ("memory", "io_flusher", "oom_killer")}


# ---------------------------------------------------------------- shared segment

@test
def survives_sigkill():
    "shm: contents survive SIGKILL of the server, again and again"
    need_shm()
    data = pages(PATTERN_BLOCKS, 11)
    with shm_key() as key:
        for turn in range(4):
            with Server("256M", segment(key)) as server:
                handle = server.connect()
                if turn:
                    equal(handle.pread(len(data), 12345) == data, True, f"contents, turn {turn}")
                    equal(handle.pread(8, 200 * MiB), b"turn %3d" % (turn - 1), "last turn's mark")
                    equal(server.map()[-1][2], True, "the rest is a hole")
                data = pages(PATTERN_BLOCKS, 11 + turn)
                handle.pwrite(data, 12345)
                handle.pwrite(b"turn %3d" % turn, 200 * MiB)
                handle.trim(BLOCK, 300 * BLOCK)
                data = data[:300 * BLOCK - 12345] + bytes(BLOCK) + data[301 * BLOCK - 12345:]
                server.kill()


@test
def restart_at_once():
    "shm: a server that starts right after SIGKILL waits for the killed one to be gone"
    need_shm()
    chunk = random.Random(17).randbytes(16 * MiB)
    with shm_key() as key:
        with contextlib.ExitStack() as servers:
            server = servers.enter_context(Server("512M", segment(key)))
            for turn in range(6):
                handle = server.connect()
                for offset in range(0, 256 * MiB, len(chunk)):
                    handle.pwrite(chunk, offset)
                server.killed = True
                os.kill(server.pid, signal.SIGKILL)
                server = servers.enter_context(Server("512M", segment(key)))
                equal(server.connect().pread(len(chunk), 240 * MiB) == chunk, True, f"contents, turn {turn}")


# A client with many reads in flight, until it is killed.
IMPATIENT = """
import nbd, sys
handles = [nbd.NBD() for _ in range(2)]
for handle in handles:
    handle.connect_unix(sys.argv[1])
buffers = [nbd.Buffer(1 << 18) for _ in range(64)]
print("begun", flush=True)
while True:
    for handle in handles:
        for i, buffer in enumerate(buffers):
            handle.aio_pread(buffer, i << 18)
        while handle.aio_in_flight() > 16:
            handle.poll(-1)
"""


@test
def killed_client():
    "shm: contents survive what a killed client does to the server (nbdkit before 1.34 ends)"
    need_shm()
    data = pages(PATTERN_BLOCKS, 13)
    ended = 0
    with shm_key() as key:
        for turn in range(8):
            with Server("64M", segment(key)) as server:
                handle = server.connect()
                if turn == 0:
                    handle.pwrite(data, 0)
                equal(handle.pread(len(data), 0) == data, True, f"contents, turn {turn}")
                client = subprocess.Popen([sys.executable, "-c", IMPATIENT, server.socket],
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                client.stdout.readline()
                time.sleep(0.05 * turn)
                client.kill()
                client.wait()
                client.stdout.close()
                time.sleep(0.2)
                ended += not alive(server.pid)
                server.kill()
    say(f"the server ended {ended} times of 8")


@test
def fragile_server():
    "a server that a killed client can end is told of, unless the data outlives it"
    need_shm()
    version = [int(n) for n in re.search(r"nbdkit (\d+)\.(\d+)", run("nbdkit", "--version")).groups()]
    with Server("1M") as server:
        equal("older than 1.34" in server.log(), version < [1, 34], f"message of nbdkit {version}\n{server.log()}")
    with shm_key() as key, Server("1M", segment(key)) as server:
        equal("older than 1.34" in server.log(), False, "message with a shared segment")


@test
def survives_sigterm():
    "shm: contents survive the ordinary end, another algorithm reads them"
    need_shm()
    data = pages(PATTERN_BLOCKS, 12)
    with shm_key() as key:
        with Server("256M", segment(key), "algorithm=zstd") as server:
            server.connect().pwrite(data, 0)
        with Server("256M", segment(key), "algorithm=lz4hc", "level=3") as server:
            handle = server.connect()
            equal(handle.pread(len(data), 0) == data, True, "contents")
            handle.pwrite(data, len(data))
        with Server("256M", f"memory=shm:id={shm_id(key)}") as server:
            equal(server.connect().pread(2 * len(data), 0) == data + data, True, "contents by id")


@test
def ended_beside_writes():
    "shm: SIGTERM while writes are in flight: what was answered is there"
    need_shm()
    size = 64 * BLOCK
    answered = 0
    for turn in range(10):
        data = [pages(64, turn * 16 + i) for i in range(16)]
        with shm_key() as key:
            done = []
            with Server("64M", segment(key)) as server:
                handle = server.connect()
                cookies = [handle.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(d)), i * size)
                           for i, d in enumerate(data)]
                for _ in range(2 * turn):
                    handle.poll(1)
                os.kill(server.pid, signal.SIGTERM)
                end = time.monotonic() + WAIT
                with contextlib.suppress(nbd.Error):
                    while handle.aio_in_flight() and time.monotonic() < end:
                        handle.poll(1000)
                for i, cookie in enumerate(cookies):
                    with contextlib.suppress(nbd.Error):
                        if handle.aio_command_completed(cookie):
                            done.append(i)
                server.disconnect()
                pid, server.pid = server.pid, None
                wait_for(lambda: not alive(pid), "end of the server")
                equal(server.process.wait(WAIT), 0, "exit status")
            with Server("64M", segment(key)) as server:
                handle = server.connect()
                for i in done:
                    equal(handle.pread(size, i * size) == data[i], True, f"turn {turn}, write {i}, answered")
            answered += len(done)
    say(f"{answered} of 160 writes answered")
    assert answered, "none was answered"


@test
def decimal_keys():
    "shm: the same key in decimal"
    need_shm()
    with shm_key() as key:
        with Server("1M", f"memory=shm:{key}") as server:
            server.connect().pwrite(b"here", 0)
        with Server("1M", segment(key)) as server:
            equal(server.connect().pread(4, 0), b"here")


@test
def in_use():
    "shm: refused while another server lives"
    need_shm()
    with shm_key() as key:
        with Server("16M", segment(key), background=True) as server:
            server.connect().pwrite(b"still mine", 0)
            text = refuse("16M", segment(key))
            contains(text, "in use", str(server.pid), "stop")
            equal(server.connect().pread(10, 0), b"still mine")


@test
def other_size():
    "shm: refused with another size"
    need_shm()
    with shm_key() as key:
        with Server("16M", segment(key)) as server:
            server.connect().pwrite(b"here", 0)
        contains(refuse("32M", segment(key)), "size=16777216", "size=33554432")
        contains(refuse("8M", segment(key)), "size=16777216", "size=8388608")
        with Server("16M", segment(key)) as server:
            equal(server.connect().pread(4, 0), b"here")


@test
def not_ours():
    "shm: refused when somebody else's"
    need_shm()
    with shm_key() as key:
        shmid = shm_create(key, 64 * MiB)
        shm_poke(shmid, 0, b"somebody else's precious data")
        contains(refuse("16M", segment(key)), "not made by zsblk", "another key")
        equal(shm_poke(shmid, 0, b"somebody"), b"somebody", "their data")


@test
def made_by_others():
    "shm: refused when another user made it or it is open to others, and left alone"
    need_root()
    for user, mode in ((65534, 0o666), (65534, 0o600), (0, 0o606)):
        with shm_key() as key:
            pid = os.fork()
            if pid == 0:
                os.setresuid(user, user, user)
                made = _libc.shmget(ctypes.c_int(key).value, 256 * MiB, IPC_CREAT | IPC_EXCL | SHM_NORESERVE | mode)
                os._exit(made < 0)
            equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, "making the segment")
            contains(refuse("64M", "lock=no", f"memory=shm:{key:#x}"), f"was made by user {user}", f"mode {mode:04o}", "ipcrm -m")
            contains(refuse("64M", "lock=no", f"memory=shm:id={shm_id(key)}"), f"was made by user {user}")


@test
def removed_by_others():
    "shm: somebody removes the segment under the server, who says so"
    need_root()
    with shm_key() as key, Server("64M", "lock=no", f"memory=shm:{key:#x}") as server:
        run("ipcrm", "-M", str(key))
        wait_for(lambda: "somebody has removed the segment" in server.log(), "the message")
        contains(server.log(), f"shm:{key:#x}", "RemoveIPC")


@test
def rmid_forced():
    "shm: with kernel.shm_rmid_forced the server says that the segment ends with it; anonymous memory does not care"
    need_root()
    need("unshare")
    if subprocess.run(["unshare", "--ipc", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("no right to make an IPC namespace")
    wrap = ("unshare", "--ipc", "sh", "-c", 'echo 1 >/proc/sys/kernel/shm_rmid_forced && exec "$@"', "sh")
    with Server("64M", "lock=no", "memory=shm:0x7a73", wrap=wrap) as server:
        contains(server.log(), "kernel.shm_rmid_forced=0")
    with Server("64M", "lock=no", wrap=wrap) as server:
        assert "rmid_forced" not in server.log(), server.log()
    with shm_key() as key, Server("64M", "lock=no", f"memory=shm:{key:#x}") as server:
        assert "rmid_forced" not in server.log(), server.log()


@test
def other_version():
    "shm: refused when of another format version, or damaged"
    need_shm()
    with shm_key() as key:
        with Server("16M", segment(key)) as server:
            server.connect().pwrite(b"here", 0)
        old = shm_poke(shm_id(key), 8, b"\x63\0\0\0")
        contains(refuse("16M", segment(key)), "version 99")
        shm_poke(shm_id(key), 8, old)
        old = shm_poke(shm_id(key), 24, b"\xff\xff")
        contains(refuse("16M", segment(key)), "damaged")
        shm_poke(shm_id(key), 24, old)
        with Server("16M", segment(key)) as server:
            equal(server.connect().pread(4, 0), b"here")


@test
def gone():
    "shm: an identifier that does not exist"
    need_shm()
    contains(refuse("16M", "memory=shm:id=2147483646"), "shm:id=2147483646", "does not exist")


@test
def shm_without_right():
    "shm: refused without the right to lock; lock=no does without"
    with folder() as path:
        os.chmod(path, 0o755)
        copy = shutil.copy(PLUGIN, os.path.join(path, "zsblk.so"))
        nobody = as_nobody("prlimit", "--memlock=65536:65536")
        with shm_key() as key:
            text = refuse("64M", segment(key), wrap=nobody, plugin=copy)
            contains(text, "cannot be locked", "CAP_IPC_LOCK", "lock=no")
            equal(shm_id(key), -1, "a segment left behind")
            with Server("64M", segment(key), "lock=no", wrap=nobody, plugin=copy) as server:
                data = pages(64, 5)
                handle = server.connect()
                handle.pwrite(data, 0)
                server.kill()
            with Server("64M", segment(key), "lock=no", wrap=nobody, plugin=copy) as server:
                equal(server.connect().pread(len(data), 0) == data, True, "contents")


# ---------------------------------------------------------------- locks

@test
def lock_yes_without_rights():
    "lock=yes as an ordinary user: refused, with what is missing"
    with folder() as path:
        os.chmod(path, 0o755)
        copy = shutil.copy(PLUGIN, os.path.join(path, "zsblk.so"))
        nobody = as_nobody("prlimit", "--memlock=65536:65536")
        for background in (False, True):
            text = refuse("1G", "lock=yes", wrap=nobody, plugin=copy, background=background)
            contains(text, "lock=yes", "CAP_IPC_LOCK", "RLIMIT_MEMLOCK", "CAP_SYS_RESOURCE")


@test
def lock_auto_without_rights():
    "lock=auto as an ordinary user: served, and told what is missing; lock=no is silent"
    with folder() as path:
        os.chmod(path, 0o755)
        copy = shutil.copy(PLUGIN, os.path.join(path, "zsblk.so"))
        nobody = as_nobody("prlimit", "--memlock=65536:65536")
        with Server("1G", wrap=nobody, plugin=copy) as server:
            contains(server.log(), "not safe as swap", "CAP_IPC_LOCK", "CAP_SYS_RESOURCE", "lock=no")
            equal(server.status("VmLck"), 0, "locked memory")
            server.connect().pwrite(b"x" * 10, 5)
        with Server("1G", "lock=no", wrap=nobody, plugin=copy) as server:
            equal([line for line in server.log().splitlines() if "older than 1.34" not in line], [], "messages")


@test
def lock_yes():
    "lock=yes: locked and marked where that is possible, else refused with the right that is missing"
    need_root()
    have = rights()
    if have["memory"] and have["io_flusher"]:
        for background in (False, True):
            with Server("1G", "lock=yes", background=background) as server:
                assert server.status("VmLck") > 0, "nothing is locked"
                with open(f"/proc/{server.pid}/stat", encoding="ascii") as f:
                    flags = int(f.read().rsplit(")", 1)[1].split()[6])
                equal(flags & 0x180000, 0x180000, "I/O flusher flag")
    else:
        text = refuse("1G", "lock=yes")
        if not have["memory"]:
            contains(text, "CAP_IPC_LOCK")
        if not have["io_flusher"]:
            contains(text, "CAP_SYS_RESOURCE")


@test
def lock_marks_every_thread():
    "the I/O flusher flag is set in all threads, or its lack is told"
    need_root()
    allowed = rights()["io_flusher"]
    with Server("1G", f"stats=/tmp/zsblk-test-{os.getpid()}.stats") as server:
        handle = server.connect()
        if not allowed:
            contains(server.log(), "I/O flusher flag cannot be set", "CAP_SYS_RESOURCE")
        handle.pwrite(b"x", 0)
        names = []
        for thread in os.listdir(f"/proc/{server.pid}/task"):
            with open(f"/proc/{server.pid}/task/{thread}/stat", encoding="ascii") as f:
                name, fields = f.read().split("(", 1)[1].rsplit(")", 1)
            names.append(name)
            # The one that writes the statistics file as well: it asks for no memory while there is none.
            expected = 0x180000 if allowed else 0
            equal(int(fields.split()[6]) & 0x180000, expected, f"flags of thread {thread} ({name})")
        equal(names.count("zsblk-stats"), 1, "threads called zsblk-stats")
    os.unlink(f"/tmp/zsblk-test-{os.getpid()}.stats")


@test
def lock_auto():
    "lock=auto: memory is locked where it can be, with and without -f, and only what is used"
    need_root()
    if not rights()["memory"]:
        raise Skip("this machine gives root no right to lock memory")
    if SANITIZED:
        raise Skip("a sanitizer makes mlockall() do nothing")
    for background in (False, True):
        with Server("64G", background=background) as server:
            assert server.status("VmLck") > 0, "nothing is locked"
            if not SANITIZED:
                assert server.status("VmRSS") < 100 * MiB, f"{server.status('VmRSS')} bytes resident"
    with Server("64G", "lock=no") as server:
        equal(server.status("VmLck"), 0, "locked memory with lock=no")


@test
def requests_map_nothing():
    "locked: requests larger than any before neither map memory nor grow the heap"
    need_root()
    if not rights()["memory"]:
        raise Skip("this machine gives root no right to lock memory")
    if SANITIZED:
        raise Skip("a sanitizer has its own malloc()")
    with Server("1G", "reserve=1M", options=["--threads", "4"]) as server:
        def mappings():
            with open(f"/proc/{server.pid}/maps", encoding="ascii") as f:
                return [line.split()[0] for line in f]
        handles = [server.connect() for _ in range(2)]
        for handle in handles:
            for _ in range(64):
                handle.pread(BLOCK, 0)
        # nbdkit makes a connection's threads one after the other, beside its first requests, and each has a stack.
        before = []
        while before != mappings():
            before = mappings()
            time.sleep(1)
        # Each thread has its own buffer: have all of them at work.
        for size in (8, 32, 64, 128, 256):
            data = pages(size * 1024 // BLOCK, size)
            for handle in handles:
                buffers = [nbd.Buffer.from_bytearray(bytearray(data)) for _ in range(16)]
                for i, buffer in enumerate(buffers):
                    handle.aio_pwrite(buffer, i * MiB)
                while handle.aio_in_flight():
                    handle.poll(-1)
                equal(handle.pread(len(data), 15 * MiB) == data, True, "data")
        equal(mappings(), before, "mappings of the server")


@test
def buffers_go_back():
    "the buffers of large requests go back to the system when their connection ends, locked or not"
    need_root()
    if SANITIZED:
        raise Skip("a sanitizer has its own malloc()")
    for lock in ("auto", "no"):
        with Server("1G", f"lock={lock}", "reserve=1M") as server:
            small = [server.connect()]
            small[0].pread(BLOCK, 0)
            before = server.status("VmRSS")
            for _ in range(3):
                large = server.connect()

                # On a busy machine one thread of the server may answer most of the requests, with one buffer.
                def has_large_buffers():
                    for request in range(16):
                        large.aio_pread(nbd.Buffer(8 * MiB), request * 8 * MiB)
                    while large.aio_in_flight():
                        large.poll(-1)
                    return server.status("VmRSS") > before + 32 * MiB
                wait_for(has_large_buffers, "this client has large buffers")
                # Allocated after the large ones, and still there when these go.
                small.append(server.connect())
                for _ in range(40):
                    small[-1].pread(BLOCK, 0)
                large.shutdown()
                wait_for(lambda: server.status("VmRSS") < before + 24 * MiB, f"lock={lock}: buffers given back")


@test
def trimmed_memory_goes_back():
    "discarded blocks give memory back to the system, locked or not"
    need_root()
    for lock in ("auto", "no"):
        with Server("1G", f"lock={lock}", "reserve=1M") as server:
            handle = server.connect()
            noise = random.Random(1).randbytes(4 * MiB)
            handle.pread(BLOCK, 0)
            before = server.status("VmRSS")
            for i in range(32):
                handle.pwrite(noise, i * len(noise))
            full = server.status("VmRSS")
            handle.trim(128 * MiB, 0)
            assert full - before > 100 * MiB, f"{full - before} bytes more for 128 MiB of noise"
            if SANITIZED:
                continue
            wait_for(lambda: server.status("VmRSS") < full - 96 * MiB, "memory given back")


@test
def shm_memory_goes_back():
    "the same from a shared segment"
    need_shm()
    with shm_key() as key:
        with Server("1G", segment(key), "reserve=1M") as server:
            handle = server.connect()
            noise = random.Random(1).randbytes(4 * MiB)
            for i in range(16):
                handle.pwrite(noise, i * len(noise))
            assert shm_resident(shm_id(key)) > 60 * MiB
            handle.trim(64 * MiB, 0)
            wait_for(lambda: shm_resident(shm_id(key)) < 16 * MiB, "memory given back")


@test
def dropped_user():
    "nbdkit -u: rights end before the server starts, and it serves all the same"
    need_root()
    with Server("1G", options=["-u", "nobody"]) as server:
        handle = server.connect()
        handle.pwrite(b"x" * 10000, 5)
        equal(handle.pread(10000, 5), b"x" * 10000)


# ---------------------------------------------------------------- --swap

def swap_case(*params, background):
    need_root()
    if not rights()["memory"]:
        raise Skip("--swap needs the right to lock memory")
    with Server("64G", *params, options=["--swap"], background=background) as server:
        handle = server.connect()
        data = pages(512, 3)
        handle.pwrite(data, 40 * GiB + 100)
        equal(handle.pread(len(data), 40 * GiB + 100) == data, True, "data")
        if not SANITIZED:
            # nbdkit itself fills three buffers of 64 MiB, and 64 more for a connection.
            resident = server.status("VmRSS")
            say(f"resident: {resident // MiB} MiB")
            assert resident < 700 * MiB, f"{resident} bytes resident"
        return server.status("VmLck")


@test
def swap():
    "nbdkit --swap: the device is not filled to its end"
    assert swap_case(background=True) > 0 or SANITIZED


@test
def swap_foreground():
    "nbdkit --swap -f"
    assert swap_case(background=False) > 0 or SANITIZED


@test
def swap_without_our_locks():
    "nbdkit --swap, with and without -f, lock=no"
    swap_case("lock=no", background=True)
    swap_case("lock=no", background=False)


@test
def swap_shared():
    "nbdkit --swap with a shared segment, with and without -f"
    need_shm()
    for background in (True, False):
        for lock in ("auto", "no"):
            with shm_key() as key:
                swap_case(segment(key), f"lock={lock}", background=background)
                resident = shm_resident(shm_id(key))
                assert resident < 64 * MiB, f"{resident} bytes of the segment resident"


main()
