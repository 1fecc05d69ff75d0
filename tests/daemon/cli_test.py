#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkd's command line: what is wrong is told with its value and what would be right, and nothing is left behind.

Environment: ZSBLKD, the program; ZSBLKD_FAULTS, the one with a stand-in for the kernel (stand_in.c).
"""
import os
import pathlib
import subprocess
import tempfile

ZSBLKD = os.environ["ZSBLKD"]
FAULTS = os.environ["ZSBLKD_FAULTS"]
count = 0


def point(good, what, said=""):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {what}")
    if not good:
        for line in said.splitlines():
            print(f"#   {line}")


def run(*arguments, rights=True):
    """Its exit status and what it said; without `rights`, as a user that has none."""
    command = [ZSBLKD, *arguments]
    if not rights and os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def refused(what, arguments, *words, rights=True):
    status, said = run(*arguments, rights=rights)
    point(status == 1 and all(word in said for word in words), what, f"status {status}, wanted {words}: {said}")


def test_sizes():
    """Those of the command line are written as those of a file, and a number alone is in bytes. What was understood: what a server is started with."""
    ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for words, wanted in ((["size=1.5G"], ["size=1610612736"]), (["size=ram/8", "reserve=0.5M"], [f"size={ram // 8 // 4096 * 4096}", "reserve=524288"]),
                          (["size=67108864"], ["size=67108864"]), (["size=131072s"], ["size=67108864"]),
                          (["size=min(64M, ram)", "mem-limit=32 + 16"], ["size=67108864", f"mem-limit={48 << 20}"])):
        with tempfile.TemporaryDirectory() as folder:
            nbdkit = pathlib.Path(folder, "nbdkit")
            nbdkit.write_text(f'#!/bin/sh\necho "$*" >{folder}/arguments\n', encoding="ascii")
            nbdkit.chmod(0o755)
            pathlib.Path(folder, "world").write_bytes(bytes(4096))
            done = subprocess.run([FAULTS, "--name", "cli-test", "--transport", "nbd", "--nbdkit", nbdkit, "lock=no", *words], capture_output=True,
                                  text=True, timeout=20, check=False, stdin=subprocess.DEVNULL, cwd=folder,
                                  env=os.environ | {"ZSBLK_TEST_WORLD": f"{folder}/world"})
            file = pathlib.Path(folder, "arguments")
            got = file.read_text(encoding="ascii").split() if file.exists() else []
            point(all(word in got for word in wanted), " ".join(words), f"{got} {done.stderr}")
    one = ["--name", "cli-test"]
    refused("a size that is not understood", [*one, "size=2x"], "size", "'2x'", "suffixes")
    refused("a size below one block", [*one, "size=0.001"], "size", "least is one block")
    refused("a limit that is negative", [*one, "size=1G", "mem-limit=1-2"], "mem-limit", "negative")
    refused("an expression beside a number", [*one, "size=1073741824", "size=ram/2"], "size=ram/2", "already")


def test_nothing_is_left():
    """One that has its folder and its lock when it is refused: with the build that needs no rights and has a folder here."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "world").write_bytes(bytes(4096))
        done = subprocess.run([FAULTS, "--name", "cli-test", "--transport", "nbd", "--nbdkit", "/dev/null", "size=64M"], capture_output=True,
                              text=True, timeout=20, check=False, stdin=subprocess.DEVNULL, cwd=folder,
                              env=os.environ | {"ZSBLK_TEST_WORLD": f"{folder}/world"})
        point(done.returncode == 1 and "nbdkit=/dev/null cannot be run" in done.stderr, "an nbdkit that is none", done.stderr)
        point(os.path.isdir(f"{folder}/run") and not os.listdir(f"{folder}/run"), "nothing was left in the folder of instances",
              str(os.listdir(folder)))


def check(folder, *arguments):
    """Of a daemon that looks for configurations below `folder`/root. Its exit status, output and messages."""
    pathlib.Path(folder, "world").write_bytes(bytes(4096))
    done = subprocess.run([FAULTS, *arguments], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL, cwd=folder,
                          env=os.environ | {"ZSBLK_TEST_WORLD": f"{folder}/world"})
    return done.returncode, done.stdout, done.stderr


