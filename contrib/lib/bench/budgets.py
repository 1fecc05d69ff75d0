# SPDX-License-Identifier: BSD-3-Clause
"""The budgets of docs/benchmarks.md, one row each, from the raw results."""
from statistics import median

from bench import engine

MIB = 1 << 20


class Row:
    """What was asked for, what was measured. `at_most`: a ceiling, otherwise a floor; value None: not measured."""

    def __init__(self, what, budget, value, at_most=False, unit="", note=""):
        self.what, self.budget, self.value = what, budget, value
        self.at_most, self.unit, self.note = at_most, unit, note

    @property
    def verdict(self):
        if self.value is None:
            return "not measured"
        good = self.value <= self.budget if self.at_most else self.value >= self.budget
        return "met" if good else "missed"

    def as_dict(self):
        return {"what": self.what, "budget": self.budget, "at_most": self.at_most, "unit": self.unit,
                "value": self.value, "verdict": self.verdict, "note": self.note}


def ratio(results, one, other):
    """Median over the repeats of the ratio within each."""
    pairs = list(zip(results.get(one) or [], results.get(other) or []))
    return median(a / b for a, b in pairs) if pairs else None


def engine_rows(raw):
    runs = {(engine.label(run), run["threads"]): run for run in raw["engine"]}
    one, two = runs[("lz4", 1)], runs.get(("lz4", 2))
    yield Row("engine write, lz4, one thread / bare codec loop", 0.90, one["store_ratio"])
    yield Row("engine read, lz4, one thread / bare codec loop", 0.90, one["load_ratio"])
    for what, key in (("write", "store"), ("read", "load")):
        bare = two and two[f"codec_{key}_scaling"]
        yield Row(f"engine {what}, lz4, two threads / one", 1.8, two and two[f"{key}_scaling"],
                  note=f"the bare codec loop scales by {bare:.2f} on this machine" if two else "")
    held = one["pages"] * 4096 / MIB
    yield Row("pool bytes / compressed bytes, lz4", 1.015, one["pool_bytes"] / one["compressed_bytes"], True,
              note=f"{held:.0f} MiB of pages")
    big = raw.get("engine_large")
    yield Row("overhead per stored block, lz4", 24, big and engine.overhead(big[0]), True, "bytes",
              f"{big[0]['pages'] * 4096 / MIB:.0f} MiB: the captured pages, repeated" if big else "")
    churned = one["churn_pool_bytes"] / one["churn_compressed_bytes"]
    yield Row("pool / compressed after freeing a random half and compacting", 1.05, churned, True)


def mix_rows(raw):
    runs = {(run["mix"], run["threads"]): run for run in raw.get("mix") or []}
    for mix, what, budget in (("raw", "incompressible pages written, two threads / one", 1.8),
                              ("overwrite", "pages overwritten, two threads / one", 1.85),
                              ("same", "same-filled pages written, two threads / one", 1.5),
                              ("read-beside-writer", "reads beside a writer / reads alone", 0.95)):
        run = runs.get((mix, 2))
        yield Row(what, budget, run and run["scaling"], note=f"{run['ops_per_s']:,.0f} a second" if run else "takes two processors")


def recompress_rows(raw):
    run = raw.get("recompress") and raw["recompress"]["results"][0]
    yield Row("recompression from lz4 to zstd:3, one thread / bare codec loop", 0.9, run and run["recompress_ratio"])


def cold_rows(raw):
    """Blocks in groups, beside the zram of the kernel with the same pages, its table of 16 bytes a page included."""
    run, bytes_of_zram = raw.get("cold"), raw.get("cold") and raw["cold"].get("zram_lz4_bytes")
    now = run and run["results"][0]
    note = f"{run['pages'] * 4096 / MIB:.0f} MiB in the order of swap" if run else "takes root, a memory control group, and zram"
    for name, what, memory, p50, p99 in (("cold", "zstd:9", 0.48, 60, 150), ("frozen", "lzma:1", 0.41, None, 1000)):
        yield Row(f"memory in groups of {what} / kernel zram lz4", memory, bytes_of_zram and now[f"{name}_bytes"] / bytes_of_zram, True,
                  note=note)
        if p50:
            yield Row(f"one block out of a group of {what}, median", p50, now and now[f"{name}_read_us_p50"], True, "us")
        yield Row(f"one block out of a group of {what}, 99 %", p99, now and now[f"{name}_read_us_p99"], True, "us")
        yield Row(f"making groups of {what}, one thread / bare codec loop", 0.9, now and now[f"{name}_ratio"])


