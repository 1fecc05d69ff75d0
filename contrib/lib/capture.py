# SPDX-License-Identifier: BSD-3-Clause
"""Read the resident anonymous pages of programs at work into a file (see contrib/capture --help).

Each program is started here, watched until it holds its share of memory or has done its work, stopped,
read through /proc/PID/pagemap and /proc/PID/mem, and ended. Only children of this process are touched.
"""
import argparse
import array
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time

PAGE = 4096
MIB = 1 << 20
WORK = pathlib.Path(__file__).parent / "work"

# /proc/PID/pagemap: one 64-bit word for each page (Documentation/admin-guide/mm/pagemap.rst).
PRESENT = 1 << 63
FILE_OR_SHARED = 1 << 61


def text_tree():
    """A tree of real text that every machine with these tools has."""
    return sysconfig.get_path("stdlib")


def text_lines():
    """(path, line number, text) of that tree, in a fixed order."""
    for path in sorted(pathlib.Path(text_tree()).rglob("*.py")):
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                yield str(path), number, line.rstrip("\n")


class Program:
    """One program at work: what it is called, its share of the capture, and how to start it."""

    def __init__(self, name, share, argv, **popen):
        self.name = name
        self.share = share
        self.process = subprocess.Popen(argv, stdin=popen.pop("stdin", subprocess.DEVNULL),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **popen)
        self.stopped = False

    def anonymous(self):
        """Bytes of resident anonymous memory."""
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as file:
                for line in file:
                    if line.startswith("RssAnon:"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)
        self.stopped = False

    def end(self):
        if self.process.stdin:
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()


def start_python(_tmp):
    return Program("python3", 84, [sys.executable, WORK / "python.py"])


def start_perl(_tmp):
    if not shutil.which("perl"):
        return None
    return Program("perl", 44, ["perl", WORK / "perl.pl"])


def start_compiler(_tmp):
    if not shutil.which("g++"):
        return None
    compiler = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True,
                              check=True).stdout.strip()
    return Program("cc1plus", 84, [compiler, "-quiet", "-std=c++17", "-O2", "-D_GNU_SOURCE",
                                   WORK / "compile.cc", "-o", "/dev/null"])


def start_sqlite(tmp):
    if not shutil.which("sqlite3"):
        return None
    rows = tmp / "lines.tsv"
    with open(rows, "w", encoding="utf-8") as file:
        for path, number, line in text_lines():
            file.write(f"{path}\x1f{number}\x1f{line}\x1e")
    program = Program("sqlite3", 44, ["sqlite3", ":memory:"], stdin=subprocess.PIPE)
    program.process.stdin.write(
        b"CREATE TABLE lines(path TEXT, number INTEGER, text TEXT);\n"
        b"CREATE INDEX by_path ON lines(path, number);\n"
        b"CREATE INDEX by_text ON lines(text);\n"
        b".mode ascii\n.import " + os.fsencode(rows) + b" lines\n")
    program.process.stdin.flush()
    return program


def start_node(_tmp):
    if not shutil.which("node"):
        return None
    return Program("node", 56, ["node", WORK / "node.js", text_tree()])


def start_java(_tmp):
    if not (shutil.which("java") and shutil.which("javac")):
        return None
    return Program("java", 56, ["java", "-Xmx512m", WORK / "Words.java", text_tree()])


def redis_command(*words):
    out = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%s\r\n" % (len(word), word)
    return out


def redis_data(rng):
    """What a small web service would keep in it: documents, sessions, an inverted index, ranks."""
    names = ["anna", "bela", "chen", "dora", "emil", "farah", "goran", "hana", "ivan", "jana"]
    while True:
        for path, number, line in text_lines():
            key = f"{path}:{number}"
            if len(line) > 40:
                yield redis_command("SET", f"doc:{key}", json.dumps({"path": path, "line": number, "text": line}))
            if number % 3 == 0:
                yield redis_command("HSET", f"session:{rng.getrandbits(64):016x}", "user", rng.choice(names),
                                    "since", 1700000000 + rng.randrange(10**7), "agent", line[:60],
                                    "token", f"{rng.getrandbits(128):032x}")
            for word in line.split()[:3]:
                yield redis_command("SADD", f"word:{word[:32]}", key)
            if number % 5 == 0:
                yield redis_command("ZADD", "rank", rng.randrange(10**6), key)


def start_redis(tmp):
    # One program: what it does goes by the name that it is called by. Debian's redis-tools has it without the service.
    server = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if not server:
        return None
    path = tmp / "redis.sock"
    program = Program("redis-server", 80, ["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
                                           "--appendonly", "no", "--dir", tmp, "--protected-mode", "no"],
                      executable=server)
    for _ in range(200):
        if path.exists() or program.process.poll() is not None:
            break
        time.sleep(0.05)
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(str(path))
    except OSError:
        program.end()
        return None
    program.client = client
    program.data = redis_data(random.Random(1))
    return program


def feed_redis(program):
    """Send the next few thousand commands; the answers are read and thrown away."""
    batch = b"".join(next(program.data) for _ in range(4000))
    view = memoryview(batch)
    program.client.setblocking(False)
    while view:
        try:
            view = view[program.client.send(view):]
        except BlockingIOError:
            time.sleep(0.001)
        try:
            while program.client.recv(1 << 16):
                pass
        except BlockingIOError:
            pass


STARTERS = [start_python, start_perl, start_compiler, start_redis, start_sqlite, start_node, start_java]


