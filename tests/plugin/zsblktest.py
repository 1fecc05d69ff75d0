# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the plugin share: TAP output, and servers that are started, asked and ended."""
import contextlib
import ctypes
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

try:
    import nbd
except ImportError:
    nbd = None

PLUGIN = os.path.abspath(os.environ.get("ZSBLK_PLUGIN", "./zsblk.so"))
SOURCE = os.environ.get("ZSBLK_SOURCE") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
BLOCK = 4096
MiB = 1 << 20
GiB = 1 << 30
WAIT = 60  # seconds until something that never comes is given up


# ---------------------------------------------------------------- TAP

class Skip(Exception):
    pass


_tests = []


def test(function):
    """Mark a function as one test; its docstring is its name, an exception its failure."""
    _tests.append(function)
    return function


def say(text):
    for line in str(text).splitlines():
        print("#", line, flush=True)


def main():
    """Run all tests of the file, or those whose function names are given."""
    wanted = sys.argv[1:]
    chosen = [t for t in _tests if not wanted or t.__name__ in wanted]
    failed = 0
    print("TAP version 13")
    print(f"1..{len(chosen)}", flush=True)
    for number, function in enumerate(chosen, 1):
        name = (function.__doc__ or function.__name__).strip().replace("#", "")
        try:
            function()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:
            failed += 1
            say(traceback.format_exc())
            print(f"not ok {number} - {name}", flush=True)
    sys.exit(1 if failed else 0)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")


def need_root():
    if os.geteuid() != 0:
        raise Skip("only root can do this")


def equal(got, wanted, what="value"):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


def contains(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} is not in:\n{text}"


# ---------------------------------------------------------------- programs

def sanitizer_environment():
    """A plugin built with a sanitizer needs its run-time library loaded first of all."""
    env = dict(os.environ)
    # What sudo and others leave there would change what the server says.
    env.pop("LISTEN_FDS", None)
    env.pop("LISTEN_PID", None)
    listing = subprocess.run(["ldd", PLUGIN], capture_output=True, text=True, check=False).stdout
    found = re.findall(r"=> (\S*lib(?:a|t|ub)san\.so\S*|\S*libclang_rt\.\S+)", listing)
    if found:
        env["LD_PRELOAD"] = ":".join(found)
        # nbdkit unloads the plugin before leaks are looked for, and has some of its own.
        env.setdefault("ASAN_OPTIONS", "detect_leaks=0:exitcode=99:abort_on_error=0")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
        env.setdefault("TSAN_OPTIONS", "exitcode=99")
    return env


ENV = sanitizer_environment()
SANITIZED = "LD_PRELOAD" in ENV


def run(*args, status=0, timeout=WAIT * 4, **kwargs):
    """Run a program to its end; returns its output and errors as one text. status=None: any."""
    kwargs.setdefault("env", os.environ)
    done = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
                          check=False, **kwargs)
    assert status is None or done.returncode == status, \
        f"{' '.join(map(str, args))}: exit status {done.returncode}, wanted {status}:\n{done.stdout}"
    return done.stdout


def as_nobody(*args):
    """The command as a user without any rights; None of the capabilities survives it."""
    need_root()
    need("setpriv")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
            "--bounding-set=-all", *args]


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="zsblk-test-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def stuck_at_exit(pid):
    """With the address sanitizer loaded, a server that has put an errno value into words ends in a lock of
    the C library, in the last step of exit(): with any plugin, and with nothing left to be tested."""
    if not SANITIZED:
        return False
    try:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as f:
            return f.read().startswith("202 ") and len(os.listdir(f"/proc/{pid}/task")) == 1
    except OSError:
        return False


def wait_for(condition, what, seconds=WAIT):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"{what}: did not happen within {seconds} s")


