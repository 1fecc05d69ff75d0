#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkctl convert: what configurations of zram become, and that nothing is lost without a word. zsblkd has to take every result."""
from ctltest import *

WARNED = 6


class Files(Here):
    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="utf-8") as file:
            file.write(text)
        return name

    def convert(self, name, text, *words, status=DONE):
        """The lines without remarks, and the complaints, each without the program's name."""
        done = self.ctl_done("convert", self.write(name, text), *words)
        equal(done.returncode, status, f"exit status of {text!r}: {done.stdout}{done.stderr}")
        said = done.stderr.splitlines()
        assert all(line.startswith("zsblkctl: ") for line in said), done.stderr
        if status in (DONE, WARNED):
            self.check(done.stdout)
        return [line for line in done.stdout.splitlines() if not line.startswith("#")], [line.removeprefix("zsblkctl: ") for line in said]

    def check(self, text):
        if "ZSBLKD_FAULTS" in os.environ:
            self.write("swap0.conf", text + "transport = nbd\n")
            self.write("world", "\0" * 4096)
            run(os.environ["ZSBLKD_FAULTS"], "--config", "swap0.conf", "--check", cwd=self.path,
                env={**os.environ, "ZSBLK_TEST_WORLD": os.path.join(self.path, "world")})


@test
def zramswap():
    "zramswap: its settings, its defaults, and what the shell would have to compute"
    with Files() as here:
        # As the package brings it: everything is a comment.
        equal(here.convert("zramswap", "# Compression algorithm selection\n#ALGO=lz4\n\n#PERCENT=50\n#SIZE=256\n#PRIORITY=100\n"),
              (["size = 256M", "swap-priority = 100"], []), "defaults")
        equal(here.convert("z", "ALGO=zstd\nPERCENT=60\nSIZE=512\nPRIORITY=5\n"),
              (["size = ram * 60 / 100", "algorithm = zstd", "swap-priority = 5"], []), "PERCENT comes before SIZE")
        equal(here.convert("z", "  ALGO=\"lz4hc\"   # quotes\nSIZE='512'\nPERCENT=\n"),
              (["size = 512M", "algorithm = lz4hc", "swap-priority = 100"], []), "quotes")
        lines, said = here.convert("z", "ALGO=lzo-rle\nSIZE=$((1024 * 2))\nPRIORITY=high\nCORES=4\nexport X=1\nrm -rf /\n", status=WARNED)
        equal(lines, ["size = 256M", "algorithm = lz4", "swap-priority = 100"], "what is left")
        for line, (place, word) in zip(said, [("z:1: ", "zsblk has no lzo"), ("z:2: ", "the shell's to compute"), ("z:3: ", "PRIORITY=high is no number"),
                                              ("z:4: ", "CORES"), ("z:5: ", "no assignment"), ("z:6: ", "is not run")], strict=True):
            assert line.startswith(place) and word in line, (line, place, word)


@test
def generator():
    "zram-generator: sizes, algorithm, swap and file systems"
    with Files() as here:
        usual = ["size = min(ram / 2, 4096)"]
        for text, wanted in [
                ("[zram0]\n", usual),
                ("; c\n# c\n[other]\nx = 1\n[zram0]\nzram-size = ram / 4\nzram-size = max(ram * 0.25, 512)\n", ["size = max(ram * 0.25, 512)"]),
                ("[zram0]\ncompression-algorithm = zstd(level=3)\nswap-priority = -1\n", usual + ["algorithm = zstd", "level = 3", "swap-priority = -1"]),
                ("[zram0]\nzram-resident-limit = ram / 8\noptions = discard\nhost-memory-limit = none\nfs-type = swap\n", usual + ["mem-limit = ram / 8"]),
                ("[zram0]\nzram-resident-limit = 0\nwriteback-device =\n", usual),
                ("[zram0]\nzram-resident-limit = 0.0\n", usual),
                ("[zram0]\nswap-priority = " + "0" * 300 + "7\n", usual + ["swap-priority = 7"]),
                ("[zram0]\nzram-fraction = 0.10\nmax-zram-size = 2048\nzram-size = ram\n", ["size = min(ram * 0.10, 2048)"]),
                ("[zram0]\nmax-zram-size = none\n", ["size = ram * 0.5"]),
                ("[zram0]\nmount-point = /srv/x\n", usual + ["mount-point = /srv/x", "fs-type = ext2"]),
                ("[zram0]\nmount-point = /srv/x\nfs-type = ext4\noptions = noatime,discard\n",
                 usual + ["mount-point = /srv/x", "fs-type = ext4", "options = noatime,discard"]),
                ("[zram0]\nmount-point = /srv/x\noptions =\n", usual + ["mount-point = /srv/x", "fs-type = ext2", "options = defaults"])]:
            equal(here.convert("g.conf", text), (wanted, []), text)


