# SPDX-License-Identifier: BSD-3-Clause
"""A control group for a server under test."""
from zsblktest import *


class Group:
    """A control group of our own, of either version, with a memory limit."""

    def __init__(self, limit):
        need_root()
        folder, self.names = self._find()
        self.path = os.path.join(folder, f"zsblk-test-{os.getpid()}-{random.SystemRandom().randrange(1 << 30)}")
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise Skip(f"no control group can be made in {folder}: {error.strerror}") from error
        try:
            self.set_limit(limit)
        except OSError as error:
            os.rmdir(self.path)
            raise Skip(f"{self.path}: no memory limit can be set: {error.strerror}") from error

    @staticmethod
    def _find():
        """The folder of our own group in the hierarchy with the memory controller, or the one above."""
        with open("/proc/self/cgroup", encoding="utf-8") as f:
            groups = {c: p for _, c, p in (line.rstrip("\n").split(":", 2) for line in f)}
        v1 = next((c for c in groups if "memory" in c.split(",")), None)
        with open("/proc/self/mounts", encoding="utf-8") as f:
            for line in f:
                _, point, kind, options = line.split()[:4]
                if v1 is not None and kind == "cgroup" and "memory" in options.split(","):
                    return point + groups[v1], ("memory.limit_in_bytes", "memory.usage_in_bytes")
                if v1 is None and kind == "cgroup2":
                    # A group with processes has no groups with controllers below it.
                    return os.path.dirname(point + groups.get("", "/")), ("memory.max", "memory.current")
        raise Skip("there is no hierarchy with the memory controller")

    def set_limit(self, limit):
        with open(os.path.join(self.path, self.names[0]), "w", encoding="ascii") as f:
            f.write(str(limit))

    def usage(self):
        with open(os.path.join(self.path, self.names[1]), encoding="ascii") as f:
            return int(f.read())

    def stat(self):
        """What memory.stat says, by name."""
        with open(os.path.join(self.path, "memory.stat"), encoding="ascii") as f:
            return {name: int(value) for name, value in (line.split() for line in f)}

    def kills(self):
        """How often the kernel killed somebody for the limit."""
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError), open(os.path.join(self.path, name), encoding="ascii") as f:
                return int(dict(line.split() for line in f)["oom_kill"])
        raise Skip("the kernel does not say whether it killed anybody")

    def inside(self):
        """What to run a program with, so that it is in the group."""
        return ["sh", "-c", f'echo $$ >{self.path}/cgroup.procs && exec "$@"', "sh"]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for _ in range(500):
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
                return
            time.sleep(0.01)
