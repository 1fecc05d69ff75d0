# SPDX-License-Identifier: BSD-3-Clause
"""The Markdown report, from the raw results."""
from statistics import median

from bench import budgets, engine, transport


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "|" + "|".join(" --- " if n == 0 else " ---: " for n in range(len(head))) + "|"]
    out += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(out) + "\n"


def short(value):
    """A figure as people write it: three digits are enough."""
    if value is None:
        return "-"
    if abs(value) >= 10000:
        return f"{value / 1000:.0f}k" if value < 10**6 else f"{value / 10**6:.1f}M"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def budget_table(raw):
    rows = []
    for row in budgets.rows(raw):
        bound = f"{'at most' if row.at_most else 'at least'} {row.budget:g} {row.unit}".strip()
        value = "-" if row.value is None else f"{row.value:.3f}" if row.value < 10 and not row.unit else f"{row.value:.1f} {row.unit}"
        rows.append([row.what, bound, value.strip(), row.verdict, row.note])
    return table(["what", "budget", "measured", "", "note"], rows)


def machine_table(raw):
    machine = raw["machine"]
    return table(["", ""], [[key.replace("_", " "), value] for key, value in machine.items()])


def pages_table(raw):
    rows = [[row["program"], row["pages"], f"{row['pages'] * 4096 / 1e6:.0f}", row["zero"], row["same_filled"]]
            for row in [*raw["pages"]["programs"], {"program": "all", **raw["pages"]["total"]}]]
    return table(["program", "pages", "MB", "zero", "same-filled"], rows)


def engine_table(raw):
    rows = []
    for run in raw["engine"]:
        rows.append([engine.label(run), run["threads"], f"{run['ratio']:.2f}", f"{run['memory_ratio']:.2f}",
                     f"{run['pool_bytes'] / run['compressed_bytes']:.3f}", f"{engine.overhead(run):.1f}",
                     short(run["store_mbps"]), f"{run['store_ratio']:.2f}", short(run["load_mbps"]),
                     f"{run['load_ratio']:.2f}", f"{run['store_p50_us']:.1f} / {run['store_p99_us']:.1f}",
                     f"{run['load_p50_us']:.1f} / {run['load_p99_us']:.1f}"])
    return table(["algorithm", "threads", "pages / compressed", "pages / memory", "pool / compressed", "overhead, bytes a block",
                  "store MB/s", "of bare codec", "load MB/s", "of bare codec", "store us, 50 / 99 %", "load us, 50 / 99 %"], rows)


def copy_table(raw):
    size = raw["pages"]["total"]["pages"] * 4096
    rows = []
    for name, runs in raw["copy"].items():
        rows.append([name, f"{median(runs['in']):.3f}", short(size / median(runs["in"]) / 1e6),
                     f"{median(runs['out']):.3f}", short(size / median(runs["out"]) / 1e6),
                     f"{median(runs['memory']) / 1e6:.0f}" if runs.get("memory") else "-"])
    return table(["server", "in, s", "MB/s", "out, s", "MB/s", "memory, MB"], rows)


def fio_table(raw, field, jobs, against="memory malloc"):
    names = list(raw["fio"])
    rows = []
    for job in jobs:
        row = [job]
        for name in names:
            runs = raw["fio"][name].get(job)
            if not runs:
                row.append("-")
                continue
            cell = short(median(run[field] for run in runs))
            peer = raw["fio"].get(against, {}).get(job)
            if peer and name != against:
                cell += f" ({median(a[field] / b[field] for a, b in zip(runs, peer)):.2f})"
            row.append(cell)
        rows.append(row)
    return table(["", *names], rows)


def latency_table(raw, jobs):
    names = list(raw["fio"])
    rows = [[job, *(f"{median(run['p50_us'] for run in runs[job]):.0f} / {median(run['p99_us'] for run in runs[job]):.0f}"
                    for runs in raw["fio"].values())] for job in jobs]
    return table(["us, 50 / 99 %", *names], rows)


