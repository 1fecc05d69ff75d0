#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""control=SOCKET: calls that are none, clients who are in the way, who may do what, others' files by its name, and what it costs."""
import stat

from controltest import *


# ---------------------------------------------------------------- calls that are none

@test
def wrong_calls():
    "what is wrong with a call is said, and the connection goes on"
    with server() as (_, control), Client(control) as client:
        for method, parameters, name, told in [
                ("org.zsblk.Device.Nothing", {}, "MethodNotFound", {"method": "org.zsblk.Device.Nothing"}),
                ("org.zsblk.Nothing.Get", {}, "InterfaceNotFound", {"interface": "org.zsblk.Nothing"}),
                ("Get", {}, "InterfaceNotFound", {"interface": ""}),
                ("", {}, "InterfaceNotFound", {"interface": ""}),
                ("org.zsblk.Device.SetMemoryLimit", {}, "InvalidParameter", {"parameter": "bytes"}),
                ("org.zsblk.Device.SetMemoryLimit", {"bytes": "1"}, "InvalidParameter", {"parameter": "bytes"}),
                ("org.zsblk.Device.SetMemoryLimit", {"bytes": 1, "also": 2}, "InvalidParameter", {"parameter": "also"}),
                ("org.zsblk.Device.SetMemoryLimit", {"bytes": 1 << 63}, "InvalidParameter", {"parameter": "bytes"}),
                ("org.zsblk.Device.ResetPeak", {"x": None}, "InvalidParameter", {"parameter": "x"})]:
            reply = client.call(method, parameters)
            equal((reply["error"], reply["parameters"]), (SERVICE + name, told), method)
        equal(client.call(DEVICE + "ResetPeak"), {"parameters": {}})


@test
def no_calls():
    "what is no call ends the connection, and nothing else"
    bad = [b"\0", b"x\0", b"[]\0", b"{}\0", b"{\"method\": 1}\0", b"{\"method\": \"a.b\", \"parameters\": []}\0",
           b"{\"method\": \"a.b\", \"more\": 1}\0", b"{\"method\": \"a.b\"} x\0", b"{\"method\": \"\xff.b\"}\0",
           b"{\"method\":" * 20 + b"1" + b"}" * 20 + b"\0", b"x" * CALL_MAX, b"{\"a\": [" + b"1," * 100 + b"1]}\0",
           b"{\"a\": [" + b"{}," * 2000 + b"{}]}\0"]
    with server() as (one, control):
        for text in bad:
            with Client(control) as client:
                client.raw(text)
                assert client.is_closed(), text
        with Client(control) as client:
            client.raw(b"{\"method\":")
            client.socket.shutdown(socket.SHUT_WR)
            assert client.is_closed()
        call(control, DEVICE + "ResetPeak")


@test
def pipelined():
    "calls that come together are answered in their order; one that wants no answer has none"
    with server() as (_, control), Client(control) as client:
        one = json.dumps({"method": DEVICE + "GetClasses", "parameters": {"first": 3, "count": 1}}).encode() + b"\0"
        quiet = json.dumps({"method": DEVICE + "Nothing", "oneway": True}).encode() + b"\0"
        other = json.dumps({"method": DEVICE + "ResetPeak"}).encode() + b"\0"
        client.raw((one + quiet + other) * 10)
        for _ in range(10):
            equal(client.receive()["parameters"]["classes"][0]["index"], 3)
            equal(client.receive(), {"parameters": {}})


@test
def in_small_pieces():
    "a call that comes byte by byte, from a client that will say nothing more"
    with server() as (_, control), Client(control) as client:
        for byte in json.dumps({"method": DEVICE + "ResetPeak"}).encode() + b"\0":
            client.raw(bytes([byte]))
        client.socket.shutdown(socket.SHUT_WR)
        equal(client.receive(), {"parameters": {}})
        assert client.is_closed()


# ---------------------------------------------------------------- clients who are in the way

@test
def many_and_silent():
    "silent clients keep nobody away, and are bounded in number"
    with server() as (one, control):
        silent = [wait_for(lambda: connected(control), "connection") for _ in range(50)]
        for _ in range(20):
            call(control, DEVICE + "ResetPeak")
        open_ones = 0
        for client in silent:
            client.socket.setblocking(False)
            try:
                assert client.socket.recv(1) == b""
            except BlockingIOError:
                open_ones += 1
        assert open_ones < CLIENTS, open_ones
        for client in silent:
            client.close()