def test_check():
    """--check NAME reads all files of an instance, and says each mistake in them."""
    with tempfile.TemporaryDirectory() as folder:
        main_file = pathlib.Path(folder, "root/usr/lib/zsblk/swap0.conf")
        drop_ins = pathlib.Path(folder, "root/etc/zsblk/swap0.conf.d")
        for one in (main_file.parent, drop_ins):
            one.mkdir(parents=True)
        status, out, said = check(folder, "--check", "swap0")
        point(status == 2 and "root/etc/zsblk/swap0.conf: cannot be read: No such file" in said and not out, "a configuration that is not there",
              f"{status} {out} {said}")
        main_file.write_text("size = ram / 2\ntransport = nbd\nlevel = 3\nalgorithm = zstd\n", encoding="utf-8")
        drop_in = drop_ins / "50-here.conf"
        drop_in.write_text("size = 64M\nlevel =\n", encoding="utf-8")
        status, out, said = check(folder, "--check", "swap0")
        reads = ["swap0: reads root/usr/lib/zsblk/swap0.conf", "swap0: reads root/etc/zsblk/swap0.conf.d/50-here.conf"]
        point(status == 0 and not said and out.splitlines()[:2] == reads and "swap0: right; over NBD" in out, "one that is right", f"{status} {out} {said}")
        drop_in.write_text("sise = 64M\nprobe-timeout = soon\n", encoding="utf-8")
        main_file.write_text("size = 2x\n[zram0]\nhello\n", encoding="utf-8")
        status, out, said = check(folder, "--check", "swap0")
        places = [line.split(": ")[1].rsplit("/", 1)[1] for line in said.splitlines()]
        point(status == 1 and not out and "do you mean size?" in said
              and places == ["50-here.conf:1", "50-here.conf:2", "swap0.conf:1", "swap0.conf:2", "swap0.conf:3"],
              "each mistake, with file and line", f"{status} {out} {said}")
        drop_in.write_text("", encoding="utf-8")
        main_file.write_text("size = 1G\nuse = mount\nrequest-timeout = 5\nmem-limit = 16M\nreserve = 32M\n", encoding="utf-8")
        status, out, said = check(folder, "--check", "swap0")
        point(status == 1 and [line.split(": ")[1].rsplit(":", 1)[1] for line in said.splitlines()] == ["5", "3", "2"],
              "each pair that does not go together", f"{status} {out} {said}")
        main_file.write_text("size = 1G\ntransport = nbd\ncold-algorithm = lz4\n", encoding="utf-8")
        status, out, said = check(folder, "--check", "swap0")
        point(status == 0 and "swap0.conf:3: cold-algorithm = lz4" in said and "right" in out, "what is no mistake, and worth a warning",
              f"{status} {out} {said}")
        for arguments in (["--check", "swap0", "swap1"], ["--check", "swap0", "size=1G"], ["--check", "swap0", "--device", "/dev/nbd0"]):
            status, out, said = check(folder, *arguments)
            point(status == 1 and "nothing else beside it" in said, " ".join(arguments), f"{status} {out} {said}")
        status, out, said = check(folder, "--check", "a/b")
        point(status == 1 and "'a/b'" in said, "a name that cannot be", said)
        point(sorted(os.listdir(folder)) == ["root", "world"], "nothing is left", str(os.listdir(folder)))


