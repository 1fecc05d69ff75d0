# SPDX-License-Identifier: BSD-3-Clause
"""The plots of the report, as SVG. Colours and order are the same in all of them."""
import re
from statistics import median

import matplotlib
matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

from bench import budgets, engine, transport  # noqa: E402

matplotlib.rcParams.update({"svg.hashsalt": "zsblk", "svg.fonttype": "none", "font.size": 9,
                            "axes.spines.top": False, "axes.spines.right": False})
SPDX = "<!-- SPDX-License-Identifier: BSD-3-Clause -->"
COLOURS = {"zsblk lz4": "#0b6e4f", "zsblk lz4, cold=yes": "#2f9e77", "zsblk zstd:1": "#6bbf9c", "memory malloc": "#c0532f", "memory sparse": "#e08d6d",
           "memory zstd": "#7a5195", "null": "#b8b8b8", "kernel zram lz4": "#2f4b7c", "kernel zram lzo-rle": "#7f93b8"}


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).replace("<svg ", SPDX + "\n<svg ", 1), encoding="utf-8")


def legend(axis, columns):
    """Above the bars, where none can be hidden by it."""
    axis.legend(fontsize=7, frameon=False, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1))


def grouped(axis, groups, series):
    """series: name -> one value for each group."""
    width = 0.8 / max(len(series), 1)
    for index, (name, values) in enumerate(series.items()):
        places = [at + (index - (len(series) - 1) / 2) * width for at in range(len(groups))]
        axis.bar(places, values, width, label=name, color=COLOURS.get(name))
    axis.set_xticks(range(len(groups)), groups)


def budget_plot(raw, path):
    rows = [row for row in budgets.rows(raw) if row.value is not None]
    # On one scale: above 1 is better than asked for, whichever way the bound points.
    scores = [row.budget / row.value if row.at_most else row.value / row.budget for row in rows]
    figure, axis = pyplot.subplots(figsize=(8, 0.32 * len(rows) + 1))
    colours = ["#0b6e4f" if row.verdict == "met" else "#c0532f" for row in rows]
    axis.barh(range(len(rows)), scores, color=colours)
    axis.axvline(1, color="black", linewidth=1)
    axis.set_yticks(range(len(rows)), [row.what for row in rows], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlim(0, min(max([2, *scores]), 4))
    axis.set_xlabel("against the budget: 1 is what was asked for, more is better")
    save(figure, path)


def engine_plot(raw, path):
    runs = [run for run in raw["engine"] if run["threads"] == 1]
    names = [engine.label(run) for run in runs]
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3))
    grouped(axes[0], names, {"engine": [run["store_mbps"] for run in runs],
                             "bare codec": [run["codec_store_mbps"] for run in runs]})
    axes[0].set_ylabel("store, MB/s, one thread")
    grouped(axes[1], names, {"engine": [run["load_mbps"] for run in runs],
                             "bare codec": [run["codec_load_mbps"] for run in runs]})
    axes[1].set_ylabel("load, MB/s, one thread")
    grouped(axes[2], names, {"pages / compressed": [run["ratio"] for run in runs],
                             "pages / memory, all in": [run["memory_ratio"] for run in runs]})
    axes[2].set_ylabel("ratio")
    for axis in axes:
        axis.tick_params(axis="x", rotation=30)
        legend(axis, 2)
    save(figure, path)


def copy_plot(raw, path):
    size = raw["pages"]["total"]["pages"] * 4096 / 1e6
    figure, axis = pyplot.subplots(figsize=(8, 3.2))
    grouped(axis, ["in", "out"], {name: [size / median(runs[way]) for way in ("in", "out")]
                                  for name, runs in raw["copy"].items()})
    axis.set_ylabel("MB/s")
    legend(axis, 4)
    save(figure, path)


def fio_plot(raw, path):
    jobs = [job for job in transport.JOBS if job.startswith("4k") and all(job in runs for runs in raw["fio"].values())]
    figure, axis = pyplot.subplots(figsize=(9, 3.4))
    grouped(axis, [job.replace("4k ", "").replace(", ", "\n") for job in jobs],
            {name: [median(run["iops"] for run in runs[job]) / 1e3 for job in jobs] for name, runs in raw["fio"].items()})
    axis.set_ylabel("thousand 4 KiB requests a second")
    legend(axis, 4)
    save(figure, path)


def cold_plot(raw, path):
    """Memory for the same pages, all in."""
    run = raw["cold"]
    now = run["results"][0]
    bars = {"kernel zram\nlz4": run.get("zram_lz4_bytes"), "kernel zram\nzstd": run.get("zram_zstd_bytes"),
            "zsblk lz4": now["hot_bytes"], "groups of\nzstd:9": now["cold_bytes"], "groups of\nlzma:1": now["frozen_bytes"]}
    bars = {name: value / 1e6 for name, value in bars.items() if value}
    figure, axis = pyplot.subplots(figsize=(7, 3))
    places = axis.bar(list(bars), list(bars.values()), 0.6,
                      color=["#2f4b7c" if name.startswith("kernel") else "#0b6e4f" for name in bars])
    axis.bar_label(places, fmt="%.1f")
    axis.set_ylabel(f"MB for {run['pages'] * 4096 / 1e6:.0f} MB of pages")
    save(figure, path)


def draw(raw, folder):
    if raw.get("cold"):
        cold_plot(raw, folder / "cold.svg")
    budget_plot(raw, folder / "budgets.svg")
    engine_plot(raw, folder / "engine.svg")
    copy_plot(raw, folder / "copy.svg")
    fio_plot(raw, folder / "fio.svg")