@test
def waiting_ones_stay():
    "those who wait for a reply keep their places from others, who are let in when one goes"
    with server("background-cpu=1") as (one, control):
        fill(one.connect(), 20000, 8)
        job = call(control, DEVICE + "Check")["job"]
        waiting = [Client(control) for _ in range(CLIENTS)]
        for client in waiting:
            client.send(DEVICE + "WaitJob", {"job": job}, more=True)
            assert client.receive()["continues"]
        with Client(control) as late:
            assert late.is_closed()
        waiting.pop().close()
        wait_for(lambda: is_let_in(control), "place")
        call(control, DEVICE + "CancelJob", {"job": job})
        for client in waiting:
            while client.receive().get("continues"):
                pass
            client.close()


@test
def takes_no_reply():
    "a client that takes no reply stops being read, is let go in time, and others go on"
    with server() as (one, control):
        client = Client(control)
        text = json.dumps({"method": DEVICE + "GetClasses"}).encode() + b"\0"
        client.socket.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while sent < 64 * MiB:
                sent += client.socket.send(text * 50)
        assert sent < 4 * MiB, sent
        call(control, DEVICE + "ResetPeak")
        time.sleep(12)
        client.socket.settimeout(WAIT)
        with contextlib.suppress(ConnectionResetError):
            while client.socket.recv(1 << 20):
                pass
        call(control, DEVICE + "ResetPeak")
        client.close()


@test
def half_a_call():
    "half a call is waited for, but not for long"
    with server() as (_, control), Client(control) as client:
        began = time.monotonic()
        client.raw(b"{\"method\"")
        assert client.is_closed()
        assert 9 < time.monotonic() - began < 40, time.monotonic() - began


# ---------------------------------------------------------------- rights

def as_user(user, group, groups, *command):
    need_root()
    need("setpriv")
    return ["setpriv", f"--reuid={user}", f"--regid={group}", f"--groups={groups}" if groups else "--clear-groups", *command]


ASK = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
except PermissionError:
    sys.exit("closed")
