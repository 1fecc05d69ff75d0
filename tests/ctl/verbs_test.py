#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every verb of zsblkctl, asked of real servers: what they hold is known, and so is what has to be said of it."""
import threading

from ctltest import *

TEXT = (b"some text that compresses well " * 200)[:BLOCK]


def filled(here, name="swap0", *params, blocks=100):
    """A server with so many blocks of text, ten of noise, five same-filled ones, and what was written zero."""
    server = here.serve(name, "64M", *params)
    handle = server.connect()
    for i in range(blocks):
        handle.pwrite(TEXT, i * BLOCK)
    handle.pwrite(random.Random(1).randbytes(10 * BLOCK), 1 * MiB)
    handle.pwrite(b"\x33" * 5 * BLOCK, 2 * MiB)
    handle.pwrite(bytes(7 * BLOCK), 3 * MiB)
    return server


# ---------------------------------------------------------------- to look

@test
def lists():
    "list: zramctl's columns, in its order, of several devices"
    with Here() as here:
        filled(here)
        filled(here, "work", "mem-limit=32M", "algorithm=zstd")
        head, first, second = here.ctl("list").splitlines()
        equal(head.split(), "NAME ALGORITHM DISKSIZE DATA COMPR TOTAL STREAMS MOUNTPOINT INSTANCE".split(), "columns")
        equal((first.split()[:3], second.split()[:3]), (["swap0", "lz4", "64M"], ["work", "zstd", "64M"]), "what it is")
        equal(here.ctl(), here.ctl("list"), "without a verb")
        swap0, work = here.json("--output-all")["devices"]
        equal((swap0["data"], swap0["zero-pages"], swap0["huge-pages"]), (115 * BLOCK, 5, 10), "what it holds")
        equal((swap0["mem-limit"], work["mem-limit"]), (0, 32 * MiB), "limits")
        equal(swap0["pid"], here.servers[0].pid, "process")
        assert swap0["streams"] >= 16, swap0
        assert swap0["comp-ratio"] == round(swap0["data"] / swap0["total"], 2), swap0
        equal(here.ctl("--bytes", "-n", "--raw", "-o", "INSTANCE,DATA,MEM-LIMIT"),
              f"swap0 {115 * BLOCK} 0\nwork {115 * BLOCK} {32 * MiB}\n", "for scripts")
        equal(here.ctl("-n", "-o", "instance", "list", "work"), "work\n", "one of them")


@test
def zramctls_columns():
    "list: has the columns that zramctl has, by the same names"
    need("zramctl")
    with Here() as here:
        def columns(text):
            return re.findall(r"^ +([A-Z-]{4,})  ", text, re.M)
        theirs = columns(run("zramctl", "--help"))
        assert len(theirs) > 10, theirs
        ours = columns(here.ctl("list", "--help"))
        equal([name for name in theirs if name not in ours], [], "columns that are missing")


@test
def one_is_dead():
    "list and stat: a server that is dead is named, and the others are listed"
    with Here() as here:
        filled(here)
        here.serve("other", "64M").kill()
        done = here.ctl_done("-n", "-o", "INSTANCE")
        equal((done.stdout, done.returncode), ("swap0\n", NOT_RUNNING), "the rest")
        contains(done.stderr, "zsblkctl: other: the server does not run: nobody listens")


class KernelZram:
    """A zram device of the kernel's, which is removed in the end."""

    def __enter__(self):
        need_root()
        try:
            with open("/sys/class/zram-control/hot_add", encoding="ascii") as f:
                self.number = f.read().strip()
        except OSError as error:
            raise Skip("this kernel makes no zram devices") from error
        return self

    def set(self, name, value):
        with open(f"/sys/block/zram{self.number}/{name}", "w", encoding="ascii") as f:
            f.write(value)

    def read(self, name):
        with open(f"/sys/block/zram{self.number}/{name}", encoding="ascii") as f:
            return f.read()

    def __exit__(self, kind, value, trace):
        with contextlib.suppress(OSError):
            self.set("reset", "1")
        with open("/sys/class/zram-control/hot_remove", "w", encoding="ascii") as f:
            f.write(self.number)


