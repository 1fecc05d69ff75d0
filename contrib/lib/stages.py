# SPDX-License-Identifier: BSD-3-Clause
"""Build every configuration, run its tests through meson, and add them up (see contrib/test --help)."""
import argparse
import json
import os
import pathlib
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

import tally

TOP = pathlib.Path(__file__).resolve().parents[2]
PRINT = threading.Lock()
GIVE_WAY = str(TOP / "contrib/lib/give-way")


class Stage:
    """A configuration and the suites that are run in it.

    name      also the build folder's, unless `build` names another stage's
    suites    names of suites; None: every suite there is but vm, lint and deb
    without   names of suites whose tests are left out, whatever other suites they are in
    limit     seconds after which its tests have failed
    short     run the short forms of the tests: everything takes many times as long here, or another stage has the long ones
    builds    what is built beside the programs that its tests need: "all", "installed" or nothing
    inside    the command, without the build folder, that commands are run by: for another system than this machine's
    possible  returns why it cannot be run here, or None
    no_ublk   returns why zsblk-ublk is left out of it here, or None
    """

    def __init__(self, name, summary, suites, options=(), cc="gcc", setup=None, build=None, limit=900,
                 short=False, builds=None, inside=None, without=(), possible=lambda: None, no_ublk=lambda: None):
        self.name, self.summary, self.suites, self.options = name, summary, suites, list(options)
        self.cc, self.setup, self.build, self.limit = cc, setup, build or name, limit
        self.short, self.builds, self.inside, self.without, self.possible = short, builds, inside, without, possible
        self.no_ublk = no_ublk
        self.tally = tally.Tally()
        self.times = []
        self.cpu = 0.0  # seconds of processor time, of builds and tests
        self.build_cpu = 0.0  # of builds
        self.ran = False


def no_command(*names):
    def why():
        missing = [name for name in names if not shutil.which(name)]
        return f"no {' and no '.join(missing)} here" if missing else None
    return why


def has_libraries(triple, *modules):
    env = dict(os.environ, PKG_CONFIG_LIBDIR=f"/usr/lib/{triple}/pkgconfig:/usr/share/pkgconfig")
    return subprocess.run(["pkg-config", "--exists", *modules], env=env, check=False).returncode == 0


def no_ublk_libraries(triple):
    """liburing-dev needs the kernel's headers of that architecture in the version of this machine's, which not every mirror has.
    Without json-c src/host and its tests are left out as well."""
    def why():
        missing = [name for name in ("liburing", "json-c") if not has_libraries(triple, name)]
        return f"{' and '.join(missing)} of {triple} not installed (contrib/setup test)" if missing else None
    return why


def no_i386():
    if os.uname().machine != "x86_64":
        return "the 32-bit build is made on x86-64 only"
    if not has_libraries("i386-linux-gnu", "liblz4", "libzstd", "liblzma", "libxxhash", "cmocka"):
        return "the i386 libraries are not installed (contrib/setup test)"
    return no_command("i686-linux-gnu-gcc")()


def no_cross(triple, emulator):
    """Other machines: a cross compiler, libraries, and an emulator that runs single programs."""
    def why():
        missing = [name for name in (f"{triple}-gcc", emulator) if not shutil.which(name)]
        if missing:
            return f"no {' and no '.join(missing)} here (contrib/setup test)"
        if not has_libraries(triple, "liblz4", "libzstd", "liblzma", "libxxhash", "cmocka"):
            return f"the libraries of {triple} are not installed (contrib/setup test)"
        probe = subprocess.run([f"{triple}-gcc", "-xc", "-", "-o", "/dev/null"], input=b"int main(void) { return 0; }",
                               capture_output=True, check=False)
        return f"{triple}-gcc does not link" if probe.returncode else None
    return why


def cross(name):
    return ["--cross-file", str(TOP / f"contrib/lib/{name}.ini"), "-Dplugin=false", "-Dbench=false", "-Dctl=false", "-Ddaemon=false"]


OTHER_RELEASE = str(TOP / "contrib/lib/other-release")


