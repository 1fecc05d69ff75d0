# SPDX-License-Identifier: BSD-3-Clause
"""Measure everything in one run and write the report (see contrib/bench --help)."""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from bench import engine, machine, report, restart, servers, transport, vm, zram

TOP = pathlib.Path(__file__).resolve().parents[3]
GIB = 1 << 30
QUICK_SERVERS = ["zsblk lz4", "zsblk lz4, cold=yes", "memory malloc", "memory zstd", "null"]
SWAP_PAGES = 256 << 20


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


class Bench:
    def __init__(self, args, tmp):
        self.args, self.tmp = args, tmp
        self.plugin, self.bench = args.plugin, args.zsblk_bench
        self.pages = args.pages or os.path.join(tmp, "pages")
        self.raw = {
            "license": "SPDX-License-Identifier: BSD-3-Clause",
            "date": datetime.date.today().isoformat(), "version": args.version, "machine": machine.describe(),
            "options": {"repeat": args.repeat, "seconds": args.seconds, "threads": args.threads, "quick": args.quick},
            "copy": {}, "fio": {}, "zram": {},
        }

    def capture(self):
        manifest = os.path.join(self.tmp, "manifest")
        if self.args.pages:
            pages = os.path.getsize(self.pages) // 4096
            row = {"pages": pages, "zero": 0, "same_filled": 0}
            self.raw["pages"] = {"programs": [{"program": "given file", **row}], "total": row}
        else:
            say("capturing pages from programs at work")
            subprocess.run([TOP / "contrib/capture", self.pages, "--quiet", "--manifest", manifest], check=True)
            self.raw["pages"] = json.loads(pathlib.Path(manifest).read_text(encoding="utf-8"))
        self.size = self.raw["pages"]["total"]["pages"] * 4096

    def engine_alone(self):
        say("the engine alone (zsblk-bench)")
        algorithms = ["lz4", "zstd:1"] if self.args.quick else ["lz4", "lz4hc:9", "zstd:-1", "zstd:1", "zstd:3"]
        threads = [1, 2] if os.cpu_count() > 1 else [1]
        self.raw["engine"] = engine.run(self.bench, self.pages, algorithms, threads, 3 if self.args.quick else 5)
        # The overhead is asked for at 1 GiB: the same pages, again and again, which takes as much as other ones.
        large = os.path.join(self.tmp, "large")
        with open(large, "wb") as out:
            for _ in range(-(-GIB // self.size)):
                with open(self.pages, "rb") as pages:
                    shutil.copyfileobj(pages, out, 1 << 20)
            out.truncate(GIB)
        self.raw["engine_large"] = engine.run(self.bench, large, ["lz4"], [1], 1, limit=GIB)
        os.unlink(large)
        self.raw["recompress"] = engine.recompress(self.bench, self.pages, 3)
        if os.cpu_count() > 1:
            say("threads beside each other (zsblk-bench --mix)")
            self.raw["mix"] = engine.mix(self.bench, self.pages, 3)

    def groups(self):
        """Neighbours are what was swapped out one after the other: the pages of the other figures have no such order."""
        pages = os.path.join(self.tmp, "swap")
        say("pages in the order of swap (zsblk-bench --capture-swap)")
        if not engine.capture_swap(self.bench, pages, SWAP_PAGES // 4 if self.args.quick else SWAP_PAGES):
            say("no pages in the order of swap: that takes root, a memory control group and a zram device")
            return
        say("blocks in groups (zsblk-bench --cold --frozen)")
        self.raw["cold"] = engine.cold(self.bench, pages, 1 if self.args.quick else 3)
        os.unlink(pages)

    def jobs(self):
        names = list(transport.JOBS)
        return [job for job in names if "depth 16" in job] if self.args.quick else names

    def one_server(self, name, arguments):
        copies = self.raw["copy"].setdefault(name, {"in": [], "out": [], "memory": []})
        results = self.raw["fio"].setdefault(name, {})
        with servers.Server(arguments, self.tmp, self.args.threads) as server:
            copies["in"].append(transport.copy(self.pages, server.uri))
            copies["memory"].append(resident(server.process.pid))
            copies["out"].append(transport.copy(server.uri, "null:"))
            dirty = False
            for job in self.jobs():
                if dirty:
                    transport.copy(self.pages, server.uri)
                results.setdefault(job, []).append(transport.fio(server.uri, job, self.size, self.args.seconds))
                dirty = transport.JOBS[job][1] < 100

    def one_zram(self, device, algorithm):
        copies = self.raw["copy"].setdefault(f"kernel zram {algorithm}", {"in": [], "out": [], "memory": []})
        figures = self.raw["zram"].setdefault(algorithm, {"read_iops": [], "write_iops": []})
        with zram.Zram(device, algorithm, self.size) as disk:
            copies["in"].append(disk.write(self.pages))
            figures["mm_stat"] = disk.statistics()
            copies["memory"].append(figures["mm_stat"]["mem_used_total"])
            copies["out"].append(disk.read())
            figures["read_iops"].append(disk.fio(100, self.args.seconds)["iops"])
            figures["write_iops"].append(disk.fio(5, self.args.seconds)["iops"])

    def rounds(self):
        peers = servers.peers(self.plugin, self.size)
        if self.args.quick:
            peers = {name: peers[name] for name in QUICK_SERVERS}
        device = zram.free_device()
        algorithms = [name for name in ("lz4", "lzo-rle") if device and name in zram.algorithms(device)]
        if not device:
            say("no kernel zram to be had: no device that is free, or not root")
        for number in range(self.args.repeat):
            for name, arguments in peers.items():
                say(f"round {number + 1} of {self.args.repeat}: {name}")
                self.one_server(name, arguments)
            for algorithm in algorithms:
                say(f"round {number + 1} of {self.args.repeat}: kernel zram {algorithm}")
                self.one_zram(device, algorithm)

    def restarts(self):
        sizes = [2 * GIB] if self.args.quick else [2 * GIB, self.size_that_fills(2 * GIB)]
        self.raw["restart"] = []
        for size in sizes:
            if machine.describe()["memory_mib"] << 20 < 2 * size:
                say(f"restart with {size / GIB:.0f} GiB: not enough memory here")
                continue
            say(f"restart: a full device of {size / GIB:.1f} GiB")
            try:
                self.raw["restart"].append(restart.measure(self.plugin, self.pages, self.tmp, size, 5))
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                say(f"restart: {error}")

    def size_that_fills(self, pool):
        """The device size at which these pages, compressed with lz4, fill `pool` bytes."""
        first = self.raw["engine"][0]
        size = int(pool * first["pages"] * 4096 / first["pool_bytes"])
        return size // (1 << 20) * (1 << 20)

    def machines(self):
        if self.args.vm:
            say("virtual machines")
            self.raw["vm_date"] = datetime.date.today().isoformat()
            self.raw["vm"] = vm.swap(self.plugin)
            if self.args.ublk:
                self.raw["speed"] = vm.speed(self.plugin, self.args.ublk)

    def only_machines(self):
        """Into the report that is there: the rest takes a quarter of an hour, and may be of another day."""
        report_there = self.args.output / "raw.json"
        if not report_there.exists():
            sys.exit(f"contrib/bench: --vm-only adds to a report, and there is none: no {report_there}")
        self.raw = json.loads(report_there.read_text(encoding="utf-8"))
        self.args.vm = True
        self.machines()


def main():
    parser = argparse.ArgumentParser(prog="contrib/bench")
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--zsblk-bench", required=True)
    parser.add_argument("--ublk")
    parser.add_argument("--version", required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--pages")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--vm", action="store_true")
    parser.add_argument("--vm-only", action="store_true")
    parser.add_argument("--repeat", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.repeat = args.repeat or 3
    args.seconds = args.seconds or (1 if args.quick else 3)
    args.output.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="zsblk-bench.") as tmp:
        bench = Bench(args, tmp)
        if args.vm_only:
            bench.only_machines()
        else:
            bench.capture()
            bench.engine_alone()
            bench.groups()
            bench.rounds()
            bench.restarts()
            bench.machines()
    write(bench.raw, args.output)


def write(raw, folder):
    from bench import budgets, plots
    raw["budgets"] = [row.as_dict() for row in budgets.rows(raw)]
    (folder / "raw.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(report.markdown(raw), encoding="utf-8")
    plots.draw(raw, folder)
    print(report.budget_table(raw))
    print(f"{folder}/report.md")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"contrib/bench: {' '.join(map(str, error.cmd))} failed:\n{error.stderr or ''}{error.stdout or ''}")