@test
def as_zram():
    "stat --format: byte for byte what the kernel's zram prints"
    with KernelZram() as zram, Here() as here:
        here.serve("fresh", "64M")
        # Both hold nothing.
        for name in ("mm_stat", "io_stat"):
            equal(here.ctl("stat", "fresh", "--format", name), zram.read(name), name)
        filled(here).connect().trim(3 * BLOCK, 0)
        equal(here.ctl("stat", "swap0", "--format", "io_stat").split()[3], "3", "notify_free: blocks of discards")
        equal(here.ctl("stat", "swap0", "--format", "zram"),
              here.ctl("stat", "swap0", "--format", "mm_stat") + here.ctl("stat", "swap0", "--format", "io_stat"), "both")
        figures = here.json("stat", "swap0")["devices"][0]
        mm_stat = here.ctl("stat", "swap0", "--format", "mm_stat")
        equal(mm_stat, " ".join(f"{n:8}" for n in figures["mm_stat"].values()) + "\n", "columns of mm_stat")


@test
def beside_zram():
    "stat --format: the same data in the kernel's zram has the same figures, where they do not depend on the allocator"
    with KernelZram() as zram, Here() as here:
        zram.set("disksize", "64M")
        server = here.serve("swap0", "64M")
        handle = server.connect()
        data = b"".join(TEXT[i:] + TEXT[:i] for i in range(64)) + random.Random(2).randbytes(8 * BLOCK) + b"\x44" * 3 * BLOCK
        handle.pwrite(data, 0)
        device = f"/dev/zram{zram.number}"
        wait_for(lambda: os.path.exists(device), device, 5)
        with open(device, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        ours, theirs = here.ctl("stat", "swap0", "--format", "mm_stat"), zram.read("mm_stat")
        equal(len(ours.split()), len(theirs.split()), "columns")
        for column, name in ((0, "orig_data_size"), (5, "same_pages"), (7, "huge_pages"), (8, "huge_pages_since")):
            equal(ours.split()[column], theirs.split()[column], name)
        for line in (ours, theirs):
            equal(line, " ".join(f"{int(n):8}" for n in line.split()) + "\n", "layout")


@test
def classes():
    "classes: zsmalloc's columns; what they add up to is what stat says"
    with Here() as here:
        filled(here)
        head, *rows, total = here.ctl("classes", "swap0").splitlines()
        contains(head, "CLASS", "SIZE", "OBJ_ALLOCATED", "OBJ_USED", "PAGES_USED", "PAGES_PER_ZSPAGE", "FREEABLE", "100%")
        assert total.startswith("Total"), total
        table = here.json("classes", "swap0")["classes"]
        equal(len(table), len(rows), "rows")
        figures = here.json("stat", "swap0")["devices"][0]
        equal(sum(one["pages_used"] for one in table) * BLOCK, figures["mm_stat"]["mem_used_total"], "pages")
        equal(sum(one["obj_used"] for one in table), figures["zsblk"]["blocks_stored"], "objects")
        contains(total, str(sum(one["obj_used"] for one in table)))
        # Noise: ten zspages of one page each, which are full.
        equal((table[-1]["size"], table[-1]["100%"]), (BLOCK, 10), "huge class")
        for one in table:
            equal(sum(one[f"{n}%"] for n in (*range(10, 100, 10), 99, 100)) > 0, one["pages_used"] > 0, f"zspages of class {one['class']}")


@test
def blocks():
    "blocks: state, flags and size of each block that holds something"
    with Here() as here:
        filled(here, blocks=3)
        head, *rows = here.ctl("blocks", "swap0").splitlines()
        equal(head.split(), "BLOCK STATE FLAGS ALGORITHM SIZE STORED AGE".split(), "columns")
        equal(len(rows), 18, "blocks")
        equal(rows[0].split()[:4], ["0", "compressed", "....", "lz4"], "text")
        equal(rows[3].split()[:3], ["256", "raw", ".h.."], "noise")
        equal(rows[13].split()[:3], ["512", "same", "s..."], "same-filled")
        for given, wanted in [("256", [256]), ("256-258", [256, 257, 258]), ("265+3", [265]), ("514-", [514, 515, 516]), ("7-9", [])]:
            equal([one["block"] for one in here.json("blocks", "swap0", given)["blocks"]], wanted, given)
        for line in here.ctl("blocks", "swap0", "--format", "zram").splitlines():
            assert re.fullmatch(r" *\d+ +\d+\.\d{6} [s.][w.][h.][i.][r.][n.]", line) and len(line) == 12 + 1 + 12 + 1 + 6 + 1 + 6, line
        equal(here.ctl("blocks", "swap0", "-n", "0").split()[0], "0", "without headings")


@test
def status():
    "status: sentences that say what it is and holds"
    with Here() as here:
        server = filled(here)
        text = here.ctl("status", "--control", here.run("swap0", "control"))
        contains(text, f"A disk of 64M, served by process {server.pid} (nbdkit, version ", "It holds 460K of data, under 1 % of its size",
                 "with lz4", "Of that, 4 % is same-filled", "Of that, 9 % does not compress", "no memory limit")
        assert "\033" not in text, "colours in a file"
        # There is no zsblkd here, and the server is well.
        text = here.ctl_done("status", "swap0")
        equal(text.returncode, NOT_RUNNING, "exit status")
        contains(text.stdout, "swap0", "A disk of 64M", "Nobody replaces its server: zsblkd does not run")
        told = json.loads(here.ctl_done("status", "--json").stdout)["devices"][0]
        equal((told["name"], told["description"]["size"], told["statistics"]["same_pages"]), ("swap0", 64 * MiB, 5), "JSON")
        contains(told["daemon_problem"], "zsblkd does not run")


@test
def colours():
    "status: colours on a terminal only, and not with NO_COLOR"
    need("script")
    with Here() as here:
        filled(here)

        def shown(**env):
            command = f"{ZSBLKCTL_HERE} status --control {here.run('swap0', 'control')}"
            return run("script", "-qec", command, "/dev/null", cwd=here.path, env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **env})
        contains(shown(), "\033[1;32m")
        assert "\033" not in shown(NO_COLOR="1"), "with NO_COLOR"
        assert "\033" not in shown(TERM="dumb"), "on a terminal without colours"


