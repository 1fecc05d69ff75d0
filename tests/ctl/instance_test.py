#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkctl and an instance of zsblkd, with a stand-in for the kernel: the daemon's verbs, and a server that is replaced meanwhile.

Environment: see tests/daemon/zsblkdtest.py, and ZSBLKCTL_HERE.
"""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "daemon"))
from zsblkdtest import is_alive, must, point, run, soon  # noqa: E402

ZSBLKCTL = os.environ["ZSBLKCTL_HERE"]


def ctl(instance, *words):
    """Exit status, output, errors."""
    done = subprocess.run([ZSBLKCTL, *words], cwd=instance.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def told(instance):
    status, out, errors = ctl(instance, "status", "--json", instance.name)
    return must(status == 0 and json.loads(out)["devices"][0], "status --json", errors)


def settings(instance):
    """None while there is no server that answers."""
    status, out, _ = ctl(instance, "status", "--json", instance.name)
    description = json.loads(out)["devices"][0].get("description") if status == 0 else None
    return description and {key: description.get(key) for key in ("mem_limit", "algorithm", "level", "background_cpu")}


def check_kept(instance, server):
    """What is changed in use holds for the servers after this one: killed, and upgraded; and for those of another daemon."""
    for words in (("limit", instance.name, "48M"), ("algorithm", instance.name, "zstd", "5"), ("background-cpu", instance.name, "35")):
        status, out, errors = ctl(instance, *words)
        point(status == 0 and not errors, words[0], out + errors)
    wanted = {"mem_limit": 48 << 20, "algorithm": "zstd", "level": 5, "background_cpu": 35}
    point(settings(instance) == wanted, "which the server has", settings(instance))
    os.kill(server, signal.SIGKILL)
    server = must(instance.new_server(server), "it is killed: there is another", instance.said())
    point(soon(lambda: settings(instance) == wanted), "which goes on with that", settings(instance))
    for number in (instance.daemon(), server):
        os.kill(number, signal.SIGKILL)
    server = must(instance.new_server(server), "it and the daemon are killed: there is another", instance.said())
    point(soon(lambda: settings(instance) == wanted), "which goes on with that", settings(instance))
    status, out, errors = ctl(instance, "upgrade", instance.name)
    must(status == 0 and instance.new_server(server), "it is upgraded", out + errors)
    point(soon(lambda: settings(instance) == wanted), "and goes on with that", settings(instance))


def test_instance(instance):
    first = instance.serve("max-size=128M")
    status, out, errors = ctl(instance, "status")
    point(status == 0 and instance.name in out and f"served by process {first} (nbdkit" in out and not errors, "status", out + errors)
    daemon = told(instance)["daemon"]
    point(daemon["server_pid"] == first and daemon["replacements"] == 0 and daemon["history"] == [], "of the daemon", daemon)
    status, out, errors = ctl(instance, "-n", "--raw", "-o", "INSTANCE,DISKSIZE")
    point((status, out, errors) == (0, f"{instance.name} 64M\n", ""), "list", out + errors)

    os.kill(first, signal.SIGKILL)
    status, out, errors = ctl(instance, "-n", "--raw", "-o", "PID")
    point(status == 0 and out.strip() not in ("", str(first)),
          "the server is killed: list waits for the next one", out + errors)
    second = must(instance.new_server(first), "which is there", instance.said())
    daemon = told(instance)["daemon"]
    point(daemon["replacements"] == 1 and daemon["history"][0]["event"] == "died", "status knows of it", daemon)
    status, out, errors = ctl(instance, "status")
    point("Its server was replaced 1 time" in out, "and says so", out)

    status, out, errors = ctl(instance, "upgrade", instance.name)
    point(status == 0 and not errors, "upgrade", out + errors)
    third = must(instance.new_server(second), "there is another server", instance.said())

    status, out, errors = ctl(instance, "resize", instance.name, "96M")
    point(status == 0 and not errors, "resize", out + errors + instance.said()[-500:])
    point(ctl(instance, "-n", "--raw", "-o", "DISKSIZE")[1] == "96M\n" and instance.world.size == 96 << 20, "server and kernel know the size",
          instance.world.size)
    status, out, errors = ctl(instance, "resize", instance.name, "1G")
    point(status == 1 and errors.startswith(f"zsblkctl: {instance.name}: "), "what is larger than max-size is refused", out + errors)
    third = must(soon(instance.server), "it serves", instance.said())

    check_kept(instance, third)
    third = must(soon(instance.server), "it serves", instance.said())

    status, out, errors = ctl(instance, "stop", instance.name)
    point(status == 0 and not errors, "stop", out + errors)
    point(soon(lambda: not is_alive(third)), "the server has ended")
    status, out, errors = ctl(instance, "stat", instance.name)
    point(status == 3 and "it does not run" in errors, "nobody is found then", out + errors)


run(test_instance)