s.sendall(json.dumps({"method": sys.argv[2], "parameters": json.loads(sys.argv[3])}).encode() + b"\\0")
print(s.recv(65536).decode().rstrip("\\0"))
"""


def ask_as(control, user, group, groups, method, parameters=None):
    out = run(*as_user(user, group, groups, sys.executable, "-c", ASK, control, DEVICE + method, json.dumps(parameters or {})), status=None)
    return "closed" if out.startswith("closed") else json.loads(out)


@test
def rights():
    "a group may look, root may change, and others cannot connect"
    need_root()
    with server("control-group=54321") as (_, control):
        os.chmod(os.path.dirname(control), 0o755)
        st = os.stat(control)
        equal((stat.S_IMODE(st.st_mode), st.st_gid), (0o660, 54321), "mode and group")
        equal(ask_as(control, 65534, 65534, "", "ResetPeak"), "closed", "another user")
        for group, groups in ((54321, ""), (65534, "1,2,54321")):
            assert "parameters" in ask_as(control, 65534, group, groups, "GetStatistics"), group
            equal(ask_as(control, 65534, group, groups, "SetMemoryLimit", {"bytes": 0}).get("error"),
                  SERVICE + "PermissionDenied", group)
        equal(ask_as(control, 0, 0, "", "ResetPeak"), {"parameters": {}}, "root")
        # Whoever gets at the socket in another way has no rights all the same.
        os.chmod(control, 0o666)
        equal(ask_as(control, 65534, 65534, "", "GetStatistics").get("error"), SERVICE + "PermissionDenied")


@test
def of_another_user():
    "the user that the server runs as may change things"
    need_root()
    with folder() as path:
        control = f"{path}/control"
        os.chmod(path, 0o755)
        os.chown(path, 65534, 65534)
        with listening(control, "64M", "lock=no", wrap=as_user(65534, 65534, "")):
            equal(os.stat(control).st_uid, 65534)
            equal(ask_as(control, 65534, 65534, "", "ResetPeak"), {"parameters": {}})
            equal(ask_as(control, 65533, 65533, "", "ResetPeak"), "closed")


# ---------------------------------------------------------------- the socket's name

@test
def others_names():
    "what is no socket of ours without a listener is left alone"
    with folder() as path:
        control = f"{path}/control"
        with open(control, "w", encoding="ascii") as f:
            f.write("precious")
        contains(refuse("64M", f"control={control}"), "is not a socket", control)
        os.unlink(control)
        os.symlink("/dev/null", control)
        contains(refuse("64M", f"control={control}"), "is not a socket")
        os.unlink(control)
        os.chmod(path, 0o777)
        contains(refuse("64M", f"control={control}"), "mode 0777")
        os.chmod(path, 0o1777)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(control)
            other.listen()
            contains(refuse("64M", f"control={control}"), "another server listens")
        # Nobody listens on it any more.
        with listening(control, "64M"):
            call(control, DEVICE + "ResetPeak")
            contains(refuse("64M", f"control={control}"), "another server listens")
        if os.geteuid() == 0:
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(control)
            os.chown(control, 65534, 65534)
            contains(refuse("64M", f"control={control}"), "user 65534")
            assert os.path.exists(control)
        contains(refuse("64M", f"control={path}/none/control"), "No such file")


@test
def removed():
    "a socket that somebody has removed comes back; one in its place is left alone, with a message, and requests go on"
    with server() as (one, control):
        handle = one.connect()
        os.unlink(control)
        wait_for(lambda: is_listening(control), "new socket")
        call(control, DEVICE + "ResetPeak")
        os.unlink(control)
        with open(control, "w", encoding="ascii") as f:
            f.write("precious")
        wait_for(lambda: "no control socket" in one.log(), "message")
        handle.pwrite(b"x", 0)
        equal(handle.pread(1, 0), b"x")
        with open(control, encoding="ascii") as f:
            equal(f.read(), "precious")
        os.unlink(control)
        wait_for(lambda: is_listening(control), "new socket")
        call(control, DEVICE + "ResetPeak")
        equal(one.log().count("no control socket"), 1, "messages")


@test
def left_at_the_end():
    "a server removes its own socket only"
    with folder() as path:
        control = f"{path}/control"
        with listening(control, "64M"):
            os.unlink(control)
            with open(control, "w", encoding="ascii") as f:
                f.write("precious")
        with open(control, encoding="ascii") as f:
            equal(f.read(), "precious")


@test
def after_a_kill():
    "the next server replaces the socket of one that was killed"
    with folder() as path:
        control = f"{path}/control"
        with listening(control, "64M") as one:
            one.kill()
        assert os.path.exists(control)
        with listening(control, "64M"):
            call(control, DEVICE + "ResetPeak")


# ---------------------------------------------------------------- what it costs

@test
def memory():
    "hundreds of calls of every kind take no more memory than the first ones"
    # Without a reserve, which is filled again after writes.
    with server("reserve=0") as (one, control):
        one.connect().pwrite(pages(3000, 9), 0)

        def some():
            for first in (0, 100, 400):
                call(control, DEVICE + "GetBlocks", {"first": first, "count": 512})
                call(control, DEVICE + "GetClasses", {"first": first})
            call(control, DEVICE + "GetDescription")
            error(control, DEVICE + "GetClasses", {"first": -1})
            with Client(control) as client:
                client.raw(b"{\"method\": \"a.b\", \"parameters\": {\"a\": [" + b"{}," * 50 + b"{}]}}\0")
                client.receive()
        for _ in range(5):
            some()
        before = one.status("VmRSS"), one.status("VmData")
        for _ in range(100):
            some()
        grown = one.status("VmRSS") - before[0], one.status("VmData") - before[1]
        # The kernel counts what is resident for each thread, and adds that up now and then.
        assert SANITIZED or (grown[0] <= MiB and grown[1] == 0), grown


@test
def thread():
    "the thread is an ordinary one and no I/O flusher, also in a server of a real-time class"
    need_root()
    need("chrt")
    try:
        run("chrt", "--rr", "1", "true")
    except AssertionError as reason:
        raise Skip("no right to a real-time class") from reason
    with server(wrap=["chrt", "--rr", "1"]) as (one, _):
        policies = {}
        for task in os.listdir(f"/proc/{one.pid}/task"):
            with open(f"/proc/{one.pid}/task/{task}/comm", encoding="ascii") as f:
                policies[f.read().strip()] = os.sched_getscheduler(int(task))
        equal((policies["zsblk-control"], policies["zsblk-jobs"]), (os.SCHED_OTHER, os.SCHED_RR))


main()