# ---------------------------------------------------------------- to change

@test
def limit():
    "limit: below what is stored it says so, and writes fail until it is lifted"
    with Here() as here:
        server = here.serve("swap0", "64M")
        handle = server.connect()
        handle.pwrite(random.Random(3).randbytes(4 * MiB), 0)
        equal(here.ctl("limit", "swap0", "32M"), "", "above what is stored")
        contains(here.ctl("limit", "swap0", "1M"), "What is stored takes 4", "more than 1M", "writes that need more memory fail")
        equal(here.json("-o", "MEM-LIMIT")["devices"][0]["mem-limit"], MiB, "limit")
        try:
            handle.pwrite(random.Random(4).randbytes(4 * MiB), 8 * MiB)
            raise AssertionError("a write beyond the limit succeeded")
        except nbd.Error as error:
            contains(str(error), "No space left on device")
        assert here.json("stat", "swap0")["devices"][0]["io_stat"]["failed_writes"] > 0
        contains(here.ctl("--control", here.run("swap0", "control"), "status"), "failed, since memory or the limit was used up")
        equal(here.ctl("limit", "swap0", "none"), "", "no limit")
        handle.pwrite(random.Random(4).randbytes(4 * MiB), 8 * MiB)


@test
def peak():
    "reset-peak: the most memory so far becomes what is taken now"
    with Here() as here:
        server = here.serve("swap0", "64M")
        handle = server.connect()
        handle.pwrite(random.Random(3).randbytes(4 * MiB), 0)
        handle.trim(4 * MiB, 0)
        assert here.json("-o", "MEM-USED")["devices"][0]["mem-used"] >= 4 * MiB
        here.ctl("reset-peak", "swap0")
        assert here.json("-o", "MEM-USED")["devices"][0]["mem-used"] < MiB


@test
def algorithm():
    "algorithm: of what is written from now on; what there is not is refused in the server's words"
    with Here() as here:
        server = filled(here)
        here.ctl("algorithm", "swap0", "zstd", "3")
        equal(here.ctl("-n", "--raw", "-o", "ALGORITHM,LEVEL"), "zstd 3\n", "algorithm")
        handle = server.connect()
        handle.pwrite(TEXT, 0)
        equal([one["algorithm"] for one in here.json("blocks", "swap0", "0-1")["blocks"]], ["zstd", "lz4"], "of each block")
        equal(handle.pread(2 * BLOCK, 0), TEXT + TEXT, "data")
        contains(here.ctl("algorithm", "swap0", "lzo", status=FAILED), "swap0: ", "lzo")
        contains(here.ctl("algorithm", "swap0", "zstd", "1000", status=FAILED), "1000")


