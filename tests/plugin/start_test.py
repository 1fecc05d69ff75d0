#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every way to start the server, and what it says about itself."""
import os
import re

from zsblktest import *

SIZE = 2 * GiB
MAN = os.path.join(SOURCE, "man/nbdkit-zsblk-plugin.1")


def serves(*params, **kwargs):
    with Server(*params, **kwargs) as server:
        equal(int(run("nbdinfo", "--size", server.uri)), SIZE, "size")


@test
def size_as_key():
    "size=2G"
    serves("size=2G")


@test
def size_bare():
    "2G without a key"
    serves("2G")


@test
def sizes_with_suffixes():
    "other spellings of the same size"
    for size in ("2048M", "2097152k", str(SIZE), "4194304s"):
        serves(size)


@test
def from_the_build_folder():
    "nbdkit ./zsblk.so size=2G in the build folder"
    build = os.environ.get("ZSBLK_BUILD")
    if not build:
        raise Skip("ZSBLK_BUILD is not set")
    serves("size=2G", plugin="./zsblk.so", cwd=build)


@test
def in_the_background():
    "without -f"
    serves("size=2G", background=True)


@test
def run_option():
    "captive server (--run)"
    out = run("nbdkit", "-U", "-", PLUGIN, "2G", "--run", 'nbdinfo --size "$uri"', env=ENV)
    contains(out, str(SIZE))


@test
def every_algorithm():
    "each algorithm at its lowest, default and highest level"
    facts = dump_plugin()
    for name in facts["zsblk_algorithms"].split():
        low, high = facts[f"zsblk_{name}_level"].split("..")
        for level in {low, facts[f"zsblk_{name}_level_default"], high}:
            serves("2G", f"algorithm={name}", f"level={level}")


@test
def largest_device():
    "a device of 16 TiB, with data at both ends"
    with Server("16T") as server:
        nbd_ = server.connect()
        equal(nbd_.get_size(), 1 << 44, "size")
        data = pages(3, 1)
        for offset in (0, (1 << 43) + 5, (1 << 44) - len(data)):
            nbd_.pwrite(data, offset)
            equal(nbd_.pread(len(data), offset), data, f"data at {offset}")
        nbd_.shutdown()


@test
def smallest_device():
    "a device of one block"
    with Server("4096") as server:
        nbd_ = server.connect()
        data = pages(1, 9)
        nbd_.pwrite(data, 0)
        equal(nbd_.pread(BLOCK, 0), data)
        nbd_.shutdown()


@test
def after_installation():
    "nbdkit zsblk and nbdkit zsblk.so after installation, from any folder"
    need_root()
    need("unshare", "meson")
    build = os.environ.get("ZSBLK_BUILD")
    if not build:
        raise Skip("ZSBLK_BUILD is not set")
    if run("unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt", status=None) != "":
        raise Skip("no private mounts here")
    with folder() as path:
        staged = os.path.join(path, "staged")
        run("meson", "install", "-C", build, "--no-rebuild", "--tags", "plugin", "--destdir", staged)
        found = sorted(run("find", staged, "(", "-type", "f", "-o", "-type", "l", ")").split())
        equal([os.path.basename(f) for f in found], ["nbdkit-zsblk-plugin.so", "zsblk.so"], "files")
        plugin, link = [f[len(staged):] for f in found]
        equal(os.readlink(found[1]), plugin, "target of the link")
        # Put both in their places for the eyes of one shell.
        script = f"""set -e
        mount -t tmpfs none /mnt
        lib={os.path.dirname(link)}
        mkdir /mnt/work
        cp -a {staged} /mnt/up
        mount -t overlay -o lowerdir=$lib,upperdir=/mnt/up$lib,workdir=/mnt/work none $lib
        cd /
        for name in zsblk zsblk.so; do
            for size in 2G size=2G; do
                nbdkit -U - $name $size lock=no --run 'nbdinfo --size "$uri"'
            done
        done"""
        out = run("unshare", "-m", "sh", "-c", script, env=ENV)
        sizes = [line for line in out.splitlines() if "older than 1.34" not in line]
        equal(sizes, [str(SIZE)] * 4, "sizes")