def warm_up(programs, scale, seconds):
    """Let them work until each holds its share, has stopped growing, or time is up; then stop it.

    A program that ends by itself before that is lost, so they are looked at often.
    """
    end = time.monotonic() + seconds
    growing = {program: (0, time.monotonic()) for program in programs}
    while time.monotonic() < end:
        busy = False
        for program in programs:
            if program.stopped or program.process.poll() is not None:
                continue
            now, size = time.monotonic(), program.anonymous()
            if size > growing[program][0] + MIB:
                growing[program] = (size, now)
            if size >= program.share * MIB * scale or now - growing[program][1] > 8:
                program.stop()
                continue
            busy = True
            if program.name == "redis-server":
                feed_redis(program)
        if not busy:
            break
        time.sleep(0.01)
    for program in programs:
        if not program.stopped and program.process.poll() is None:
            program.stop()
    time.sleep(0.05)


def make_up(programs, wanted, seconds):
    """Where a program fell short of its share, let redis, which never runs out of data, fill the gap."""
    missing = wanted - sum(program.anonymous() for program in programs)
    for program in programs:
        if program.name == "redis-server" and program.stopped and missing > 0:
            program.share = (program.anonymous() + missing) / MIB
            program.go_on()
            warm_up([program], 1, seconds)


def private_ranges(pid):
    """Readable, writable, private mappings: where anonymous memory is."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as file:
        for line in file:
            fields = line.split()
            if fields[1][0] == "r" and fields[1][3] == "p" and fields[-1] not in ("[vvar]", "[vsyscall]", "[vdso]"):
                start, end = (int(part, 16) for part in fields[0].split("-"))
                yield start, end


def resident_runs(pagemap, start, end):
    """(address, pages) of the runs of resident anonymous pages in a mapping."""
    words = array.array("Q")
    step = 1 << 16
    for first in range(start // PAGE, end // PAGE, step):
        count = min(step, end // PAGE - first)
        data = os.pread(pagemap, count * 8, first * 8)
        words = array.array("Q", data[:len(data) // 8 * 8])
        at = 0
        while at < len(words):
            if words[at] & (PRESENT | FILE_OR_SHARED) != PRESENT:
                at += 1
                continue
            stop = at
            while stop < len(words) and words[stop] & (PRESENT | FILE_OR_SHARED) == PRESENT:
                stop += 1
            yield (first + at) * PAGE, stop - at
            at = stop


def save_pages(pid, out):
    """Append the pages of a stopped process to a file: pages, zero pages, same-filled pages."""
    pages = zero = same = 0
    pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        for start, end in private_ranges(pid):
            for address, count in resident_runs(pagemap, start, end):
                while count:
                    part = min(count, 256)
                    try:
                        data = os.pread(memory, part * PAGE, address)
                    except OSError:
                        break  # a guard or device page
                    data = data[:len(data) // PAGE * PAGE]
                    if not data:
                        break
                    out.write(data)
                    for at in range(0, len(data), PAGE):
                        if data[at:at + 64] == data[at + 64:at + 128]:
                            page = data[at:at + PAGE]
                            if page == page[:8] * (PAGE // 8):
                                zero += page[0:8] == bytes(8)
                                same += page[0:8] != bytes(8)
                    pages += len(data) // PAGE
                    address += len(data)
                    count -= len(data) // PAGE
    finally:
        os.close(pagemap)
        os.close(memory)
    return {"pages": pages, "zero": zero, "same_filled": same}


def available():
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def bytes_of(text):
    unit = {"K": 1 << 10, "M": MIB, "G": 1 << 30}.get(text[-1:].upper())
    return int(float(text[:-1]) * unit) if unit else int(text)


def main():
    parser = argparse.ArgumentParser(prog="contrib/capture")
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--min-size", type=bytes_of, default=256 * MIB)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--manifest", type=pathlib.Path)
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()

    if available() < 3 * args.min_size:
        sys.exit(f"contrib/capture: {args.min_size // MIB} MiB of pages take about {3 * args.min_size // MIB} MiB of "
                 f"memory while they are made, and {available() // MIB} MiB are available; give a lower --min-size")
    os.umask(0o077)
    part = args.file.with_name(args.file.name + ".part")
    programs, rows = [], []
    with tempfile.TemporaryDirectory(prefix="zsblk-capture.") as tmp:
        try:
            for start in STARTERS:
                program = start(pathlib.Path(tmp))
                if program:
                    programs.append(program)
            # The shares are MiB and add up to a little more than the default minimum.
            scale = max(args.min_size * 1.05 / MIB / sum(program.share for program in programs), 0.1)
            warm_up(programs, scale, args.seconds)
            make_up(programs, args.min_size * 1.05, args.seconds)
            with open(part, "wb") as out:
                os.chmod(part, 0o600)
                for program in programs:
                    if program.process.poll() is not None:
                        continue
                    row = save_pages(program.process.pid, out)
                    rows.append({"program": program.name, **row})
                    program.end()
        finally:
            for program in programs:
                if program.process.poll() is None:
                    program.end()
    total = {key: sum(row[key] for row in rows) for key in ("pages", "zero", "same_filled")}
    if total["pages"] * PAGE < args.min_size:
        part.unlink()
        sys.exit(f"contrib/capture: only {total['pages'] * PAGE // MIB} MiB could be captured, from "
                 f"{', '.join(row['program'] for row in rows)}; {args.min_size // MIB} MiB were asked for")
    part.replace(args.file)
    if args.manifest:
        args.manifest.write_text(json.dumps({"programs": rows, "total": total}, indent=1) + "\n")
    if not args.quiet:
        print(f"{'program':14} {'pages':>8} {'MiB':>7} {'zero':>7} {'same-filled':>12}")
        for row in rows + [{"program": "all", **total}]:
            print(f"{row['program']:14} {row['pages']:8} {row['pages'] * PAGE / MIB:7.1f} {row['zero']:7} {row['same_filled']:12}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