@test
def reserve():
    "reserve and background-cpu: as the description has them then"
    with Here() as here:
        here.serve("swap0", "64M")
        here.ctl("reserve", "swap0", "1M")
        here.ctl("background-cpu", "swap0", "25")
        told = json.loads(here.ctl_done("status", "--json").stdout)["devices"][0]["description"]
        equal((told["reserve"], told["background_cpu"]), (MiB, 25), "description")


@test
def trace():
    "trace: begins, tells of itself, ends; a relative path is the caller's"
    with Here() as here, folder() as path:
        server = here.serve("swap0", "64M")
        file = os.path.join(path, "trace")
        contains(here.ctl("trace", "swap0"), "No trace")
        equal(here.ctl("trace", "swap0", os.path.relpath(file)), "", "nothing to say")
        server.connect().pwrite(TEXT, 3 * BLOCK)
        contains(here.ctl("trace", "swap0"), file, "running")
        contains(here.ctl("trace", "swap0", file + "2", status=FAILED), "stop it first")
        contains(here.ctl("trace", "swap0", "stop"), "ended", "1 requests were recorded, and 0 lost")
        with open(file, encoding="ascii") as one:
            contains(one.read(), " W 3 1\n")
        told = here.json("trace", "swap0")["trace"]
        equal((told["state"], told["requests"], os.path.realpath(told["file"])), ("ended", 1, file), "told")


@test
def resize():
    "resize: a server alone grows within its max-size and says what is wrong beyond"
    with Here() as here:
        here.serve("swap0", "64M", "max-size=128M")
        control = here.run("swap0", "control")
        here.ctl("--control", control, "resize", "128M")
        equal(here.ctl("-bn", "--raw", "-o", "DISKSIZE"), f"{128 * MiB}\n", "size")
        contains(here.ctl("--control", control, "resize", "1G", status=FAILED), "too large", str(128 * MiB))
        contains(here.ctl("resize", "swap0", "64M", status=NOT_RUNNING), "zsblkd does not run")


@test
def reset():
    "reset: refused while a client is there, and frees everything otherwise"
    with Here() as here:
        server = filled(here)
        contains(here.ctl("reset", "swap0", status=FAILED), "swap0: ")
        server.disconnect()
        wait_for(lambda: here.ctl_done("reset", "swap0").returncode == DONE, "reset")
        equal(here.json("-o", "DATA")["devices"][0]["data"], 0, "data")


@test
def idle():
    "idle: all blocks, or those that were not used for so long"
    with Here() as here:
        server = filled(here)
        contains(here.ctl("idle", "swap0"), "110 blocks are marked as idle")
        equal({one["idle"] for one in here.json("blocks", "swap0", "0-9")["blocks"]}, {True}, "marks")
        server.connect().pwrite(TEXT, 0)
        equal([one["idle"] for one in here.json("blocks", "swap0", "0-1")["blocks"]], [False, True], "after a write")
        contains(here.ctl("idle", "swap0", "--older-than", "1h"), "0 blocks are marked as idle")


# ---------------------------------------------------------------- jobs

@test
def jobs():
    "compact and check: begun, waited for, listed"
    with Here() as here:
        filled(here, blocks=200)
        contains(here.ctl("compact", "swap0"), "job 1 runs: zsblkctl jobs swap0")
        here.ctl("jobs", "swap0", "--wait")
        assert here.ctl("check", "swap0", "--wait").strip()
        done = here.json("compact", "swap0", "--wait")
        equal((done["kind"], done["state"]), ("compact", "done"), "the job")
        listed = here.json("jobs")["jobs"]
        equal(sorted(one["kind"] for one in listed), ["check", "compact"], "kinds")
        equal({one["state"] for one in listed}, {"done"}, "states")
        contains(here.ctl("check", "swap0", "--cancel", status=FAILED), "no job of the kind check runs")
        contains(here.ctl("--control", here.run("swap0", "control"), "status"), f"The last compact, job {done['id']}: done")


@test
def recompress():
    "recompress: all blocks with another algorithm, and those that are idle"
    with Here() as here:
        server = filled(here, blocks=200)
        done = here.json("recompress", "swap0", "--type", "all", "--algorithm", "zstd", "--level", "3", "--wait")
        equal((done["kind"], done["state"]), ("recompress", "done"), "the job")
        equal({one["algorithm"] for one in here.json("blocks", "swap0", "0-99")["blocks"]}, {"zstd"}, "blocks")
        equal(server.connect().pread(200 * BLOCK, 0), TEXT * 200, "data")
        equal([one["kind"] for one in here.json("jobs")["jobs"]], ["recompress"], "jobs")


