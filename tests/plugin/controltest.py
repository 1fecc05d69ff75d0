# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the control socket share: clients that speak Varlink, and servers with such a socket."""
import socket

from zsblktest import *

DEVICE = "org.zsblk.Device."
SERVICE = "org.varlink.service."
CLIENTS = 8
CALL_MAX = 8192
TEXT = (b"text " * 820)[:BLOCK]


class Client:
    """A connection to a control socket."""

    def __init__(self, path, timeout=WAIT):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.bytes = b""

    def send(self, method, parameters=None, **more):
        self.raw(json.dumps({"method": method, "parameters": parameters or {}, **more}).encode() + b"\0")

    def raw(self, text):
        self.socket.sendall(text)

    def receive(self):
        """The next message, or None at the end."""
        while b"\0" not in self.bytes:
            got = self.socket.recv(1 << 16)
            if not got:
                return None
            self.bytes += got
        message, self.bytes = self.bytes.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, parameters=None, **more):
        self.send(method, parameters, **more)
        return self.receive()

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def call(path, method, parameters=None):
    with Client(path) as client:
        reply = client.call(method, parameters)
    assert reply and "error" not in reply, reply
    return reply["parameters"]


def error(path, method, parameters=None):
    with Client(path) as client:
        reply = client.call(method, parameters)
    assert reply and "error" in reply, reply
    return reply["error"], reply["parameters"]


def is_listening(path):
    try:
        Client(path).close()
    except OSError:
        return False
    return True


def is_let_in(path):
    with contextlib.suppress(ConnectionError), Client(path) as client:
        return client.call(DEVICE + "ResetPeak") is not None
    return False


def connected(path):
    """A client, or None: too many others wait to be accepted."""
    try:
        return Client(path)
    except BlockingIOError:
        return None


def fill(handle, blocks, seed):
    """Write blocks from the first one on, in requests that every server takes."""
    data = pages(blocks, seed)
    for at in range(0, len(data), MiB):
        handle.pwrite(data[at:at + MiB], at)


@contextlib.contextmanager
def listening(control, *params, **more):
    """A server whose control socket is there: nbdkit has its own before."""
    with Server(*params, f"control={control}", **more) as one:
        wait_for(lambda: is_listening(control), "control socket")
        yield one


@contextlib.contextmanager
def server(*params, **more):
    with folder() as path:
        control = os.path.join(path, "control")
        with listening(control, "256M", *params, **more) as one:
            yield one, control
        assert not os.path.exists(control), "the socket is left"


def wait_job(control, job):
    return call(control, DEVICE + "WaitJob", {"job": job})["job"]
