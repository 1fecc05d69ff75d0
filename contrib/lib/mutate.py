# SPDX-License-Identifier: BSD-3-Clause
"""Deliberate faults, and whether the tests catch them (see contrib/mutate --help)."""
import argparse
import dataclasses
import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

TOP = pathlib.Path(__file__).resolve().parents[2]
TABLE = "tests/mutation/faults.toml"
ADDRESS = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dplugin=false"]


@dataclasses.dataclass
class Fault:
    """A change to a source file that tests have to notice.

    name   unique, PART-WHAT
    file   path from the top of the tree
    why    what the fault would do to users
    old    text that is there exactly once
    new    what takes its place
    tests  "SUITE/TEST" of meson, each of which has to fail
    asan   built with sanitizers: without them it may go unnoticed
    """
    name: str
    file: str
    why: str
    old: str
    new: str
    tests: list
    asan: bool = False

    def problem(self, top):
        """Why it cannot be put in; None: it can."""
        path = top / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        if not self.old.strip() or self.old == self.new:
            return "nothing would change"
        if not self.tests or not all(re.fullmatch(r"[\w-]+/[\w-]+", test) for test in self.tests):
            return "tests are named SUITE/TEST, and there has to be one"
        count = path.read_text(encoding="utf-8").count(self.old)
        return None if count == 1 else f"the old text is in {self.file} {count} times, and not once"


def load(top=TOP):
    with open(top / TABLE, "rb") as file:
        return [Fault(**entry) for entry in tomllib.load(file)["fault"]]


def problems(faults, top=TOP, known=None):
    """What is wrong with the table; `known`: the tests there are, "SUITE/TEST"."""
    wrong = [f"{fault.name}: {fault.problem(top)}" for fault in faults if fault.problem(top)]
    names = [fault.name for fault in faults]
    wrong += [f"{name}: there are two of that name" for name in sorted(set(names)) if names.count(name) > 1]
    if known is not None:
        wrong += [f"{fault.name}: there is no test {test}" for fault in faults for test in fault.tests if test not in known]
    return wrong


def tests_of(build):
    """Every test of a build folder, as "SUITE/TEST" -> what meson knows of it."""
    out = subprocess.run(["meson", "introspect", str(build), "--tests"], capture_output=True, text=True, check=True).stdout
    return {f"{suite.split(':')[-1]}/{test['name']}": test for test in json.loads(out) for suite in test["suite"]}


def copy_sources(to):
    """What git knows, and what is new and not ignored; of a tree without git, all but builds."""
    found = subprocess.run(["git", "-C", str(TOP), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           capture_output=True, check=False)
    names = [name for name in found.stdout.decode().split("\0") if name and (TOP / name).is_file()]
    if found.returncode or not names:
        shutil.copytree(TOP, to, ignore=shutil.ignore_patterns("build*", ".git", "__pycache__"))
        return
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, to / name)


class Build:
    """A build folder of the copy, for the tests of some faults."""

    def __init__(self, top, name, options):
        self.top, self.folder = top, top / name
        self.setup = [] if name != "build-asan" else ["--setup", "asan"]
        self.environment = dict(os.environ, CCACHE_NOHASHDIR="1", CCACHE_BASEDIR=str(top))
        self.call(["meson", "setup", str(self.folder), str(top), "-Dtests=true", *options])
        self.tests = tests_of(self.folder)
        out = self.call(["meson", "introspect", str(self.folder), "--targets"])
        self.targets = {target["id"]: [os.path.relpath(name, self.folder) for name in target["filename"]]
                        for target in json.loads(out)}

    def call(self, command):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment)
        if done.returncode:
            sys.exit(f"{' '.join(command)}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        return done.stdout

    def make(self, tests):
        """Build what tests need: None, or what went wrong."""
        needed = sorted({name for test in tests for goal in self.tests[test]["depends"] for name in self.targets[goal]})
        command = ["ninja", "-C", str(self.folder), *needed]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment)
        return None if done.returncode == 0 else done.stdout[-2000:]

    def run(self, tests):
        """Run tests: name -> (meson's word for how it went, where it failed)."""
        results = {}
        for suite in sorted({test.split("/")[0] for test in tests}):
            names = [test.split("/")[1] for test in tests if test.startswith(suite + "/")]
            log = self.folder / "meson-logs" / ("testlog" + ("-asan" if self.setup else "") + ".json")
            log.unlink(missing_ok=True)
            subprocess.run(["meson", "test", "-C", str(self.folder), "--no-rebuild", *self.setup, "--suite", suite, *names],
                           stdin=subprocess.DEVNULL, capture_output=True, check=False, env=self.environment)
            if log.exists():
                for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                    entry = json.loads(line)
                    name = entry["name"].split(" / ")[-1].split(":")[-1]
                    results[f"{suite}/{name}"] = (entry["result"], first_failure(entry))
        return {test: results.get(test, ("MISSING", "")) for test in tests}