def zram_table(raw):
    rows = []
    for name, run in raw["zram"].items():
        stat = run["mm_stat"]
        rows.append([name, f"{stat['orig_data_size'] / stat['compr_data_size']:.2f}",
                     f"{stat['mem_used_total'] / stat['compr_data_size']:.3f}",
                     short(median(run["read_iops"])), short(median(run["write_iops"]))])
    return table(["", "pages / compressed", "pool / compressed", "4k random reads/s", "4k random writes/s"], rows)


def cold_table(raw):
    run = raw["cold"]
    now, pages = run["results"][0], run["pages"] * 4096
    rows = [[name, f"{run[key] / 1e6:.1f}", f"{pages / run[key]:.2f}", "-", "-", "-"]
            for name, key in (("kernel zram lz4", "zram_lz4_bytes"), ("kernel zram zstd", "zram_zstd_bytes")) if run.get(key)]
    rows.append(["zsblk lz4", f"{now['hot_bytes'] / 1e6:.1f}", f"{pages / now['hot_bytes']:.2f}", "-", "-", "-"])
    for name, what in (("cold", "zstd:9"), ("frozen", "lzma:1")):
        taken = now[f"{name}_bytes"]
        rows.append([f"zsblk, groups of {what}", f"{taken / 1e6:.1f}", f"{pages / taken:.2f}",
                     f"{now[f'{name}_read_us_p50']:.0f} / {now[f'{name}_read_us_p99']:.0f}", f"{now[f'{name}_mbps']:.0f}",
                     f"{now[f'{name}_ratio']:.2f}"])
    return table(["", "memory, MB", "pages / memory", "one block, us, 50 / 99 %", "making, MB/s", "of bare codec"], rows)


def mix_table(raw):
    rows = [[run["mix"], run["threads"], short(run["ops_per_s"]), f"{run['scaling']:.2f}"] for run in raw["mix"]]
    return table(["lz4", "threads", "a second", "times one thread"], rows)


def ways_tables(run):
    """Scenario speed: requests of each way beside those of the others, and the load."""
    ways = ["zram", "nbd", "ublk"]
    requests = {(row["what"], row["depth"], row["jobs"], row["way"]): row for row in run["requests"]}
    rows = []
    for what, depth, jobs in dict.fromkeys(key[:3] for key in requests):
        each = [requests.get((what, depth, jobs, way)) for way in ways]
        rows.append([f"{what}, depth {depth}, {jobs} job{'s' if jobs > 1 else ''}",
                     *(short(row and row["iops"]) for row in each),
                     *(f"{row['p50_us']} / {row['p99_us']}" if row else "-" for row in each),
                     *(f"{row['server_us']:.0f}" if row else "-" for row in each[1:])])
    loads = [[row["cluster"], row["way"], f"{row['seconds']:.1f}", f"{row['fill_s']:.1f}", f"{row['check_s']:.1f}", *row["pages"]]
             for row in run["swap"]]
    return [table(["", *(f"{way}, a second" for way in ways), *(f"{way}, us, 50 / 99 %" for way in ways),
                   *(f"{way}, server's us" for way in ways[1:])], rows),
            table(["vm.page-cluster", "way", "all, s", "fill, s", "check, s", "pages out", "pages in"], loads)]


def cold_part(raw):
    parts = []
    if raw.get("mix"):
        parts += ["Threads beside each other (`--mix`); `read-beside-writer` is the reads of one thread:\n", mix_table(raw)]
    if raw.get("cold"):
        parts += ["## Cold memory\n\nPages in the order in which the kernel swapped them out (`zsblk-bench --capture-swap`), in groups of 16 "
                  "(`--cold zstd:9 --frozen lzma:1`). All memory counts: objects, headers, table, descriptors; for zram mem_used_total and 16 "
                  "bytes of table a page.\n", cold_table(raw), "![cold](cold.svg)\n"]
    return parts


