#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The command line of zsblkctl, and what it says where there is no server, or one that cannot be believed."""
import socket
import threading

from ctltest import *


@test
def nothing_runs():
    "where no instance ever ran, list is empty and status says so"
    with Here() as here:
        os.rmdir(here.run())
        equal(here.ctl(), "", "a table without rows")
        equal(here.json("list"), {"devices": []}, "JSON")
        contains(here.ctl("status", status=NOT_RUNNING), "no device of zsblk runs")
        contains(here.ctl("stat", "swap0", status=NOT_RUNNING), "swap0: it does not run")


@test
def wrong_words():
    "words that are wrong are named, nothing is asked, and the status is 2"
    with Here() as here:
        for words, parts in [
                (["bogus"], ["no verb 'bogus'", "--help"]),
                (["--bogus"], ["'--bogus' is not known"]),
                (["--control"], ["'--control' needs a value"]),
                (["list", "--wait"], ["list does not take --wait"]),
                (["limit"], ["of which device", "NAME"]),
                (["limit", "swap0"], ["words are missing", "SIZE"]),
                (["limit", "swap0", "1G", "2G"], ["a word too many"]),
                (["--control", "x", "limit", "swap0", "2G"], ["a word too many", "no NAME"]),
                (["limit", "swap0", "many"], ["'many' is no size", "none"]),
                (["resize", "swap0", ""], ["'' is no size"]),
                (["background-cpu", "swap0", "101"], ["'101'", "from 1 to 100"]),
                (["algorithm", "swap0", "zstd", "much"], ["'much' is no level"]),
                (["blocks", "swap0", "9-7"], ["'9-7' is no range"]),
                (["blocks", "swap0", "--format", "mm_stat"], ["mm_stat", "give zram"]),
                (["stat", "--format", "xml"], ["xml", "mm_stat or io_stat"]),
                (["stat", "--format", "zram", "--json"], ["not both"]),
                (["recompress", "swap0", "--type", "old"], ["--type old", "huge_idle"]),
                (["recompress", "swap0", "--level", "1.5"], ["--level 1.5", "whole number"]),
                (["recompress", "swap0", "--cancel", "--type", "all"], ["--cancel alone"]),
                (["group", "swap0", "--cancel", "--level", "3"], ["--cancel alone"]),
                (["cold"], ["of which device"]),
                (["cold", "swap0", "maybe"], ["'maybe' is no setting", "cold-after=AGE"]),
                (["cold", "swap0", "after=5m"], ["'after=5m' is no setting"]),
                (["cold", "swap0", "cold-after=soon"], ["cold-after=soon cannot be", "15m"]),
                (["cold", "swap0", "cold-after=never"], ["cold-after=never cannot be"]),
                (["cold", "swap0", "cold-rate=fast"], ["cold-rate=fast cannot be", "512K"]),
                (["cold", "swap0", "yes", "cold=no"], ["cold is given twice"]),
                (["cold", "swap0", "yes", "--json"], ["--json without settings"]),
                (["idle", "swap0", "--older-than", "0"], ["--older-than 0"]),
                (["idle", "swap0", "--older-than", "5w"], ["--older-than 5w", "15m"]),
                (["--timeout", "0", "list"], ["--timeout 0", "from 1 to"]),
                (["list", "--output", "NAME,NOPE"], ["no column 'NOPE'"]),
                (["jobs", "--cancel"], ["of which devices"]),
                (["trace", "swap0", "file", "--json"], ["--json is for what is told"]),
                (["stat", "../etc"], ["no name of an instance"]),
                (["stat", ".hidden"], ["no name of an instance"]),
        ]:
            contains(here.ctl(*words, status=WRONG_USE), *parts)


@test
def help_and_version():
    "--help has all verbs, and each verb's its options and columns"
    with Here() as here:
        told = here.ctl("--help")
        verbs = re.findall(r"^  ([a-z-]+)(?: |$)", told.split("Verbs")[1].split("Options")[0], re.M)
        assert "list" in verbs and "stop" in verbs, verbs
        for verb in verbs:
            one = here.ctl(verb, "--help")
            contains(one, f"Usage: zsblkctl [OPTION...] {verb}", "--control SOCKET", "--timeout SECONDS")
            # What --help of all knows, and this verb's does not, is refused.
            for option in re.findall(r"--([a-z-]+)", told.split("Options")[1]):
                if f"--{option}" not in one:
                    here.ctl(verb, f"--{option}", *(["1"] if re.search(rf"--{option} [A-Z]", told) else []), status=WRONG_USE)
        contains(here.ctl("list", "--help"), "COMP-RATIO", "MOUNTPOINT")
        assert re.fullmatch(r"zsblkctl \d+\.\d+\.\d+\n", here.ctl("--version")), here.ctl("--version")