@test
def lost():
    "what zsblk has not, or does in another way, is told with its line"
    with Files() as here:
        usual = ["size = min(ram / 2, 4096)"]
        for text, wanted, *words in [
                ("[zram0]\nhost-memory-limit = 9048\n", usual, ":2: host-memory-limit = 9048"),
                ("[zram0]\nmemory-limit = 9048\n", usual, ":2: memory-limit = 9048"),
                ("[zram0]\nzram-size = 4G\n", usual, ":2: zram-size = 4G", "powers of 1024"),
                ("[zram0]\nzram-size = ram ^ 0.5\n", usual, ":2: ", "ram ^ 0.5"),
                ("[zram0]\nzram-size = int(ram / 3)\n", usual, ":2: ", "int("),
                ("[zram0]\nzram-size =\n", usual, ":2: zram-size = "),
                ("set!more = nproc\n[zram0]\nzram-size = more * 100\n", usual, ":1: 'set!more", "runs no program"),
                ("[zram0]\nzram-resident-limit = 1e3\n", usual, ":2: zram-resident-limit = 1e3"),
                ("[zram0]\nzram-fraction = half\n", usual, ":2: 'half'"),
                ("[zram0]\nzram-fraction = 1.2.3\n", usual, ":2: '1.2.3'"),
                ("[zram0]\nzram-fraction = 0.5.\n", usual, ":2: '0.5.'"),
                ("[zram0]\nzram-fraction = 0." + "1" * 300 + "\n", usual, ":2: '0.111"),
                ("[zram0]\nmax-zram-size = 4096.\n", usual, ":2: '4096.'"),
                ("[zram0]\nzram-size = ram / 1.2.3\n", usual, ":2: zram-size = ram / 1.2.3"),
                ("[zram0]\ncompression-algorithm = lzo-rle\n", usual + ["algorithm = lz4"], ":2: ", "zsblk has no lzo"),
                ("[zram0]\ncompression-algorithm = snappy\n", usual, ":2: ", "snappy is not known"),
                ("[zram0]\ncompression-algorithm = lz4 zstd(level=9) (type=idle)\n", usual + ["algorithm = lz4"], ":2: zstd(level=9) (type=idle)", "frozen-after"),
                ("[zram0]\ncompression-algorithm = lz4hc(level=12,dict=/x)\n", usual + ["algorithm = lz4hc"], ":2: level=12", ":2: dict=/x"),
                ("[zram0]\noptions =\n", usual, ":2: options = ", "discard"),
                ("[zram0]\nwriteback-device = /dev/sdb\n", usual, ":2: writeback-device = /dev/sdb"),
                ("[zram0]\nfs-type = xfs\n", usual + ["use = nothing"], ":2: fs-type = xfs", "mkfs.xfs"),
                ("[zram0]\nmount-point = /srv/a #b\n", usual + ["use = nothing"], ":2: mount-point"),
                ("[zram0]\nmount-point = /srv/" + "a" * 250 + "\n", usual + ["use = nothing"], ":2: mount-point = /srv/aaa"),
                ("[zram0]\nmount-point = /srv/" + "a" * 1100 + "\n", usual, ":2: 'mount-point = /srv/aa", "longer than 1023 bytes"),
                ("[zram0]\nmount-point = /\n", usual + ["use = nothing"], ":2: mount-point = /"),
                ("[zram0]\nmount-point = /a\nfs-type = a/b\n", usual + ["use = nothing"], ":3: fs-type = a/b"),
                ("[zram0]\nmount-point = /a\nfs-type = swap\n", usual + ["use = nothing"], ":3: fs-type = swap"),
                ("[zram0]\nmount-point = /a\noptions = " + "b," * 120 + "\n", usual + ["mount-point = /a", "fs-type = ext2"], ":3: options = b,b,"),
                ("[zram0]\nmount-point = /a\noptions = #b\n", usual + ["mount-point = /a", "fs-type = ext2"], ":3: options = #b"),
                ("[zram0]\nswap-priority = high\n", usual, ":2: swap-priority = high"),
                ("[zram0]\nzram-sise = 3\n", usual, ":2: ", "'zram-sise'"),
                ("[zram0]\nwriteback-device = /dev/\x1b[31m\n", usual, "/dev/?[31m"),
                ("[zram0]\nfoo\x9b31mbar\u00e4 = 1\n", usual, "'foo??31mbar\u00e4'")]:
            lines, said = here.convert("g.conf", text, status=WARNED)
            equal(lines, wanted, text)
            for word in words:
                assert any(word in line for line in said), (text, word, said)