class Server:
    """nbdkit with the plugin, on a socket of its own in a folder of its own."""

    def __init__(self, *params, options=(), wrap=(), background=False, plugin=None, cwd=None):
        self.folder = tempfile.mkdtemp(prefix="zsblk-test-")
        os.chmod(self.folder, 0o777)
        self.socket = os.path.join(self.folder, "socket")
        self.pidfile = os.path.join(self.folder, "pid")
        self.logfile = os.path.join(self.folder, "log")
        self.uri = f"nbd+unix:///?socket={self.socket}"
        self.pid = None
        self.handles = []
        self.killed = False
        command = [*wrap, "nbdkit", *([] if background else ["-f"]), "-U", self.socket,
                   "-P", self.pidfile, *options, plugin or PLUGIN, *params]
        with open(self.logfile, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=ENV, cwd=cwd)
        try:
            if background:
                equal(self.process.wait(WAIT), 0, "exit status in the foreground\n" + self.log())
            wait_for(self._started, "start of the server")
        except BaseException:
            self.kill()
            self._forget()
            raise

    def _started(self):
        if self.process.poll() not in (None, 0):
            raise AssertionError(f"the server ended with status {self.process.returncode}:\n{self.log()}")
        try:
            with open(self.pidfile, encoding="ascii") as f:
                text = f.read()
        except OSError:
            return False
        if not text.endswith("\n"):
            return False
        self.pid = int(text)
        return os.path.exists(self.socket)

    def log(self):
        with open(self.logfile, encoding="utf-8", errors="replace") as f:
            return f.read()

    def status(self, field):
        """A figure of /proc/PID/status, in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(rf"^{field}:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024

    def connect(self):
        if nbd is None:
            raise Skip("python3-libnbd is not installed")
        handle = nbd.NBD()
        handle.add_meta_context("base:allocation")
        # The library of Debian 13 sends nothing larger than what the server asks for; nbdkit and we take more.
        handle.set_strict_mode(handle.get_strict_mode() & ~getattr(nbd, "STRICT_PAYLOAD", 0))
        handle.connect_unix(self.socket)
        self.handles.append(handle)
        return handle

    def disconnect(self):
        for handle in self.handles:
            with contextlib.suppress(nbd.Error):
                handle.shutdown()
        self.handles = []

    def info(self):
        return json.loads(run("nbdinfo", "--json", self.uri))["exports"][0]

    def map(self):
        """[(offset, length, is_hole), ...] of the whole device."""
        return [(e["offset"], e["length"], e["type"] != 0)
                for e in json.loads(run("nbdinfo", "--map", "--json", self.uri))]

    def kill(self):
        """SIGKILL, as the OOM killer does it."""
        self.killed = True
        if self.pid and alive(self.pid):
            os.kill(self.pid, signal.SIGKILL)
            wait_for(lambda: not alive(self.pid), "end of the server")
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT)

    def stop(self):
        """SIGTERM; the server must end well and have nothing to complain about."""
        if self.pid is None:
            return
        assert alive(self.pid), f"the server is dead:\n{self.log()}"
        self.disconnect()  # nbdkit waits until its clients have gone
        os.kill(self.pid, signal.SIGTERM)
        wait_for(lambda: not alive(self.pid) or stuck_at_exit(self.pid), "end of the server")
        status = 0
        if stuck_at_exit(self.pid):
            self.kill()
        else:
            status = self.process.wait(WAIT)
        self.pid = None
        equal(status, 0, "exit status of the server\n" + self.log())
        assert "Sanitizer" not in self.log() and "runtime error:" not in self.log(), self.log()

    def _forget(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None and not self.killed:
                self.stop()
            else:
                if kind is not None:
                    say(self.log()[-4000:])
                self.kill()
        finally:
            self.kill()
            self._forget()


def refuse(*params, options=(), wrap=(), background=False, plugin=None):
    """Start a server that must not start: returns what it says. Its exit status must be 1."""
    with folder() as path:
        os.chmod(path, 0o777)
        socket = os.path.join(path, "socket")
        command = [*wrap, "nbdkit", *([] if background else ["-f"]), "-U", socket,
                   "-P", os.path.join(path, "pid"), *options, plugin or PLUGIN, *params]
        log = os.path.join(path, "log")
        with open(log, "wb") as f:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=ENV)
        try:
            wait_for(lambda: process.poll() is not None or stuck_at_exit(process.pid), "refusal")
            status = process.returncode
        finally:
            process.kill()
            process.wait()
        with open(log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        assert status == 1 or (status is None and SANITIZED), f"exit status {status}, wanted 1:\n{text}"
        assert not os.path.exists(os.path.join(path, "pid")), "it started all the same"
        return text


def dump_plugin():
    text = run("nbdkit", PLUGIN, "--dump-plugin", env=ENV)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


# ---------------------------------------------------------------- data

def page(rng):
    """One block as they come: zeroes, one repeated word, text, numbers, or noise."""
    kind = rng.randrange(8)
    if kind == 0:
        return bytes(BLOCK)
    if kind == 1:
        return rng.randbytes(8) * (BLOCK // 8)
    if kind == 2:
        return rng.randbytes(BLOCK)
    if kind < 6:
        words = [b"page", b"memory", b"block", b"swap", b"%d" % rng.randrange(1 << 30), b"\n"]
        return b" ".join(rng.choices(words, k=BLOCK))[:BLOCK]
    half = rng.randbytes(rng.randrange(64, 2048))
    return (half * (BLOCK // len(half) + 1))[:BLOCK]


def pages(count, seed):
    rng = random.Random(seed)
    return b"".join(page(rng) for _ in range(count))


# ---------------------------------------------------------------- System V shared memory

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p
_libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
_libc.shmdt.argtypes = [ctypes.c_void_p]
_libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
IPC_CREAT, IPC_EXCL, IPC_RMID, SHM_NORESERVE = 0o1000, 0o2000, 0, 0o10000


def shm_id(key):
    return _libc.shmget(ctypes.c_int(key).value, 0, 0)


def shm_create(key, size):
    shmid = _libc.shmget(ctypes.c_int(key).value, size, IPC_CREAT | IPC_EXCL | SHM_NORESERVE | 0o600)
    assert shmid >= 0, os.strerror(ctypes.get_errno())
    return shmid


def shm_poke(shmid, offset, data):
    """Overwrite bytes of a segment; returns what was there."""
    base = _libc.shmat(shmid, None, 0)
    assert base != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
    old = ctypes.string_at(base + offset, len(data))
    ctypes.memmove(base + offset, data, len(data))
    _libc.shmdt(base)
    return old


def shm_resident(shmid):
    """Bytes of a segment that are in memory."""
    with open("/proc/sysvipc/shm", encoding="ascii") as f:
        names = f.readline().split()
        for line in f:
            row = dict(zip(names, line.split()))
            if int(row["shmid"]) == shmid:
                return int(row["rss"])
    raise AssertionError(f"no segment {shmid}")


@contextlib.contextmanager
def shm_key():
    """A key that nobody uses; the segment it gets is removed in the end."""
    while True:
        key = random.SystemRandom().randrange(0x7A730000, 0x7A73FFFF)
        if shm_id(key) < 0:
            break
    try:
        yield key
    finally:
        shmid = shm_id(key)
        if shmid >= 0:
            _libc.shmctl(shmid, IPC_RMID, None)


def need_shm():
    """Shared memory that can be locked."""
    need_root()
    if dump_plugin()["zsblk_lock_memory"] != "yes":
        raise Skip("this machine gives root no right to lock memory")