def first_failure(entry):
    """The point of a test that failed, or its last words."""
    text = (entry.get("stdout") or "") + "\n" + (entry.get("stderr") or "")
    point = re.search(r"^not ok \d+ *-? *(.*)$", text, flags=re.M)
    if point:
        return point[1]
    summary = re.search(r"^SUMMARY: (.*)$", text, flags=re.M)
    lines = [line for line in text.splitlines() if line.strip()]
    return summary[1] if summary else (lines[-1][:120] if lines else "")


class Runner:
    def __init__(self, faults, folder):
        self.faults, self.top = faults, folder / "zsblk"
        copy_sources(self.top)
        self.builds = {}

    def build_of(self, fault):
        name = "build-asan" if fault.asan else "build"
        if name not in self.builds:
            self.builds[name] = Build(self.top, name, ADDRESS if fault.asan else [])
        return self.builds[name]

    def check_without_faults(self):
        """Tests that fail as it is show nothing."""
        for asan in (False, True):
            of_build = [fault for fault in self.faults if fault.asan == asan]
            tests = sorted({test for fault in of_build for test in fault.tests})
            if not tests:
                continue
            build = self.build_of(of_build[0])
            wrong = problems(of_build, self.top, build.tests)
            if wrong:
                sys.exit("\n".join(wrong))
            broken = build.make(tests)
            if broken:
                sys.exit(f"the build fails without any fault:\n{broken}")
            failed = [test for test, (how, _) in build.run(tests).items() if how != "OK"]
            # Once more: what shares its machine may be slow.
            failed = [f"{test}: {how} {where}" for test, (how, where) in build.run(failed).items() if how != "OK"]
            if failed:
                sys.exit("these fail without any fault:\n" + "\n".join(failed))

    def try_fault(self, fault):
        """("caught", "hung", "survived" or "broken", by what)."""
        path, build = self.top / fault.file, self.build_of(fault)
        whole = path.read_text(encoding="utf-8")
        path.write_text(whole.replace(fault.old, fault.new), encoding="utf-8")
        try:
            broken = build.make(fault.tests)
            if broken:
                return "broken", [broken]
            results = build.run(fault.tests)
        finally:
            path.write_text(whole, encoding="utf-8")
        passed = [test for test, (how, _) in results.items() if how == "OK"]
        if passed:
            return "survived", passed
        hung = all(how == "TIMEOUT" for how, _ in results.values())
        return "hung" if hung else "caught", [f"{test}: {where or how}" for test, (how, where) in results.items()]

    def run(self):
        self.check_without_faults()
        results = []
        for fault in self.faults:
            how, by = self.try_fault(fault)
            results.append({"name": fault.name, "file": fault.file, "why": fault.why, "result": how, "by": by})
            print(f"{how:9} {fault.name}: {'; '.join(by)}", flush=True)
        return results


def main():
    parser = argparse.ArgumentParser(prog="contrib/mutate")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--output")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()

    faults = load()
    for name in args.names:
        if not any(fnmatch.fnmatchcase(fault.name, name) for fault in faults):
            parser.error(f"no fault is called '{name}'; --list has the names")
    if args.names:
        faults = [fault for fault in faults if any(fnmatch.fnmatchcase(fault.name, name) for name in args.names)]
    if args.list:
        for fault in faults:
            print(f"{fault.name:32} {fault.file:28} {' '.join(fault.tests)}")
        return
    wrong = problems(faults)
    if wrong:
        sys.exit("\n".join(wrong))
    if args.check:
        print(f"{len(faults)} faults can be put in")
        return
    with tempfile.TemporaryDirectory(prefix="zsblk-mutate-") as folder:
        os.chmod(folder, 0o755)  # some tests run as an ordinary user
        results = Runner(faults, pathlib.Path(folder)).run()
    if args.output:
        pathlib.Path(args.output).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    counts = {how: sum(result["result"] == how for result in results) for how in ("caught", "hung", "survived", "broken")}
    print(f"\n{len(results)} faults: " + ", ".join(f"{n} {how}" for how, n in counts.items() if n))
    sys.exit(1 if counts["survived"] or counts["broken"] else 0)


if __name__ == "__main__":
    main()