@test
def no_device():
    "a device of size 0, which zram-generator does not make, is no device of zsblk's either"
    with Files() as here:
        for text, word in [("zram-size = 0\n", "zram-size = 0,"), ("zram-size = 0.00\n", "zram-size"), ("zram-size = -1\n", "zram-size"),
                           ("zram-size = ram\nzram-fraction = 0\n", "zram-fraction = 0"), ("max-zram-size = 0\n", "max-zram-size = 0")]:
            lines, said = here.convert("g.conf", "[zram0]\n" + text, status=FAILED)
            assert not lines and word in said[0] and "makes no device" in said[0], said
        # The older keys take the place of the size.
        equal(here.convert("g.conf", "[zram0]\nzram-size = 0\nmax-zram-size = 100\n")[0], ["size = min(ram * 0.5, 100)"], "an older key")


@test
def long_files():
    "nothing is left out without a word, however long the file is; a long comment says nothing"
    with Files() as here:
        comment = "# " + "c" * 1998 + "\n"
        equal(here.convert("g.conf", comment + "[zram0]\nswap-priority = 5\n"), (["size = min(ram / 2, 4096)", "swap-priority = 5"], []), "a long comment")
        lines, said = here.convert("g.conf", "[zram0]\n" + comment * 600 + "swap-priority = 5\n", status=FAILED)
        assert not lines and "g.conf cannot be read: File too large" in said[0], said


@test
def paths():
    "a path is a part of a remark, whatever is in it"
    with Files() as here:
        for name, text in (("x\nnbdkit = evil", "[zram0]\n"), ("y\rz\x9b\n", "SIZE=256\n"), ("a" * 240, "[zram0]\n"), ("b" * 240, "SIZE=256\n")):
            done = self_checked(here, name, text)
            equal([line for line in done if not line.startswith("#")][0].split()[0], "size", "the first line")
            equal(len([line for line in done if line.startswith("#")]), 1, "remarks")


def self_checked(here, name, text):
    done = here.ctl("convert", here.write(name, text))
    here.check(done)
    return done.splitlines()


@test
def devices():
    "of several devices one has to be chosen"
    with Files() as here:
        text = "[zram0]\nzram-size = 100\n[zram1]\nzram-size = 200\nmount-point = /a\n[zram0]\nswap-priority = 3\n"
        equal(here.convert("g.conf", text, "zram0")[0], ["size = 100", "swap-priority = 3"], "a section in two parts")
        equal(here.convert("g.conf", text, "zram1")[0], ["size = 200", "mount-point = /a", "fs-type = ext2"], "the other")
        lines, said = here.convert("g.conf", text, status=WRONG_USE)
        assert not lines and "zram0, zram1" in said[0], said
        lines, said = here.convert("g.conf", text, "zram2", status=WRONG_USE)
        assert not lines and "no [zram2]" in said[0], said


@test
def files():
    "which of both it is, pipes, and files that are neither"
    with Files() as here:
        equal(here.convert("zram-generator.conf", "[zram0]\n")[0], ["size = min(ram / 2, 4096)"], "by its name")
        lines, said = here.convert("zram-generator.conf", "# nothing\n", status=FAILED)
        assert not lines and "no section [zramN]" in said[0], said
        lines, said = here.convert("notes", "hello = 3\n", status=FAILED)
        assert not lines and "neither" in said[0], said
        contains(here.ctl("convert", "nothing", status=FAILED), "nothing cannot be read: No such file")
        contains(here.ctl("convert", ".", status=FAILED), "Is a directory")
        contains(here.ctl("convert", status=WRONG_USE), "words are missing: FILE")
        contains(here.ctl("convert", "a", "b", "c", status=WRONG_USE), "a word too many")
        contains(here.ctl("convert", "/dev/zero", status=FAILED), "File too large")
        # Drop-ins of zram-generator come behind the main file.
        done = subprocess.run([ZSBLKCTL_HERE, "convert", "/dev/stdin"], input="[zram0]\nzram-size = 100\n[zram0]\nzram-size = 200\n", text=True,
                              capture_output=True, check=True, timeout=WAIT)
        contains(done.stdout, "size = 200\n")


main()