def policy_rows(raw):
    """The policy is on, and nothing is cold."""
    for what in ("read", "write"):
        runs = {name: [run["iops"] for run in jobs[f"4k {what}, depth 16"]] for name, jobs in raw["fio"].items()}
        yield Row(f"4 KiB random {what}s, depth 16, cold=yes and nothing cold / cold=no", 0.98,
                  ratio(runs, "zsblk lz4, cold=yes", "zsblk lz4"))


def transport_rows(raw):
    def jobs(job):
        return {name: [run["iops"] for run in runs[job]] for name, runs in raw["fio"].items()}

    reads, writes = jobs("4k read, depth 16"), jobs("4k write, depth 16")
    yield Row("4 KiB random reads, depth 16 / memory malloc", 0.85, ratio(reads, "zsblk lz4", "memory malloc"))
    yield Row("4 KiB random writes, depth 16 / memory malloc", 0.70, ratio(writes, "zsblk lz4", "memory malloc"))
    yield Row("4 KiB random writes, depth 16 / memory zstd", 8, ratio(writes, "zsblk lz4", "memory zstd"))
    speeds = {name: [1 / seconds for seconds in runs["in"]] for name, runs in raw["copy"].items()}
    yield Row("copying pages in through NBD / writing them to kernel zram (lz4), 128 KiB", 1.0,
              ratio(speeds, "zsblk lz4", "kernel zram lz4"),
              note="" if "kernel zram lz4" in speeds else "no kernel zram to be had here")


def restart_rows(raw):
    for run in raw.get("restart") or []:
        yield Row(f"restart until the first request is served, device of {run['size'] / (1 << 30):.0f} GiB, full", 100,
                  median(run["ms"]), True, "ms",
                  f"{run['held']['mem_used_total'] / (1 << 30):.2f} GiB in the pool")
    if not raw.get("restart"):
        yield Row("restart on a full 2 GiB segment until the first request is served", 100, None, True, "ms")


def swap_rows(raw):
    for run in raw.get("vm") or []:
        yield Row(f"swap load in a VM, Linux {run['kernel']}, time / kernel zram", 2.0,
                  run["zsblk_ms"] / run["zram_ms"], True,
                  note=f"{run['zsblk_ms'] / 1e3:.1f} s against {run['zram_ms'] / 1e3:.1f} s; "
                       f"{run['zsblk_pages'][1]} pages in against {run['zram_pages'][1]}")
    if not raw.get("vm"):
        yield Row("swap load in a VM, time / kernel zram", 2.0, None, True, note="run with --vm")


def speed_rows(raw):
    """zram, NBD and ublk in one boot. Each is given the vm.page-cluster that it is fastest with."""
    run = raw.get("speed") or {"requests": [], "swap": []}
    single = {row["way"]: row for row in run["requests"] if (row["what"], row["depth"], row["jobs"]) == ("read", 1, 1)}
    load = {}
    for row in run["swap"]:
        if row["way"] not in load or row["seconds"] < load[row["way"]]["seconds"]:
            load[row["way"]] = row
    there = {"zram", "nbd", "ublk"} <= single.keys() & load.keys()
    note = "" if there else "run with --vm"
    yield Row("4 KiB random reads in a VM, one at a time, over ublk / over NBD", 3,
              single["ublk"]["iops"] / single["nbd"]["iops"] if there else None,
              note=", ".join(f"{way} {single[way]['iops']} a second" for way in ("zram", "nbd", "ublk")) if there else note)
    yield Row("the same, processor time of the server, ublk / NBD", 0.5,
              single["ublk"]["server_us"] / single["nbd"]["server_us"] if there else None, True,
              note="with what the codec takes" if there else note)
    yield Row("swap load in a VM over ublk, time / kernel zram in the same boot", 1.5,
              load["ublk"]["seconds"] / load["zram"]["seconds"] if there else None, True,
              note=", ".join(f"{way} {load[way]['seconds']:.1f} s, {load[way]['pages'][1]} pages in" for way in ("zram", "nbd", "ublk"))
              if there else note)


def rows(raw):
    return [*engine_rows(raw), *mix_rows(raw), *recompress_rows(raw), *cold_rows(raw), *policy_rows(raw), *transport_rows(raw), *restart_rows(raw), *swap_rows(raw), *speed_rows(raw)]