@test
def full_output():
    "standard output that cannot be written to is no success"
    with Here() as here, open("/dev/full", "wb") as full:
        done = subprocess.run([ZSBLKCTL, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=here.path, check=False)
        equal(done.returncode, FAILED, "exit status")
        contains(done.stderr, "cannot be written")


def listen(path):
    """A socket that takes connections and says nothing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    return listener


@test
def folders_of_others():
    "a socket is believed only in a folder that nobody else can write to"
    need_root()
    with Here() as here:
        folder_path = here.make("swap0")
        listener = listen(os.path.join(folder_path, "control"))
        for path in (folder_path, here.run()):
            os.chmod(path, 0o777)
            contains(here.ctl("stat", "swap0", status=NOT_ALLOWED), "mode 0777", "chmod go-w")
            os.chmod(path, 0o755)
            os.chown(path, 12345, 0)
            contains(here.ctl("stat", "swap0", status=NOT_ALLOWED), "belongs to user 12345")
            os.chown(path, 0, 0)
        # A link of the name is not followed.
        os.rename(folder_path, here.path + "/elsewhere")
        os.symlink(here.path + "/elsewhere", folder_path)
        contains(here.ctl("stat", "swap0", status=NOT_ALLOWED), "is no folder")
        contains(here.ctl("--timeout", "1", "--control", "elsewhere/control", "stat", status=NO_ANSWER), "not answered within 1 s")
        os.chmod(here.path + "/elsewhere", 0o777)
        contains(here.ctl("--control", "elsewhere/control", "stat", status=NOT_ALLOWED), "mode 0777")
        listener.close()


@test
def sockets_of_others():
    "where anybody can make a socket, whoever listens has to be root or the caller"
    need("setpriv")
    with Here() as here:
        os.chmod(here.path, 0o1777)
        path = os.path.join(here.path, "socket")
        listener = listen(path)
        contains(here.ctl("--timeout", "1", "--control", "socket", "stat", status=NO_ANSWER), "not answered within 1 s")
        listener.close()
        os.unlink(path)
        code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True); input()"
        with subprocess.Popen(as_nobody("/usr/bin/python3", "-c", code, path), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            try:
                other.stdout.readline()
                contains(here.ctl("--control", "socket", "stat", status=NOT_ALLOWED), "is not believed")
            finally:
                other.kill()


@test
def not_a_user():
    "who may not look is told so"
    with Here() as here:
        here.make("swap0")
        program = shutil.copy(ZSBLKCTL_HERE, here.path)
        os.chmod(here.path, 0o755)
        os.chmod(here.run(), 0o700)
        wrap = as_nobody()
        contains(here.ctl("stat", "swap0", program=program, wrap=wrap, status=NOT_ALLOWED), "run zsblkctl as root")
        contains(here.ctl("list", program=program, wrap=wrap, status=NOT_ALLOWED), "run zsblkctl as root")


@test
def nobody_listens():
    "a socket without a listener, none at all, and one of another type"
    with Here() as here:
        path = os.path.join(here.make("swap0"), "control")
        contains(here.ctl("stat", "swap0", status=NOT_RUNNING), "swap0: the server does not run", "not there")
        listen(path).close()
        contains(here.ctl("stat", "swap0", status=NOT_RUNNING), "nobody listens")
        os.unlink(path)
        older = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        older.bind(path)
        older.listen()
        contains(here.ctl("stat", "swap0", status=NOT_RUNNING), "older zsblkd", "reload")
        contains(here.ctl("upgrade", "swap0", status=NOT_RUNNING), "zsblkd does not run")
        contains(here.ctl("--control", path, "upgrade", status=WRONG_USE), "zsblkd's to do")


def answer(listener, reply):
    """Give the first that comes `reply`, and close."""
    def serve():
        peer = listener.accept()[0]
        peer.recv(65536)
        with contextlib.suppress(OSError):
            peer.sendall(reply)
        peer.close()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()


@test
def nonsense():
    "what is no Varlink, or too much of it, or nothing, ends the call"
    with Here() as here:
        for reply, text in [(b"HTTP/1.0 200 OK\r\n\r\n\0", "does not speak Varlink"), (b"", "ended before it answered"),
                            (b"[]\0", "does not speak Varlink"), (b'{"parameters": ', "ended before it answered"),
                            (b"x" * (64 << 20), "Varlink")]:
            path = os.path.join(here.path, "socket")
            listener = listen(path)
            answer(listener, reply)
            contains(here.ctl("--control", "socket", "stat", status=NO_ANSWER), text)
            listener.close()
            os.unlink(path)


@test
def incomplete():
    "an answer without any member is that of another version, and no error"
    with Here() as here:
        path = os.path.join(here.path, "socket")
        listener = listen(path)
        answer(listener, b"{}\0")
        contains(here.ctl("--control", "socket", "stat"), "orig_data_size       0")


@test
def errors_are_shown():
    "the server's own words are shown"
    with Here() as here:
        path = os.path.join(here.path, "socket")
        for error, parameters, text, status in [
                ("org.zsblk.Device.Refused", {"reason": "3 is wrong"}, "socket: 3 is wrong", FAILED),
                ("org.zsblk.Device.Strange", {}, "socket: Strange", FAILED),
                ("org.varlink.service.MethodNotFound", {"method": "x"}, "of another version", FAILED),
                ("org.varlink.service.InvalidParameter", {"parameter": "bytes"}, "InvalidParameter: bytes", FAILED),
                ("org.varlink.service.PermissionDenied", {}, "does not allow you", NOT_ALLOWED)]:
            listener = listen(path)
            answer(listener, json.dumps({"error": error, "parameters": parameters}).encode() + b"\0")
            contains(here.ctl("--control", "socket", "reset-peak", status=status), text)
            listener.close()
            os.unlink(path)


main()