def main():
    status, said = run("--help")
    point(status == 0 and said.startswith("Usage: zsblkd"), "--help", said)
    status, said = run("--version")
    point(status == 0 and said.startswith("zsblkd "), "--version", said)

    one = ["--name", "cli-test"]
    refused("no name", ["size=1G"], "name")
    refused("no size", one, "size")
    refused("a name that cannot be", ["--name", "a/b", "size=1G"], "--name", "a/b", "letters")
    refused("a word that is no parameter", [*one, "1G"], "'1G' is not KEY=VALUE")
    refused("a parameter twice", [*one, "size=1G", "size=2G"], "size=2G", "already")
    refused("a device that is none", [*one, "--device", "/dev/sda", "size=1G"], "/dev/sda", "/dev/nbd")
    refused("no connections", [*one, "--connections", "0", "size=1G"], "--connections", "0", "1")
    refused("a priority that is too high", [*one, "--priority", "99999", "size=1G"], "99999", "32767")
    refused("a time that is none", [*one, "--probe-timeout", "soon", "size=1G"], "soon")
    refused("an option that is not known", [*one, "--sise"], "sise", "--help")
    refused("two requests at once", ["--stop", "a", "--upgrade", "b"], "one request")
    refused("a request with a second name", ["--stop", "a", "b"], "--stop", "nothing else")
    refused("a request with a setting", ["--status", "a", "--device", "/dev/nbd0"], "--status", "nothing else")
    refused("a request to a name that cannot be", ["--status", "../a"], "--status", "'../a'", "letters")
    refused("a control socket of one's own", [*one, "size=1G", "control=/run/x"], "control=/run/x", "/run/zsblk/NAME/control")
    refused("a share of a processor that there is not", [*one, "size=1G", "background-cpu=0"], "background-cpu", "1 to 100")
    refused("statistics of one's own", [*one, "size=1G", "stats=/run/x"], "stats=/run/x", "/run/zsblk/NAME/stats")
    refused("an algorithm that there is not", [*one, "size=1G", "algorithm=lzo-rle"], "lzo-rle", "use one of")
    refused("a level that it has not", [*one, "size=1G", "algorithm=zstd", "level=900"], "level=900", "zstd")
    refused("too much for a start", [*one, "size=1G", "--recovery-reserve", "1T"], "recovery-reserve", "1T", "a quarter")
    refused("a request to nobody", ["--stop", "cli-test"], "there is no zsblkd for 'cli-test'")
    status, said = run("--status", "cli-test")
    point(status == 3 and "there is no zsblkd for 'cli-test'" in said, "the status of nobody has an exit status of its own", f"{status} {said}")

    refused("a transport that there is not", [*one, "--transport", "iscsi", "size=1G"], "iscsi", "auto, ublk or nbd")
    refused("a device of another transport", [*one, "--transport", "ublk", "--device", "/dev/nbd0", "size=1G"], "/dev/nbd0", "leave one")
    refused("ublk without its server", [*one, "--transport", "ublk", "--ublk-server", "/none", "size=1G", "--check"], "transport = ublk", "/none")
    refused("a request and a check", ["--status", "a", "--check"], "--status", "nothing else")
    status, said = run(*one, "--transport", "nbd", "size=1G", "--check")
    point(status == 0 and "over NBD" in said, "--check", said)
    status, said = run(*one, "--ublk-server", "/none", "size=1G", "--check")
    point(status == 0 and "over NBD, since ublk cannot be used: /none" in said, "--check, with no server for ublk", said)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "swap9.conf")
        file.write_text("size = ram / 2\ndevice = /dev/nbd0\ntransport = ublk\n", encoding="utf-8")
        refused("a file with a device of another transport", ["--config", str(file), "--check"], f"{file}:2", "transport = nbd")
        file.write_text("size = ram / 2\nalgorithm = zstd\nsise = 3\n", encoding="utf-8")
        refused("a configuration file with an unknown key", ["--config", str(file)], f"{file}:3", "sise", "size")
        refused("a file and parameters", ["--config", str(file), "size=1G"], str(file))
        file.write_text("size = ram / 2\n", encoding="utf-8")
        refused("parameters beside a good file", ["--config", str(file), "size=1G"], "size=1G", "in the file")
        refused("an option beside it", ["--config", str(file), "--device", "/dev/nbd1"], "--device", "in the file")
        refused("a file that is not there", ["--config", f"{folder}/none.conf"], "none.conf", "No such file")

    refused("no rights", [*one, "size=1G"], "missing rights", "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_IPC_LOCK",
            "CAP_SYS_NICE", rights=False)
    test_sizes()
    test_check()
    test_nothing_is_left()
    print(f"1..{count}")


main()