def no_other_release():
    out = subprocess.run([OTHER_RELEASE, "--why-not"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return out.stdout.strip() or (out.stderr.strip() if out.returncode else None)


SANITIZE = ["-Db_lundef=false", "--buildtype=debugoptimized"]

# Random tests have their full length with gcc. Tests on larger pages of the system are there with gcc, on both Debian releases.
STAGES = [
    Stage("gcc", "gcc -O2", None, limit=1200, builds="all"),
    Stage("vm", "real kernels in virtual machines", ["vm"], build="gcc", limit=2400),
    Stage("lint", "shellcheck, clang-format, cppcheck", ["lint"], build="gcc"),
    Stage("gcc-debug", "gcc -O0", ["unit", "model", "fault", "plugin"], ["--buildtype=debug"], short=True,
          without=["large-pages"]),
    Stage("clang", "clang -O2", ["unit", "model", "fault", "plugin"], cc="clang", builds="installed",
          short=True, without=["large-pages"], possible=no_command("clang")),
    # What is of this machine's kernel and not of the system's is left out.
    Stage("release", "gcc -O2 on the other Debian release", ["unit", "model", "fault", "plugin", "daemon", "interop", "docs"],
          builds="installed", inside=OTHER_RELEASE, short=True, possible=no_other_release),
    # The library that shows larger pages is preloaded, as valgrind's own are; it has been tried without valgrind.
    Stage("valgrind", "gcc -O0 under valgrind", ["unit"], build="gcc-debug", setup="valgrind", short=True, without=["large-pages"],
          possible=no_command("valgrind")),
    # The corpus of the fuzzers is gone through with the same sanitizers below.
    Stage("asan", "gcc, AddressSanitizer and UndefinedBehaviorSanitizer", ["unit", "model", "fault"],
          [*SANITIZE, "-Db_sanitize=address,undefined", "-Dplugin=false"], setup="asan", short=True),
    Stage("tsan", "gcc, ThreadSanitizer", ["unit", "model"], [*SANITIZE, "-Db_sanitize=thread", "-Dplugin=false"],
          setup="tsan", short=True),
    Stage("fuzz", "clang, libFuzzer with both sanitizers", ["fuzz"],
          [*SANITIZE, "-Db_sanitize=address,undefined", "-Dfuzz=true", "-Dplugin=false", "-Dbench=false", "-Dctl=false"],
          cc="clang", setup="asan", possible=no_command("clang")),
    Stage("32bit", "gcc for 32-bit x86, the libraries", ["unit", "model", "fault"],
          ["--cross-file", str(TOP / "contrib/lib/i386.ini"), "-Dplugin=false", "-Dbench=false", "-Dctl=false", "-Ddaemon=false"],
          short=True, possible=no_i386, no_ublk=no_ublk_libraries("i386-linux-gnu")),
    Stage("arm64", "gcc for arm64, the libraries, in emulation", ["unit", "model"], cross("arm64"),
          short=True, possible=no_cross("aarch64-linux-gnu", "qemu-aarch64"), no_ublk=no_ublk_libraries("aarch64-linux-gnu")),
    Stage("s390x", "gcc for s390x (big-endian), the libraries, in emulation", ["unit", "model"], cross("s390x"),
          short=True, possible=no_cross("s390x-linux-gnu", "qemu-s390x"), no_ublk=no_ublk_libraries("s390x-linux-gnu")),
]


def say(*words):
    with PRINT:
        print(*words, flush=True)


class Process:
    """A command in its own process group; counts the processor time of all that it waited for."""

    def __init__(self, command, out, env):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env,
                                        start_new_session=True)
        self.ends = os.pidfd_open(self.process.pid)
        self.cpu = 0.0

    def wait(self, limit):
        """Its exit status, or None when it ran on for `limit` seconds."""
        if not select.select([self.ends], [], [], limit)[0]:
            return None
        if self.process.returncode is None:
            _, status, usage = os.wait4(self.process.pid, 0)
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu = usage.ru_utime + usage.ru_stime
        return self.process.returncode

    def stop(self):
        for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if self.process.returncode is not None:
                return
            os.killpg(self.process.pid, sign)
            self.wait(patience)


RUNNING = set()


def run_limited(command, log, limit, env=None):
    """Run a command: its exit status, or None when it ran out of time; and seconds of processor time."""
    with open(log, "ab") as out:
        process = Process(command, out, env)
    RUNNING.add(process)
    try:
        code = process.wait(limit)
        if code is None:
            process.stop()
        return code, process.cpu
    finally:
        RUNNING.discard(process)
        os.close(process.ends)


def tail(path, lines=40):
    with open(path, encoding="utf-8", errors="replace") as file:
        return "".join(file.readlines()[-lines:])


def suites_of(test):
    return {suite.split(":")[-1] for suite in test["suite"]}


class Runner:
    def __init__(self, args):
        self.args = args
        self.root = pathlib.Path(os.environ["ZSBLK_TEST_ROOT"])
        self.root.mkdir(parents=True, exist_ok=True)
        self.configured = {}  # build folder -> whether that went well
        self.locks = {stage.build: threading.Lock() for stage in STAGES}
        self.beside = False  # virtual machines are running
        self.deadline = time.monotonic() + (args.limit * 60 if args.limit else 10**9)

    def folder(self, stage):
        return self.root / stage.build

    def inside(self, stage, *command):
        return [stage.inside, str(self.folder(stage)), *command] if stage.inside else list(command)

    def log(self, stage):
        return self.root / f"{stage.name}.log"

    def configure(self, stage):
        """True once the stage's build folder is there; made once for the stages that share it."""
        if stage.build in self.configured:
            return self.configured[stage.build]
        owner = next(other for other in STAGES if other.name == stage.build)
        folder, log = self.folder(stage), self.log(stage)
        options = ["-Dtests=true", "-Dlzma=enabled", f"-Dublk={'disabled' if owner.no_ublk() else 'enabled'}", *owner.options]
        # Reports of sanitizers and valgrind name lines, and -g1 has these; without the rest the compiler takes an eighth less. (Cross files
        # have arguments of their own, which these would replace.)
        if "--cross-file" not in owner.options:
            options.append("-Dc_args=-g1")
        if os.environ.get("CI") == "true":
            options.append("--werror")
        stamp = folder / "contrib-test-options"
        wanted = json.dumps([owner.cc, *options])
        well = stamp.exists() and stamp.read_text() == wanted
        if not well:
            shutil.rmtree(folder, ignore_errors=True)
            env = dict(os.environ, CC=owner.cc)
            well = self.run_politely(stage, self.inside(stage, "meson", "setup", str(folder), str(TOP), *options), log, 300,
                                     env) == 0
            if well:
                stamp.write_text(wanted)
        self.configured[stage.build] = well
        return well

    def build(self, stage):
        """True once all is there that the stage's tests take."""
        with self.locks[stage.build]:
            return self.build_alone(stage)

    def build_alone(self, stage):
        log = self.log(stage)
        log.unlink(missing_ok=True)
        if self.configure(stage):
            # Files that change the configuration make ninja configure anew, and then there may be other tests.
            ninja = self.inside(stage, "ninja", "-C", str(self.folder(stage)))
            if self.run_politely(stage, [*ninja, "build.ninja"], log, 300) == 0:
                goals = self.goals(stage)
                if goals == [] or self.run_politely(stage, [*ninja, *(goals or [])], log, 900) == 0:
                    return True
        stage.tally.failed.append((f"{stage.name}: build", tail(log)))
        return False

    def introspect(self, stage, what):
        out = subprocess.run(self.inside(stage, "meson", "introspect", str(self.folder(stage)), f"--{what}"),
                             capture_output=True, text=True, check=True).stdout
        return json.loads(out)

    def goals(self, stage):
        """What ninja has to make for a stage: names, or None for everything."""
        if stage.builds == "all" and not self.args.suites:
            return None
        suites = set(self.chosen(stage))
        needed = {goal for test in self.introspect(stage, "tests") if suites & suites_of(test) for goal in test["depends"]}
        goals = set()
        for target in self.introspect(stage, "targets"):
            if target["id"] in needed or (target["installed"] and stage.builds == "installed"):
                goals |= {os.path.relpath(name, self.folder(stage)) for name in target["filename"]}
        return sorted(goals)

    def run_politely(self, stage, command, log, limit, env=None, nice=15):
        """Give way to the virtual machines: a guest that gets no processor takes that for a stall."""
        env = env or dict(os.environ)
        if self.beside and stage.name != "vm":
            env["ZSBLK_NICE"] = str(nice)
        code, cpu = run_limited([GIVE_WAY, *command], log, limit, env)
        stage.cpu += cpu
        return code

    def chosen(self, stage):
        """The suites to run: those of the stage that were asked for and that have tests."""
        there = {suite for test in self.introspect(stage, "tests") for suite in suites_of(test)}
        suites = {suite for suite in there if suite not in ("lint", "deb") and not suite.startswith("vm")} if stage.suites is None else there & set(stage.suites)
        if self.args.suites:
            suites &= set(self.args.suites)
        if self.args.long and "vm" in suites:
            suites.add("vm-long")
        return sorted(suites)

    def wanted(self, stage):
        if self.args.config and stage.name not in self.args.config:
            return False
        if not self.args.suites:
            return True
        if stage.suites is None:
            return bool(set(self.args.suites) - {"vm", "lint"})
        return bool(set(stage.suites) & set(self.args.suites))

    def run(self, stage, built=None):
        """Build, unless that was done before, and test. Whatever goes wrong is a failure of the stage: stages run in threads."""
        try:
            if self.wanted(stage):
                self.run_wanted(stage, built)
        except Exception:  # pylint: disable=broad-except
            stage.ran = True
            stage.tally.failed.append((f"{stage.name}: it could not be run", traceback.format_exc()))
            self.report(stage)

    def run_wanted(self, stage, built):
        if stage.name == "vm" and self.args.no_vm:
            stage.tally.skipped.append(("vm", "--no-vm was given"))
            return
        reason = stage.possible()
        if reason:
            stage.tally.skipped.append((stage.name, reason))
            say(f"-- {stage.name}: not here: {reason}")
            return
        reason = stage.no_ublk()
        if reason:
            stage.tally.skipped.append(("zsblk-ublk", reason))
        start = time.monotonic()
        if built is None:
            say(f"-- {stage.name}: building ({stage.summary})")
            built = self.build(stage)
        stage.build_cpu = stage.cpu
        if built:
            self.test(stage, start)
        stage.ran = True
        stage.times.append(time.monotonic() - start)
        self.report(stage)

    def test(self, stage, start):
        stage.times.append(time.monotonic() - start)
        suites = self.chosen(stage)
        if not suites:
            stage.tally.skipped.append((stage.name, "none of its suites has tests"))
            return
        say(f"-- {stage.name}: testing {' '.join(suites)}")
        base = f"contrib-{stage.name}"
        result = self.folder(stage) / "meson-logs" / f"{base}-{stage.setup or os.path.basename(GIVE_WAY)}.json"
        result.unlink(missing_ok=True)
        # Tests that give way to the virtual machines, or share the machine with others, may take their time.
        multiplier = 60 if self.args.long else 3
        command = self.inside(stage, "meson", "test", "-C", str(self.folder(stage)), "--no-rebuild", "--logbase", base,
                              "--timeout-multiplier", str(multiplier))
        for suite in suites:
            command += ["--suite", suite]
        for suite in stage.without:
            command += ["--no-suite", suite]
        command += ["--setup", stage.setup] if stage.setup else ["--wrapper", shlex.quote(GIVE_WAY)]
        limit = min(stage.limit * (20 if self.args.long else 1), max(self.deadline - time.monotonic(), 1))
        env = dict(os.environ, ZSBLK_SHORT="1") if stage.short and not self.args.long else None
        # Not as polite as builds: tests wait for programs that have to answer.
        code = self.run_politely(stage, command, self.log(stage), limit, env, nice=5)
        if result.exists():
            stage.tally.add(tally.count_log(result))
        if code is None:
            stage.tally.failed.append((f"{stage.name}: not through within {limit:.0f} s", tail(self.log(stage), 15)))
        elif code and not result.exists():
            stage.tally.failed.append((f"{stage.name}: meson test", tail(self.log(stage))))

    def report(self, stage):
        total = stage.times[-1] if stage.times else 0
        build = stage.times[0] if len(stage.times) > 1 else total
        counts = stage.tally
        say(f"-- {stage.name}: {counts.passed} passed, {len(counts.failed)} failed, {len(counts.skipped)} skipped "
            f"({total:.0f} s, of which {build:.0f} s for the build; {stage.cpu:.0f} s of processor time, "
            f"of which {stage.build_cpu:.0f} s for the build)")
        for name, printed in counts.failed:
            say(f"   FAILED {name}")
            for line in printed.splitlines()[-40:]:
                say(f"     | {line}")


def run_machines(runner, stage, built):
    runner.beside = True
    try:
        runner.run(stage, built)
    finally:
        runner.beside = False


def run_stages(runner, left):
    """Those that nobody has taken yet."""
    while True:
        try:
            stage = left.pop(0)
        except IndexError:
            return
        runner.run(stage)


def fetch_machines(runner, stage):
    """Kernels and root file systems into the cache, which takes the network more than the processors. What goes wrong here,
    the suite's first test tells."""
    run_limited([str(TOP / "tests/vm/vm"), "--prepare"], runner.root / "vm-prepare.log", stage.limit)


def fetch_release(runner, stage):
    """The tree of the other Debian release, likewise. What goes wrong here goes wrong again in the stage, and is told there."""
    run_limited([OTHER_RELEASE, "--prepare"], runner.root / "release-prepare.log", stage.limit)


def run_all(runner):
    """Three stages at a time: tests wait for most of their time. The virtual machines are one of the three, and give their place to others
    when they are through."""
    release = next(stage for stage in STAGES if stage.name == "release")
    if runner.wanted(release) and not release.possible():
        threading.Thread(target=fetch_release, args=(runner, release), daemon=True).start()
    machines = next(stage for stage in STAGES if stage.name == "vm")
    left = list(STAGES)
    built = None
    if runner.wanted(machines) and not runner.args.no_vm and not machines.possible():
        left.remove(machines)
        say(f"-- {machines.name}: building ({machines.summary})")
        fetching = threading.Thread(target=fetch_machines, args=(runner, machines))
        fetching.start()
        built = runner.build(machines)
        fetching.join()

    def run_third():
        if built is not None:
            run_machines(runner, machines, built)
        run_stages(runner, left)

    others = [threading.Thread(target=run_third, daemon=True), threading.Thread(target=run_stages, args=(runner, left), daemon=True)]
    for other in others:
        other.start()
    try:
        run_stages(runner, left)
        for other in others:
            other.join()
    finally:
        left.clear()  # where this was interrupted


def main():
    parser = argparse.ArgumentParser(prog="contrib/test")
    parser.add_argument("suites", nargs="*")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--no-vm", action="store_true")
    parser.add_argument("--config", action="append")
    parser.add_argument("--limit", type=float, default=60, help="minutes")
    args = parser.parse_args()
    if args.long:
        args.limit = None
        os.environ.update(ZSBLK_LONG="1", ZSBLK_VM_LONG="1")
    for name in args.config or []:
        if name not in [stage.name for stage in STAGES]:
            parser.error(f"unknown configuration '{name}'; there are {', '.join(stage.name for stage in STAGES)}")

    start = time.monotonic()
    runner = Runner(args)
    try:
        run_all(runner)
    finally:
        for process in list(RUNNING):
            process.stop()

    total = tally.Tally()
    print("\nconfiguration  passed  failed  skipped  seconds  processor")
    for stage in STAGES:
        if stage.ran or stage.tally.skipped:
            counts = stage.tally
            total.add(counts)
            print(f"{stage.name:13} {counts.passed:7} {len(counts.failed):7} {len(counts.skipped):8} "
                  f"{sum(stage.times[-1:]):8.0f} {stage.cpu:10.0f}   {stage.summary}")
    if total.skipped:
        print("\nskipped:")
        for stage in STAGES:
            for name, reason in stage.tally.skipped:
                print(f"  {stage.name}: {name}: {reason}")
    if total.failed:
        print("\nfailed:")
        for stage in STAGES:
            for name, _ in stage.tally.failed:
                print(f"  {stage.name}: {name}")
    print(f"\n{time.monotonic() - start:.0f} s in all; logs are in {runner.root.name}/ and its meson-logs folders\n")
    print(f"{total.passed} passed, {len(total.failed)} failed, {len(total.skipped)} skipped")
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