def markdown(raw):
    jobs = [job for job in transport.JOBS if any(job in runs for runs in raw["fio"].values())]
    small, large = [job for job in jobs if job.startswith("4k")], [job for job in jobs if job.startswith("128k")]
    depth1 = [job for job in small if job.endswith("depth 1")]
    parts = [
        "<!-- SPDX-License-Identifier: BSD-3-Clause -->",
        f"# zsblk beside its peers\n\nMade by `contrib/bench` on {raw['date']}, zsblk {raw['version']}. "
        f"Every figure is the median of {raw['options']['repeat']} rounds; a round takes all servers one after the other, and "
        "ratios are taken within a round, so that a noisy machine disturbs both sides alike. Raw figures: `raw.json`.\n",
        "## Budgets\n", budget_table(raw),
        "![budgets](budgets.svg)\n",
        "## The machine\n", machine_table(raw),
        "## The pages\n\nResident anonymous pages of programs at work, captured for this run (`contrib/capture`).\n",
        pages_table(raw),
        "## The engine alone\n\n`zsblk-bench` on these pages, 4 KiB a request. Memory counts pool, table, "
        "back-references and descriptors.\n", engine_table(raw), "![engine](engine.svg)\n",
        *cold_part(raw),
        "## Copying the pages\n\n`nbdcopy` over a Unix socket into a new device and out again; for kernel zram, `dd bs=128k` with "
        "O_DIRECT. Memory is the server's resident memory after copying in; for zram, mem_used_total.\n", copy_table(raw),
        "![copy](copy.svg)\n",
        f"## fio\n\nfio's nbd engine, one connection over a Unix socket, nbdkit with {raw['options']['threads']} threads, client and "
        "server on the same cores. Requests a second; in brackets the ratio to `memory malloc`. "
        "fio cannot write real pages by itself, so the writing jobs read one request in twenty (mixed: one in two) of a device full of "
        "captured pages, and write what they read elsewhere.\n", fio_table(raw, "iops", small),
    ]
    if large:
        parts += ["MB/s, 128 KiB requests, depth 4 (writes and mixed at random places):\n", fio_table(raw, "mbps", large)]
    if depth1:
        parts += ["Latency at depth 1, client's side:\n", latency_table(raw, depth1)]
    parts += ["![fio](fio.svg)\n"]
    if raw.get("zram"):
        parts += ["## Kernel zram\n\nThe same pages; 4 KiB random requests by fio's psync engine straight to the device: no socket, no "
                  "second process.\n", zram_table(raw)]
    if raw.get("restart"):
        rows = [[f"{run['size'] / (1 << 30):.0f} GiB", run["held"]["blocks_stored"],
                 f"{run['held']['mem_used_total'] / (1 << 20):.0f}", f"{min(run['ms']):.1f}", f"{median(run['ms']):.1f}",
                 f"{max(run['ms']):.1f}"] for run in raw["restart"]]
        parts += ["## Restart\n\nThe device lives in a System V shared memory segment and is full of captured pages. The server is killed "
                  "(SIGKILL); milliseconds from starting nbdkit again to the answer of the first read, nbdkit's own start-up "
                  "included.\n", table(["device", "blocks stored", "pool, MiB", "fastest", "median", "slowest"], rows)]
    if raw.get("speed"):
        requests, loads = ways_tables(raw["speed"])
        parts += [f"## Zram, NBD and ublk in one virtual machine\n\nOn {raw['vm_date']}, Linux {raw['speed']['kernel']}, 400 MB, two CPUs, one boot: random requests "
                  "of 4 KiB by fio on the kernel's device. \"server's us\" is processor time of the server for a request.\n", requests,
                  "The swap load: two processes fill 450 MB, and read all of it twice in random order.\n", loads]
    return "\n".join(parts)
