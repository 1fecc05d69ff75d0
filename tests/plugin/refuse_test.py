#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Bad input: each is refused with exit status 1, the value, and what would be right."""
from zsblktest import *

CASES = [
    # parameters, what the message must hold
    ([], ["size is missing", "size=2G"]),
    (["size=0"], ["size is 0", "size=2G"]),
    (["size=5000"], ["size=5000", "multiple of 4096", "4096 and 8192"]),
    (["size=4095"], ["size=4095", "too small", "4096"]),
    (["17T"], ["18691697672192", "too large", "16T"]),
    (["size=7E"], ["too large", "16T"]),
    (["size=9E"], ["size=9E", "suffix"]),
    (["size=lots"], ["size=lots", "512M, 2G or 1T"]),
    (["size=-4096"], ["size=-4096", "512M, 2G or 1T"]),
    (["size="], ["size=", "512M, 2G or 1T"]),
    (["1G", "max-size=512M"], ["max-size=536870912", "from size=1073741824"]),
    (["1G", "max-size=17T"], ["max-size=", "out of range"]),
    (["1G", "max-size=more"], ["max-size=more", "512M, 2G or 1T"]),
    (["1G", "algorithm=lzo"], ["algorithm=lzo", "lz4, lz4hc, zstd"]),
    (["1G", "algorithm="], ["algorithm=", "lz4, lz4hc, zstd"]),
    (["1G", "level=0"], ["level=0", "out of range for lz4", "1 to 256"]),
    (["1G", "level=257"], ["level=257", "1 to 256"]),
    (["1G", "algorithm=lz4hc", "level=10"], ["level=10", "lz4hc", "1 to 9"]),
    (["1G", "algorithm=zstd", "level=23"], ["level=23", "zstd", "-100 to 22"]),
    (["1G", "level=23", "algorithm=zstd"], ["level=23", "zstd", "-100 to 22"]),
    (["1G", "algorithm=zstd", "level=-101"], ["level=-101", "-100 to 22"]),
    (["1G", "level=high"], ["level=high", "whole number"]),
    (["1G", "level=99999999999"], ["level=99999999999", "whole number"]),
    (["1G", "mem-limit=4k"], ["mem-limit=4096", "largest class", "at least"]),
    (["1G", "mem-limit=some"], ["mem-limit=some", "suffix"]),
    (["1G", "reserve=some"], ["reserve=some", "suffix"]),
    (["1G", "reserve=512M", "mem-limit=256M"], ["reserve=536870912", "mem-limit=268435456", "smaller"]),
    (["1G", "memory=disk"], ["memory=disk", "anon", "shm:KEY", "shm:id=N"]),
    (["1G", "memory=shm:"], ["memory=shm:", "shm:KEY"]),
    (["1G", "memory=shm:0"], ["memory=shm:0", "not 0"]),
    (["1G", "memory=shm:12z"], ["memory=shm:12z"]),
    (["1G", "memory=shm:0x100000000"], ["memory=shm:0x100000000"]),
    (["1G", "memory=shm:id=x"], ["memory=shm:id=x"]),
    (["1G", "lock=maybe"], ["lock=maybe", "auto, yes or no"]),
    (["1G", "stats=/nowhere/at/all"], ["stats=/nowhere/at/all", "exists"]),
    (["1G", "stats=/"], ["stats=/ is a directory", "name a file"]),
    (["1G", "stats=/tmp/"], ["stats=/tmp", "is a directory", "zsblk.stats"]),
    (["1G", "colour=red"], ["colour=red", "not known", "use size, max-size, algorithm"]),
    (["1G", "2G"], ["size is given twice", "2G", "once"]),
    (["1G", "level=1", "level=1"], ["level is given twice", "once"]),
    (["1G", "lock=no", "lock=auto"], ["lock is given twice", "auto"]),
]


def refuse_case(params, parts):
    def check():
        contains(refuse(*params), "zsblk: ", *parts)
    check.__doc__ = "nbdkit zsblk " + " ".join(params)
    test(check)


for case in CASES:
    refuse_case(*case)


