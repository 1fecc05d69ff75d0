#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The completions of zsblkctl, each in its shell: verbs, options, values, and the names of instances that run."""
import fcntl
import pty
import select
import struct
import termios

from ctltest import *

FOLDER = os.path.join(zsblktest.SOURCE, "contrib", "completions")


class Bash:
    name = "bash"

    def complete(self, here, line):
        """All that the last word of the line, which may be empty, could become."""
        script = """
            . "$1"
            read -ra COMP_WORDS <<<"$2"
            [[ $2 == *' ' ]] && COMP_WORDS+=('')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _zsblkctl
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        out = subprocess.run(["bash", "-uc", script, "bash", os.path.join(FOLDER, "zsblkctl.bash"), line], cwd=here.path, env=here.env,
                             stdout=subprocess.PIPE, text=True, check=True).stdout
        return out.split()


class Fish:
    name = "fish"

    def complete(self, here, line):
        out = subprocess.run(["fish", "--no-config", "-c", f"source {FOLDER}/zsblkctl.fish; complete -C \"$argv[1]\"", line],
                             cwd=here.path, env=here.env, stdout=subprocess.PIPE, text=True, check=True).stdout
        return [one.split("\t")[0] for one in out.splitlines()]


class Zsh:
    """It completes on a terminal only: here is one, and what zsh lists is between the line and the next prompt."""
    name = "zsh"

    def complete(self, here, line):
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(here.path)
            os.execvpe("zsh", ["zsh", "-f"], {**here.env, "TERM": "dumb"})
        try:
            # Large enough that nothing is asked before a list, and no line is broken.
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 500, 0, 0))
            setup = f"""fpath=({FOLDER} $fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' verbose no; LISTMAX=10000;
                bindkey '^I' list-choices; unset zle_bracketed_paste; PS1='REA''DY>'"""
            os.write(terminal, (" ".join(setup.split()) + "\n").encode())
            self.read_until(terminal, b"READY>")
            # While more is typed already, zsh lists nothing.
            os.write(terminal, line.encode() + b"\t")
            seen = self.read_until(terminal, b"READY>").decode()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)
        # What was typed is shown, too.
        return re.findall(r"[\w-]+", seen.replace(line, ""))

    @staticmethod
    def read_until(terminal, text):
        seen = b""
        deadline = time.monotonic() + WAIT
        while text not in seen:
            ready = select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]
            assert ready, seen.decode(errors="replace")
            seen += os.read(terminal, 65536)
        return seen


class Path(Here):
    """The program under its own name, first of all in PATH."""

    def __enter__(self):
        super().__enter__()
        os.mkdir(self.path + "/bin")
        os.symlink(ZSBLKCTL_HERE, self.path + "/bin/zsblkctl")
        self.env = {**os.environ, "PATH": f"{self.path}/bin:{os.environ['PATH']}", "HOME": self.path}
        return self


# What is typed, what has to be offered, and what must not be.
LINES = [
    ("zsblkctl init --", ["--yes", "--dry-run", "--force"], ["--json"]),
    ("zsblkctl con", ["convert"], ["compact"]),
    ("zsblkctl rec", ["recompress"], ["list", "stop"]),
    ("zsblkctl res", ["reserve", "resize", "reset", "reset-peak"], ["recompress"]),
    ("zsblkctl --o", ["--output", "--output-all"], ["--older-than"]),
    ("zsblkctl idle swap0 --", ["--older-than", "--timeout", "--control"], ["--json", "--wait"]),
    ("zsblkctl recompress swap0 --t", ["--type", "--timeout", "--threshold"], ["--older-than"]),
    ("zsblkctl recompress swap0 --type hu", ["huge", "huge_idle"], ["idle"]),
    ("zsblkctl group swap0 --", ["--older-than", "--algorithm", "--wait"], ["--type"]),
    ("zsblkctl group swap0 --algorithm ", ["zstd", "lzma"], ["lz4"]),
    ("zsblkctl cold swap0 froz", ["frozen-after=", "frozen-algorithm="], ["yes"]),
    ("zsblkctl stat --format ", ["zram", "mm_stat", "io_stat"], ["list"]),
    ("zsblkctl top --", ["--batch", "--interval", "--view", "--timeout"], ["--json"]),
    ("zsblkctl top --view me", ["memory"], ["devices"]),
    ("zsblkctl algorithm swap0 lz", ["lz4", "lz4hc"], ["zstd"]),
    ("zsblkctl list --output NAME,DISK", ["DISKSIZE"], ["DATA"]),
]


def check(shell, here, line, offered, others):
    got = shell.complete(here, line)
    # Of a list of columns bash and fish have all of it.
    ends = {word.split(",")[-1] for word in got} | set(got)
    # zsh's list is taken apart by words, without the sign behind a key.
    offered = [word.rstrip("=") for word in offered] if shell.name == "zsh" else offered
    for word in offered:
        assert word in ends, f"{shell.name}: {line!r}: {word} is not among {got}"
    for word in others:
        assert word not in ends, f"{shell.name}: {line!r}: {word} is among {got}"


def check_shell(shell):
    need(shell.name)
    with Path() as here:
        for line, offered, others in LINES:
            check(shell, here, line, offered, others)


def check_names(shell):
    need(shell.name)
    if not has_control():
        raise Skip("the plugin has no control=")
    with Path() as here:
        here.serve("swap0", "64M")
        here.serve("work", "64M")
        here.make("dead")
        for line in ("zsblkctl status ", "zsblkctl top -d 1 ", "zsblkctl limit ", "zsblkctl --timeout 5 stop "):
            check(shell, here, line, ["swap0", "work"], ["dead", "list"])
        check(shell, here, "zsblkctl limit swap0 ", ["none"] if shell.name != "fish" else [], ["work"])


@test
def in_bash():
    "bash: verbs, options, values"
    check_shell(Bash())


@test
def in_fish():
    "fish: verbs, options, values"
    check_shell(Fish())


@test
def in_zsh():
    "zsh: verbs, options, values"
    check_shell(Zsh())


@test
def names_in_bash():
    "bash: names of instances"
    check_names(Bash())


@test
def names_in_fish():
    "fish: names of instances"
    check_names(Fish())


@test
def names_in_zsh():
    "zsh: names of instances"
    check_names(Zsh())


main()