@test
def exports_nothing_else():
    "plugin_init is the only symbol others can see"
    need("nm")
    symbols = run("nm", "-D", "--defined-only", PLUGIN).split()[2::3]
    equal([s for s in symbols if "san" not in s], ["plugin_init"], "symbols")


@test
def links_nothing_of_nbdkit():
    "the plugin is linked against nothing of nbdkit's"
    need("readelf")
    contains_no = re.findall(r"NEEDED.*(nbd\S+|zsblk\S+|zsmalloc\S+)", run("readelf", "-d", PLUGIN))
    equal(contains_no, [], "libraries")


def help_text():
    return run("nbdkit", PLUGIN, "--help", env=ENV).split("plugin: zsblk", 1)[1]


@test
def help_has_every_parameter():
    "--help and the manual page have the same parameters"
    keys = set(re.findall(r"^([a-z-]+)=", help_text(), re.M))
    equal(keys, {"size", "max-size", "algorithm", "level", "mem-limit", "memory", "reserve", "lock", "stats", "control", "control-group",
                 "background-cpu", "cold", "cold-after", "cold-algorithm", "frozen-after", "frozen-algorithm", "cold-rate", "cold-budget"},
          "keys")
    with open(MAN, encoding="utf-8") as f:
        in_man = set(re.findall(r"^\.It (?:Oo )?Cm ([a-z-]+)=", f.read(), re.M))
    equal(in_man, keys, "keys in the manual page")


@test
def levels_agree():
    "--dump-plugin, --help and the manual page tell the same levels"
    facts = dump_plugin()
    text = help_text()
    with open(MAN, encoding="utf-8") as f:
        man = f.read().replace("\\-", "-")
    for name in facts["zsblk_algorithms"].split():
        low, high = facts[f"zsblk_{name}_level"].split("..")
        default = facts[f"zsblk_{name}_level_default"]
        line = re.search(rf"^ +{name} .*$", text, re.M).group(0)
        contains(line, f"{low} (", f"{high} (", f"(default {default})")
        entry = man.split(f".It Cm {name}\n", 1)[1].split(".It", 1)[0]
        contains(entry, f"{low} to {high}", f"default is {default}")


@test
def dump_fields_are_documented():
    "every fact of --dump-plugin is in the manual page"
    with open(MAN, encoding="utf-8") as f:
        man = f.read()
    for field in dump_plugin():
        if field.startswith("zsblk_"):
            name = re.sub(r"zsblk_(lz4|lz4hc|zstd|lzma)_", "zsblk_NAME_", field)
            contains(man, name)


@test
def dump_facts():
    "--dump-plugin tells version, limits and rights"
    facts = dump_plugin()
    equal(facts["name"], "zsblk")
    equal(facts["version"], facts["zsblk_version"], "version")
    equal(facts["thread_model"], "parallel", "thread model")
    equal(facts["errno_is_preserved"], "1")
    equal(facts["magic_config_key"], "size")
    equal(facts["zsblk_max_size"], str(1 << 44))
    equal(facts["zsblk_block_size"], "4096")
    equal(facts["zsblk_algorithm_default"], "lz4")
    for right in ("memory", "io_flusher", "oom_killer"):
        assert facts[f"zsblk_lock_{right}"] in ("yes", "no")


@test
def manual_page_is_clean():
    "mandoc finds nothing wrong in the manual page"
    need("mandoc")
    # The manuals of other packages may not be installed, or not be in mandoc's list.
    complaints = [line for line in run("mandoc", "-T", "lint", "-W", "style", MAN, status=None).splitlines()
                  if "referenced manual not found" not in line and "mandoc.db" not in line]
    equal(complaints, [], "complaints")


main()