@test
def refused_in_the_background():
    "exit status 1 without -f as well, before anything is in the background"
    for params in (["1G", "level=0"], ["size=5000"], ["1G", "memory=shm:id=2147483646"]):
        contains(refuse(*params, background=True), "zsblk: ")


@test
def reserve_beyond_memory():
    "a reserve that is more than memory is refused before anything is in the background"
    for background in (False, True):
        text = refuse("1T", "reserve=1T", background=background)
        contains(text, "reserve=1099511627776", "more memory than there is", "make it smaller")


@test
def reserve_that_is_being_filled():
    "SIGTERM while the reserve is filled: the server ends without going on"
    fill = "8G"
    with open("/proc/meminfo", encoding="ascii") as f:
        free = int(re.search(r"MemAvailable:\s+(\d+)", f.read()).group(1)) * 1024
    if free < 12 * GiB:
        raise Skip("takes a machine with 12 GiB of free memory")
    with folder() as path:
        log = os.path.join(path, "log")
        with open(log, "wb") as f:
            process = subprocess.Popen(["nbdkit", "-f", "-v", "-U", os.path.join(path, "socket"), PLUGIN, "1T",
                                        f"reserve={fill}", "lock=no"], stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=ENV)

        def resident():
            with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
                return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024
        try:
            wait_for(lambda: resident() > 256 * MiB, "some of the reserve")
            process.terminate()
            equal(process.wait(WAIT), 0, "exit status")
        finally:
            process.kill()
            process.wait()
        with open(log, encoding="utf-8") as f:
            contains(f.read(), "told to stop while memory was filled")


def in_ipc_namespace(setting, value):
    """The command in a namespace of its own, where a limit on shared memory can be set."""
    need_root()
    need("unshare")
    return ["unshare", "--ipc", "sh", "-c", f'echo {value} >/proc/sys/kernel/{setting} && exec "$@"', "sh"]


@test
def shmmax():
    "a segment larger than kernel.shmmax: the setting, its value, and the one that would do"
    contains(refuse("64M", "memory=shm:0x7a730001", "lock=no", wrap=in_ipc_namespace("shmmax", 33554432)),
             "kernel.shmmax is 33554432", "are needed", "sysctl kernel.shmmax=")


@test
def shmall():
    "more shared memory than kernel.shmall: the same"
    contains(refuse("64M", "memory=shm:0x7a730001", "lock=no", wrap=in_ipc_namespace("shmall", 1000)),
             "kernel.shmall is 1000 pages", "are needed")


@test
def shmmni():
    "more segments than kernel.shmmni: the same"
    contains(refuse("64M", "memory=shm:0x7a730001", "lock=no", wrap=in_ipc_namespace("shmmni", 0)),
             "kernel.shmmni is 0", "ipcs -m")


@test
def address_space():
    "less address space than the device needs (ulimit -v): the limit, and what would do"
    if SANITIZED:
        raise Skip("sanitizers need much address space themselves")
    need("prlimit")
    contains(refuse("8G", "lock=no", "reserve=0", wrap=["prlimit", f"--as={2 * GiB}"]),
             "ulimit -v", f"is {2 * MiB} KiB", "are needed")


@test
def locked_memory():
    "less locked memory than a shared segment takes (ulimit -l): the limit, and what would do"
    need("prlimit")
    with shm_key() as key, folder() as path:
        # The build may be in a folder that nobody else may enter.
        os.chmod(path, 0o755)
        copy = shutil.copy(PLUGIN, os.path.join(path, "zsblk.so"))
        contains(refuse("64M", f"memory=shm:{key:#x}", "reserve=0", plugin=copy,
                        wrap=["prlimit", f"--memlock={MiB}:{MiB}", *as_nobody()]),
                 "ulimit -l, now 1048576", "of at least", "CAP_IPC_LOCK")


@test
def messages_name_every_parameter():
    "the message for unknown parameters lists all there are"
    text = refuse("1G", "colour=red")
    for key in ("size", "max-size", "algorithm", "level", "mem-limit", "memory", "reserve", "lock", "stats"):
        contains(text, key)


main()