def need_lzma():
    if not re.search(r"^ +lzma ", run("nbdkit", zsblktest.PLUGIN, "--help", env=zsblktest.ENV), re.M):
        raise Skip("the plugin has no LZMA")


@test
def group():
    "group: packs stored blocks, those in groups of weaker algorithms as well"
    need_lzma()
    with Here() as here:
        server = filled(here, blocks=200)
        # What is the same in all blocks, no algorithm makes smaller than another.
        rng = random.Random(2)
        words = [rng.randbytes(24) for _ in range(60)]
        data = b"".join(rng.choice(words) for _ in range(200 * BLOCK // 24 + 1))[:200 * BLOCK]
        server.connect().pwrite(data, 0)
        done = here.json("group", "swap0", "--algorithm", "zstd", "--level", "3", "--wait")
        equal((done["kind"], done["state"]), ("group", "done"), "the job")
        assert done["groups"] >= 12, done
        equal({(one["state"], one["algorithm"]) for one in here.json("blocks", "swap0", "0-99")["blocks"]}, {("cold", "zstd")}, "blocks")
        contains(here.ctl("group", "swap0", "--algorithm", "lzma", "--older-than", "1h", "--wait"), "0 groups of 0 blocks")
        contains(here.ctl("group", "swap0", "--algorithm", "lzma", "--wait"), "groups of", "were made")
        equal({one["algorithm"] for one in here.json("blocks", "swap0", "0-99")["blocks"]}, {"lzma"}, "packed once more")
        equal(server.connect().pread(200 * BLOCK, 0), data, "data")
        contains(here.ctl("cold", "swap0"), "stays as it is", "is in groups of neighbours")
        contains(here.ctl("group", "swap0", "--algorithm", "gzip", status=FAILED), "gzip")


@test
def cold():
    "cold: shows what is done with data that nobody uses, and changes it"
    need_lzma()
    with Here() as here:
        filled(here)
        equal(here.ctl("cold", "swap0"), "Data that nobody uses stays as it is; zsblkctl cold NAME yes has it packed.\n", "off")
        equal(here.ctl("cold", "swap0", "yes", "cold-after=10m", "frozen-after=never", "cold-rate=4M", "cold-budget=10G"), "", "change")
        wait_for(lambda: here.json("cold", "swap0")["state"] == "waiting", "the policy")
        told = here.ctl("cold", "swap0")
        contains(told, "is packed after 10 min with zstd:9; now: waiting for blocks that nobody uses for ",
                 "At most 4M of data is packed in a second", "In 24 hours it is at most 10G, of which 0B was packed")
        asked = here.json("cold", "swap0")
        equal((asked["on"], asked["cold_after_s"], asked["frozen_after_s"], asked["budget"]), (True, 600, 0, 10 << 30), "settings")
        control = here.run("swap0", "control")
        contains(here.ctl("--control", control, "status"), "is packed after 10 min")
        equal(here.json("--control", control, "status")["devices"][0]["cold"]["rate"], 4 * MiB, "rate")
        contains(here.ctl("cold", "swap0", "cold-algorithm=zstd:99", status=FAILED), "swap0: cold-algorithm=zstd:99")
        contains(here.ctl("cold", "swap0", "frozen-after=5m", status=FAILED), "frozen-after=5m is not later")
        here.ctl("cold", "swap0", "no")
        wait_for(lambda: here.json("cold", "swap0")["state"] == "off", "the end of the policy")


def long_job(here):
    """A check that takes its time: much to do, and little of a processor for it."""
    server = here.serve("swap0", "256M")
    handle = server.connect()
    data = b"".join(TEXT[i % 31:] + TEXT[:i % 31] for i in range(256))
    for offset in range(0, 128 * MiB, len(data)):
        handle.pwrite(data, offset)
    here.ctl("background-cpu", "swap0", "1")
    here.ctl("check", "swap0")
    return server


@test
def cancel():
    "check --cancel: the job that runs ends, whoever waits is told so, and one of a kind runs at a time"
    with Here() as here:
        long_job(here)
        contains(here.ctl("check", "swap0", status=FAILED), "swap0: ")
        with subprocess.Popen([ZSBLKCTL_HERE, "jobs", "swap0", "--wait"], cwd=here.path, stderr=subprocess.PIPE, text=True) as waiting:
            time.sleep(0.5)
            equal(here.json("jobs")["jobs"][0]["state"], "running", "state")
            here.ctl("check", "swap0", "--cancel")
            contains(waiting.communicate(timeout=WAIT)[1], "(check) was cancelled")
            equal(waiting.returncode, FAILED, "exit status")
        equal(here.json("jobs")["jobs"][0]["state"], "cancelled", "state")


# ---------------------------------------------------------------- trouble

@test
def killed():
    "a server that is killed while it is waited for: the tool says so and ends, and then finds nobody"
    with Here() as here:
        server = long_job(here)
        with subprocess.Popen([ZSBLKCTL_HERE, "jobs", "swap0", "--wait"], cwd=here.path, stderr=subprocess.PIPE, text=True) as waiting:
            time.sleep(0.5)
            server.kill()
            contains(waiting.communicate(timeout=WAIT)[1], "swap0: the server has ended before it answered")
            equal(waiting.returncode, NO_ANSWER, "exit status")
        for words in (["stat", "swap0"], ["limit", "swap0", "1G"], ["compact", "swap0"], ["blocks", "swap0"], ["status", "swap0"],
                      ["idle", "swap0"], ["classes", "swap0"], ["jobs", "swap0"], ["reset", "swap0"]):
            contains(here.ctl(*words, status=NOT_RUNNING), "swap0: the server does not run: nobody listens")


@test
def hangs():
    "a server that hangs is given up in time"
    with Here() as here:
        server = filled(here)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            contains(here.ctl("--timeout", "1", "stat", "swap0", status=NO_ANSWER), "the server has not answered within 1 s")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        here.ctl("stat", "swap0")


@test
def under_load():
    "all verbs while a client writes and reads: nothing that it wrote is lost"
    with Here() as here:
        server = filled(here)
        failures, stop = [], threading.Event()

        def load():
            rng, handle, written = random.Random(5), server.connect(), {}
            while not stop.is_set():
                block = rng.randrange(4096, 8192)
                if block in written and handle.pread(BLOCK, block * BLOCK) != written[block]:
                    failures.append(block)
                written[block] = zsblktest.page(rng)
                handle.pwrite(written[block], block * BLOCK)
            failures.extend(block for block, data in written.items() if handle.pread(BLOCK, block * BLOCK) != data)
            assert len(written) > 100

        thread = threading.Thread(target=load)
        thread.start()
        try:
            for algorithm_name in ("zstd", "lz4") * 2:
                for words in (["list"], ["stat"], ["classes", "swap0"], ["blocks", "swap0"], ["jobs"], ["limit", "swap0", "32M"],
                              ["algorithm", "swap0", algorithm_name], ["compact", "swap0", "--wait"], ["check", "swap0", "--wait"],
                              ["recompress", "swap0", "--type", "all", "--algorithm", "zstd", "--level", "3", "--wait"],
                              ["idle", "swap0"], ["reserve", "swap0", "2M"], ["reset-peak", "swap0"]):
                    here.ctl(*words)
                contains(here.ctl("reset", "swap0", status=FAILED), "swap0: ")
        finally:
            stop.set()
            thread.join()
        equal(failures, [], "blocks that were read wrong")


@test
def group():
    "control-group: its members may look, and change nothing"
    need_root()
    with Here() as here:
        filled(here, "swap0", "control-group=65533")
        program = shutil.copy(ZSBLKCTL_HERE, here.path)
        os.chmod(here.path, 0o755)
        os.chown(here.run("swap0"), 0, 65533)
        os.chmod(here.run("swap0"), 0o750)
        member = ["setpriv", "--reuid=65534", "--regid=65534", "--groups=65533", "--bounding-set=-all"]
        contains(here.ctl("stat", "swap0", program=program, wrap=member), "orig_data_size")
        contains(here.ctl("reset-peak", "swap0", program=program, wrap=member, status=NOT_ALLOWED), "does not allow you this; be root")
        contains(here.ctl("stat", "swap0", program=program, wrap=as_nobody(), status=NOT_ALLOWED), "swap0")


main()
