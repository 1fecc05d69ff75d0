#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkctl init: what it measures, what it writes, and what it leaves alone. zsblkd has to take the result."""
import stat

from ctltest import *


class Etc(Here):
    """With a folder of configurations, etc, and without zsblk-bench, so that nothing is measured unless a test wants it."""

    def __enter__(self):
        super().__enter__()
        os.mkdir(self.path + "/bin")
        return self

    def init(self, *words, path=None, **kwargs):
        return self.ctl("init", *words, env={"PATH": path or self.path + "/bin"}, **kwargs)

    def etc(self, *names):
        return os.path.join(self.path, "etc", *names)

    def read(self, name):
        with open(self.etc(name), encoding="ascii") as file:
            return file.read()

    def check(self, file):
        """zsblkd takes it."""
        if "ZSBLKD_FAULTS" in os.environ:
            with open(os.path.join(self.path, "world"), "wb") as world:
                world.write(bytes(4096))
            run(os.environ["ZSBLKD_FAULTS"], "--check", "--config", file, cwd=self.path,
                env={**os.environ, "ZSBLK_TEST_WORLD": os.path.join(self.path, "world")})


@test
def measured():
    "pages of running programs are measured by zsblk-bench"
    if "ZSBLK_BENCH" not in os.environ:
        raise Skip("built without zsblk-bench")
    with Etc() as here:
        os.symlink(os.environ["ZSBLK_BENCH"], here.path + "/bin/zsblk-bench")
        with subprocess.Popen([sys.executable, "-c", "x = [bytes(str(i) * 9, 'ascii') for i in range(200000)]; print(flush=True); __import__('sys').stdin.read()"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as large:
            large.stdout.readline()
            text = here.init("--dry-run")
            large.stdin.close()
        for reason in ("took too long", "you may look into none"):
            if reason in text:
                raise Skip(reason)
        found = re.search(r"^# Measured: \d+ MiB of \d+ process(?:es)?\. Compressed they take 1/([\d.]+) of that with lz4, and 1/([\d.]+) with zstd\.$",
                          text, re.M)
        assert found and float(found[1]) > 1 and float(found[2]) > 1, text
        assert not os.path.exists(here.etc()), "a dry run has made something"


@test
def nobody_to_measure():
    "why nothing was measured: there is no large process, or none that may be looked into"
    alone = ["unshare", "-mpf", "--mount-proc"]
    if os.geteuid() != 0 or subprocess.run([*alone, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("processes of its own need root")
    with Etc() as here:
        contains(here.init("--dry-run", wrap=alone, path=os.environ["PATH"]), "# Nothing was measured: no process here has a MiB")
        os.chmod(here.path, 0o755)
        large = "import subprocess, sys; x = bytearray(b'1') * (4 << 20); sys.exit(subprocess.run(sys.argv[1:]).returncode)"
        text = here.init("--dry-run", wrap=[*alone, sys.executable, "-c", large, *as_nobody()], path=os.environ["PATH"])
        contains(text, "# Nothing was measured: you may look into none of 1 large process; root may.")


@test
def written():
    "the file is shown and written, others stay as they are, and zsblkd takes it"
    with Etc() as here:
        text = here.init("--yes")
        contains(text, "# Nothing was measured: ")
        contains(text, "size = ram * ")
        contains(text, "systemctl enable --now zsblk@swap0" if os.path.isdir("/run/systemd/system") else "zsblkd --config etc/swap0.conf")
        equal("systemctl" in text, os.path.isdir("/run/systemd/system"), "systemctl is named")
        equal(os.listdir(here.etc()), ["swap0.conf"], "files")
        contains(text, here.read("swap0.conf"))
        equal(stat.S_IMODE(os.stat(here.etc("swap0.conf")).st_mode), 0o644, "mode")
        here.check("etc/swap0.conf")
        with open(here.etc("swap0.conf"), "w", encoding="ascii") as file:
            file.write("size = 1G\n")
        contains(here.init("--yes", status=FAILED), "etc/swap0.conf exists already; --force replaces it")
        contains(here.init("--dry-run"), "size = ram * ")
        equal(here.read("swap0.conf"), "size = 1G\n", "the file of before")
        here.init("--yes", "--force")
        contains(here.read("swap0.conf"), "size = ram * ")
        contains(here.init("-y", "work"), "zsblkd --check work")
        equal(sorted(os.listdir(here.etc())), ["swap0.conf", "work.conf"], "files")


@test
def own_swap():
    "the priority is above that of other swap, and an instance that runs already is no other"
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/run"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("mounts of its own need root")
    with Etc() as here:
        with open(here.path + "/swaps", "w", encoding="ascii") as file:
            file.write("Filename Type Size Used Priority\n/dev/ublkb0 partition 1000 0 100\n/dev/sda2 partition 1000 0 -2\n")
        script = "mount -t tmpfs none /run && mount --bind swaps /proc/swaps && mkdir -p /run/zsblk/swap0 && "
        wrap = ["unshare", "-m", "sh", "-c", script + '"$@"', "sh"]
        contains(here.init("--dry-run", wrap=wrap, path=os.environ["PATH"]), "swap-priority = 101")
        wrap[4] = script + 'ln -s "ublkb0 7" /run/zsblk/swap0/disk && "$@"'
        contains(here.init("--dry-run", wrap=wrap, path=os.environ["PATH"]), "swap-priority = 100")


@test
def asked():
    "without --yes people are asked, and nothing is written unless they agree"
    with Etc() as here:
        done = here.ctl_done("init", env={"PATH": here.path + "/bin"})
        contains(done.stderr, "give --yes")
        equal((done.returncode, done.stdout), (WRONG_USE, ""), "exit status and proposal: nothing was measured")
        for answer, is_there in (("", False), ("n", False), ("yes", True)):
            done = subprocess.run(["script", "-qec", f"{ZSBLKCTL_HERE} init", "/dev/null"], input=answer + "\n", text=True, capture_output=True,
                                  cwd=here.path, timeout=WAIT, check=False, env={**os.environ, "PATH": here.path + "/bin:/usr/bin:/bin"})
            contains(done.stdout, "Write etc/swap0.conf? [y/N]")
            equal(os.path.exists(here.etc("swap0.conf")), is_there, f"a file after {answer!r}: {done.stdout}")


@test
def beside():
    "what else belongs to the instance is told: a package's file that is hidden from then on, and drop-ins that count more"
    with Etc() as here:
        for name in ("lib/swap0.conf", "lib/swap0.conf.d/10-a.conf", "run/swap0.conf.d/20-b.conf", "etc/swap0.conf.d/30-c.conf", "etc/swap0.conf.d/note"):
            os.makedirs(os.path.dirname(os.path.join(here.path, name)), exist_ok=True)
            with open(os.path.join(here.path, name), "w", encoding="ascii") as file:
                file.write("size = 1G\n")
        for words in (("--dry-run",), ("--yes",)):
            text = here.init(*words)
            contains(text, "lib/swap0.conf is not read any more once there is etc/swap0.conf")
            for name in ("lib/swap0.conf.d/10-a.conf", "run/swap0.conf.d/20-b.conf", "etc/swap0.conf.d/30-c.conf"):
                contains(text, name + " counts more than etc/swap0.conf")
            assert "note" not in text, text
        text = here.init("--dry-run", "work")
        assert "counts more" not in text and "not read" not in text, text


@test
def refused():
    "names that cannot be, folders of others, and links"
    with Etc() as here:
        for name in ("a/b", "..", "", "swap0.conf.d", "x" * 33):
            contains(here.init("--yes", name, status=WRONG_USE), "cannot be a name")
        contains(here.init("a", "b", status=WRONG_USE), "a word too many")
        contains(here.ctl("doctor", "--force", status=WRONG_USE), "does not take --force")
        os.mkdir(here.etc())
        # A link to nothing is a file of somebody, too.
        os.symlink("elsewhere", here.etc("swap0.conf"))
        contains(here.init("--yes", status=FAILED), "exists already")
        here.init("--yes", "--force")
        assert not os.path.islink(here.etc("swap0.conf")) and not os.path.exists(here.etc("elsewhere"))
        os.chmod(here.etc(), 0o777)
        contains(here.init("--yes", "work", status=NOT_ALLOWED), "etc has mode 0777")
        os.chmod(here.etc(), 0o755)
        os.chmod(here.path, 0o755)
        contains(here.init("--yes", "work", status=NOT_ALLOWED, wrap=as_nobody(), path=os.environ["PATH"]), "run zsblkctl as root")
        equal(os.listdir(here.etc()), ["swap0.conf"], "files")


@test
def not_root():
    "who cannot make the folder is told so before anything is measured, and may look all the same"
    with Etc() as here:
        os.chmod(here.path, 0o755)
        as_other = {"wrap": as_nobody(), "path": os.environ["PATH"]}
        done = subprocess.run([*as_nobody(), ZSBLKCTL_HERE, "init", "--yes"], cwd=here.path, text=True, capture_output=True, timeout=WAIT, check=False)
        contains(done.stderr, "run zsblkctl as root, or with --dry-run")
        equal((done.returncode, done.stdout), (NOT_ALLOWED, ""), "exit status and proposal")
        contains(here.init("--dry-run", **as_other), "size = ram * ")


main()
