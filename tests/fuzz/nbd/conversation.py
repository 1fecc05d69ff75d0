#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Feed damaged NBD conversations to `nbdkit -s`: the server must end by itself, with status 0 or 1, and
without a word from a sanitizer.

First every file of the corpus is played as it is, then damaged copies of them, each made from a number of its
own, until the time is over. A failing one is kept in a file, which can be played again, or put into the corpus.

usage: conversation.py [--seconds N] [--seed N] [--make-corpus] [FILE...]

The environment variable ZSBLK_FUZZ_SECONDS sets the time as well; 20 seconds if nothing is said.
"""
import argparse
import os
import random
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../plugin"))
from zsblktest import *  # noqa: E402

CORPUS = os.path.join(HERE, "corpus")
DEVICE = 16 * MiB
PARAMS = [str(DEVICE), "mem-limit=4M", "lock=no", "reserve=0"]
OPTION_MAGIC, REQUEST_MAGIC = 0x49484156454F5054, 0x25609513
(OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS, OPT_INFO, OPT_GO, OPT_STRUCTURED_REPLY,
 OPT_LIST_META_CONTEXT, OPT_SET_META_CONTEXT) = 1, 2, 3, 5, 6, 7, 8, 9, 10
READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = 1, 2, 4, 8, 16


# ---------------------------------------------------------------- conversations

def flags(value=3):
    return struct.pack(">I", value)


def option(number, data=b""):
    return struct.pack(">QII", OPTION_MAGIC, number, len(data)) + data


def go(number=OPT_GO, name=b"", infos=()):
    return option(number, struct.pack(">I", len(name)) + name + struct.pack(f">H{len(infos)}H", len(infos), *infos))


def context(number, *names, export=b""):
    data = struct.pack(">I", len(export)) + export + struct.pack(">I", len(names))
    return option(number, data + b"".join(struct.pack(">I", len(n)) + n for n in names))


def request(kind, offset=0, length=0, flag=0, handle=0x1122334455667788, data=b""):
    return struct.pack(">IHHQQI", REQUEST_MAGIC, flag, kind, handle, offset, length) + data


def write(offset, data, flag=0):
    return request(WRITE, offset, len(data), flag, data=data)


def conversations():
    """What is played at first: a list of parts for each, as units that damage keeps together or not."""
    text = b"some text that compresses " * 400
    noise = random.Random(1).randbytes(3 * BLOCK)
    structured = [flags(), option(OPT_STRUCTURED_REPLY),
                  context(OPT_SET_META_CONTEXT, b"base:allocation"), go()]
    every = [write(0, text[:BLOCK]), write(BLOCK, noise), write(5 * BLOCK + 17, text[:700], FUA),
             request(READ, 0, 10 * BLOCK), request(FLUSH), request(CACHE, 0, BLOCK),
             request(TRIM, BLOCK, BLOCK), request(TRIM, 100, 5000),
             request(WRITE_ZEROES, 7, 9000, NO_HOLE), request(WRITE_ZEROES, 0, MiB, FAST_ZERO),
             request(READ, 1, 1), request(READ, DEVICE - 1, 1)]
    yield "simple", [flags(), go(), *every, request(DISC)]
    yield "structured", [*structured, *every, request(BLOCK_STATUS, 0, DEVICE),
                         request(BLOCK_STATUS, 0, DEVICE, REQ_ONE), request(READ, 3, 9000, DF), request(DISC)]
    yield "export-name", [flags(1), option(OPT_EXPORT_NAME), *every, request(DISC)]
    yield "options", [flags(), option(OPT_LIST), go(OPT_INFO, b"", (0, 1, 2, 3)), go(OPT_INFO, b"other"),
                      option(OPT_STRUCTURED_REPLY), context(OPT_LIST_META_CONTEXT),
                      context(OPT_LIST_META_CONTEXT, b"base:", b"qemu:"), option(OPT_STARTTLS), option(99, b"what"),
                      context(OPT_SET_META_CONTEXT, b"base:allocation", b"x-y:z"), option(OPT_ABORT)]
    yield "beyond", [*structured, request(READ, DEVICE, 1), request(READ, DEVICE - 1, 2), request(TRIM, 1 << 63, 5),
                     write(DEVICE - 5, b"0123456789"), request(WRITE_ZEROES, 2**64 - 1, 2**32 - 1),
                     request(BLOCK_STATUS, 0, 0), request(READ, 0, 0), request(READ, 0, 2**32 - 1), request(77),
                     request(FLUSH, 5, 5), request(TRIM, 0, DEVICE, 0xffff), request(DISC)]
    yield "full", [flags(), go(), *[write(i * 64 * BLOCK, random.Random(i).randbytes(64 * BLOCK))
                                    for i in range(20)],
                   request(TRIM, 0, DEVICE), write(0, noise), request(READ, 0, 3 * BLOCK), request(DISC)]
    yield "many", [*structured, *[part for i in range(40) for part in (
        write(i * 3000, text[i:i + 3000 + i]), request(READ, i * 2000, 5000),
        request(TRIM, i * 1000, 4096), request(BLOCK_STATUS, i * 100, 100000))], request(DISC)]
    yield "no-goodbye", [flags(), go(), write(0, text)]
    yield "nothing", []


def make_corpus():
    os.makedirs(CORPUS, exist_ok=True)
    for name, parts in conversations():
        if name != "full":  # large, and made on the spot
            with open(os.path.join(CORPUS, name), "wb") as f:
                f.write(b"".join(parts))


# ---------------------------------------------------------------- damage

EXTREMES = [0, 1, 2, 7, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0xffff, 0x10000, DEVICE - 1, DEVICE, DEVICE + 1,
            64 * MiB, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


def damage_bytes(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not data:
            break
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            size = rng.choice([2, 4, 8])
            data[at:at + size] = (rng.choice(EXTREMES) % (1 << 8 * size)).to_bytes(size, "big")
        elif kind == 3:
            del data[at:at + rng.randrange(1, 9)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


def random_request(rng):
    kind = rng.choice([READ, WRITE, WRITE, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS, FLUSH, rng.randrange(65536)])
    offset = rng.choice([rng.randrange(DEVICE), rng.choice(EXTREMES)])
    length = rng.choice([rng.randrange(1, 20000), rng.choice(EXTREMES) % 2**32])
    flag = rng.choice([0, 0, rng.randrange(32), rng.randrange(65536)])
    data = rng.randbytes(min(length, 70000)) if kind == WRITE else b""
    return request(kind, offset, length, flag, rng.randrange(2**64), data)


def damaged(rng, corpus):
    """A conversation made from those there are."""
    parts = list(rng.choice(corpus))
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5])):
        kind = rng.randrange(7)
        at = rng.randrange(len(parts) + 1)
        if kind == 0 and parts:
            at %= len(parts)
            parts[at] = damage_bytes(rng, parts[at])
        elif kind == 1:
            parts[at:at] = [random_request(rng) for _ in range(rng.randrange(1, 12))]
        elif kind == 2 and parts:
            del parts[at % len(parts)]
        elif kind == 3:
            parts.insert(at, rng.choice(rng.choice(corpus) or [b""]))
        elif kind == 4 and len(parts) > 1:
            a, b = rng.randrange(len(parts)), rng.randrange(len(parts))
            parts[a], parts[b] = parts[b], parts[a]
        elif kind == 5:
            return b"".join(parts)[:rng.randrange(1 + sum(map(len, parts)))]
        else:
            parts += [random_request(rng) for _ in range(rng.randrange(1, 30))]
    return b"".join(parts)


# ---------------------------------------------------------------- playing

# What nbdkit 1.32 does with any plugin (try nbdkit memory): it answers on a connection that another of its
# threads has just closed, because of a request it could not understand.
OF_NBDKIT = "raw_send_other: Assertion `sock >= 0' failed"
of_nbdkit = 0


def play(data):
    """Returns what the server answered; an AssertionError tells what it did wrong."""
    # nbdkit's messages about errno values make it hang at its end when a sanitizer is loaded, with any plugin.
    # The sanitizer's own messages are not lost by this.
    quiet = ["--log=null"] if SANITIZED else []
    command = ["nbdkit", "-s", "-t", "2", *quiet, PLUGIN, *PARAMS]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=ENV)
    try:
        answer, errors = server.communicate(data, timeout=WAIT)
    except subprocess.TimeoutExpired:
        server.kill()
        server.communicate()
        raise AssertionError(f"the server was still there after {WAIT} s") from None
    errors = errors.decode(errors="replace")
    if server.returncode == -signal.SIGABRT and OF_NBDKIT in errors:
        global of_nbdkit
        of_nbdkit += 1
        return answer
    assert server.returncode in (0, 1), f"exit status {server.returncode}\n{errors[-4000:]}"
    for word in ("Sanitizer", "runtime error:", "Assertion", "assertion"):
        assert word not in errors, errors[-8000:]
    return answer


def keep(data, seed):
    path = os.path.join(tempfile.gettempdir(), f"zsblk-conversation-{seed}")
    with open(path, "wb") as f:
        f.write(data)
    say(f"kept in {path}; play it again with: conversation.py {path}")


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("ZSBLK_FUZZ_SECONDS", 20)))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("ZSBLK_FUZZ_SEED", 1)))
    parser.add_argument("--make-corpus", action="store_true")
    parser.add_argument("files", nargs="*")
    return parser.parse_args()


ARGS = options()


@test
def undamaged():
    "an undamaged conversation is answered as it should be"
    text = b"some text " * 1000
    answer = play(b"".join([flags(), go(), write(100, text), request(READ, 100, len(text), handle=7),
                            request(TRIM, 0, DEVICE), request(READ, 100, 3 * BLOCK, handle=8), request(DISC)]))
    # Replies may come in any order of requests in flight, but these each depend on nothing but the one
    # before: nbdkit has two threads here, so only look for what must be there whatever the order.
    replies = answer.count(struct.pack(">I", 0x67446698))
    equal(replies, 4, "replies")


@test
def corpus():
    "the corpus"
    files = ARGS.files or [os.path.join(CORPUS, name) for name in sorted(os.listdir(CORPUS))]
    for path in files:
        with open(path, "rb") as f:
            data = f.read()
        try:
            play(data)
        except AssertionError as error:
            raise AssertionError(f"{path}: {error}") from None
    for _, parts in conversations():
        play(b"".join(parts))


@test
def damaged_conversations():
    "damaged conversations"
    if ARGS.files:
        raise Skip("files were given")
    whole = [parts for _, parts in conversations()]
    deadline = time.monotonic() + ARGS.seconds
    seed = ARGS.seed
    say(f"first seed {seed}, {ARGS.seconds:g} seconds")
    while time.monotonic() < deadline:
        data = damaged(random.Random(seed), whole)
        try:
            play(data)
        except AssertionError:
            keep(data, seed)
            say(f"seed {seed}")
            raise
        seed += 1
    say(f"{seed - ARGS.seed} conversations, last seed {seed - 1}; {of_nbdkit} times nbdkit's own assertion")


if ARGS.make_corpus:
    make_corpus()
else:
    sys.argv[1:] = []
    main()
