#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblkctl metrics: as Prometheus wants it, with the figures that the servers have; scraped by a real one under load; and the dashboard."""
import http.server
import re
import socket
import threading
import urllib.parse
import urllib.request

from ctltest import *
from cgrouptest import Group

METRICS = os.path.join(zsblktest.SOURCE, "contrib", "metrics")
LINE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')


def parse(text):
    """{(metric, label="value", ...): number}"""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = LINE.fullmatch(line).groups()
            key = (name, *re.findall(r'\w+="(?:[^"\\]|\\.)*"', labels or ""))
            assert key not in found, f"twice: {line}"
            found[key] = float(value)
    return found


def need(program):
    path = shutil.which(program)
    if not path:
        raise Skip(f"there is no {program}")
    return path


def check(text):
    done = subprocess.run([need("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    equal((done.returncode, done.stdout + done.stderr), (0, ""), "promtool check metrics")


def load(server, seconds=0.0):
    """Write and read, also what does not compress."""
    handle, rng = server.connect(), random.Random(1)
    deadline = time.monotonic() + seconds
    while True:
        for i in range(200):
            handle.pwrite(rng.randbytes(rng.randrange(BLOCK + 1)).ljust(BLOCK, b"x"), i * BLOCK)
        for i in range(200):
            handle.pread(BLOCK, i * BLOCK)
        handle.trim(10 * BLOCK, 0)
        if time.monotonic() >= deadline:
            return


@test
def figures():
    "the figures of two servers, and of one that is away"
    with Here() as here:
        load(here.serve("one", "1G", "mem-limit=256M"), 1)
        here.serve("two", "64M", "algorithm=zstd")
        here.make("gone")
        text = here.ctl("metrics")
        check(text)
        found = parse(text)
        equal([found["zsblk_up", f'name="{name}"'] for name in ("one", "two", "gone")], [1, 1, 0], "zsblk_up")
        equal(found["zsblk_size_bytes", 'name="one"'], GiB, "size")
        equal(found["zsblk_pool_limit_bytes", 'name="one"'], 256 * MiB, "limit")
        equal(found["zsblk_stored_bytes", 'name="two"'], 0, "stored by the other one")
        assert ("zsblk_size_bytes", 'name="gone"') not in found
        info = [key for key in found if key[0] == "zsblk_device_info"]
        equal(len(info), 2, "devices")
        contains(str(info), 'algorithm="zstd"', 'transport="nbdkit"', 'level="3"')
        equal(found["zsblk_stored_bytes", 'name="one"'], 190 * BLOCK, "stored")
        reads = found["zsblk_requests_total", 'name="one"', 'operation="read"']
        equal(found["zsblk_request_bytes_total", 'name="one"', 'operation="read"'], reads * BLOCK, "bytes read")
        # One in so many is timed.
        for what, sampling in (("read", 16), ("write", 64)):
            total = found["zsblk_requests_total", 'name="one"', f'operation="{what}"']
            timed = found["zsblk_request_duration_seconds_count", 'name="one"', f'operation="{what}"']
            equal(found["zsblk_request_duration_sampling", 'name="one"', f'operation="{what}"'], sampling, "sampling")
            assert total / sampling / 2 < timed < total / sampling * 2, (what, total, timed)
        # One device alone.
        assert 'name="one"' not in here.ctl("metrics", "two")


@test
def histograms():
    "buckets grow up to the count, and the sum lies between their bounds"
    with Here() as here:
        load(here.serve("one", "64M"), 1)
        found = parse(here.ctl("metrics"))
        for metric, what in (("request", "read"), ("request", "write"), ("codec", "compress"), ("codec", "decompress")):
            metric = f"zsblk_{metric}_duration_seconds"
            ends = sorted((float(re.search(r'le="(.*)"', key[3]).group(1)), value) for key, value in found.items()
                          if key[:3] == (f"{metric}_bucket", 'name="one"', f'operation="{what}"'))
            counts = [value for _, value in ends]
            equal(counts, sorted(counts), f"{what}: counts")
            equal(ends[-1], (float("inf"), found[f"{metric}_count", 'name="one"', f'operation="{what}"']), f"{what}: the last one")
            equal([end for end, _ in ends[:4]], [256e-9, 384e-9, 512e-9, 768e-9], f"{what}: ends")
            assert counts[-1] > 20, counts
            each = list(zip(ends, [(0.0, 0)] + ends[:-1]))
            least = sum((count - before) * low for (_, count), (low, before) in each)
            most = sum((count - before) * end for (end, count), (_, before) in each if count != before)
            total = found[f"{metric}_sum", 'name="one"', f'operation="{what}"']
            assert least <= total <= most, (what, least, total, most)


@test
def memory():
    "the parts of the memory add up, to the control group's own figure"
    for kind in ("anon", "shm"):
        with Group(512 * MiB) as group, Here() as here, shm_key() as key:
            memory_param = "memory=anon" if kind == "anon" else f"memory=shm:{key:#x}"
            server = here.serve("one", "1G", "lock=no", "reserve=8M", memory_param, wrap=group.inside())
            load(server)
            server.connect().pwrite(random.Random(2).randbytes(32 * MiB), 64 * MiB)

            def compare():
                found = {key[2][6:-1]: value for key, value in parse(here.ctl("metrics", "one")).items() if key[0] == "zsblk_memory_bytes"}
                stat = group.stat()
                ours = sum(found.values()) - found["files"]
                theirs = stat.get("rss", stat.get("anon", 0)) + stat.get("shmem", 0)
                # The kernel sums up what it counts for each CPU when it is more than 64 pages.
                return abs(ours - theirs) <= 64 * 4096 * (os.cpu_count() + 1) and (ours, theirs)

            ours, theirs = wait_for(compare, f"{kind}: the same sum")
            say(f"{kind}: {ours:.0f} bytes, {theirs} in the control group")
            assert ours > 40 * MiB, ours


class Exporter(http.server.BaseHTTPRequestHandler):
    """Serves what zsblkctl prints."""
    here = None

    def do_GET(self):
        text = self.here.ctl("metrics").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, query):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return None
    return float(result[0]["value"][1]) if result else None


@test
def scraped():
    "a Prometheus scrapes a device under load, and answers with its figures"
    program = need("prometheus")
    with Here() as here:
        server = here.serve("one", "64M")
        Exporter.here = here
        exporter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
        threading.Thread(target=exporter.serve_forever, daemon=True).start()
        port, config = free_port(), os.path.join(here.path, "prometheus.yml")
        with open(config, "w", encoding="ascii") as f:
            f.write("global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: zsblk\n"
                    f"    static_configs: [{{targets: ['127.0.0.1:{exporter.server_port}']}}]\n")
        with subprocess.Popen([program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                               f"--storage.tsdb.path={here.path}/data"], stderr=subprocess.DEVNULL) as prometheus:
            try:
                worker = threading.Thread(target=load, args=(server, 8))
                worker.start()
                rate = wait_for(lambda: ask(port, 'rate(zsblk_requests_total{name="one",operation="write"}[10s])'), "a rate", 60)
                p99 = wait_for(lambda: ask(port, 'histogram_quantile(0.99, sum by (le) '
                                           '(zsblk_request_duration_seconds_bucket{operation="write"}))'), "a percentile", 60)
                say(f"{rate:.0f} writes/s, p99 {p99 * 1e6:.0f} us")
                assert rate > 0 and 256e-9 < p99 < 69, (rate, p99)
                worker.join()
                stored = 190 * BLOCK
                wait_for(lambda: ask(port, 'zsblk_stored_bytes{name="one"}') == stored, "what is stored")
                equal(ask(port, "zsblk_up"), 1, "zsblk_up")
            finally:
                prometheus.terminate()
                exporter.shutdown()


@test
def dashboard():
    "each metric of the dashboard is one that zsblkctl prints"
    with open(os.path.join(METRICS, "zsblk.json"), encoding="utf-8") as f:
        board = json.load(f)
    used = set(re.findall(r"zsblk_\w+", json.dumps([panel["targets"] for panel in board["panels"]] + [board["templating"]])))
    with Here() as here:
        load(here.serve("one", "64M"), 0.2)
        known = {key[0] for key in parse(here.ctl("metrics"))}
    # What zsblkd tells, which is not asked here.
    with open(os.path.join(zsblktest.SOURCE, "src/ctl/metrics.c"), encoding="utf-8") as f:
        known |= set(re.findall(r'"(zsblk_\w+)", "[^"]*", NULL, \w+, STATUS', re.sub(r"\s+", " ", f.read())))
    equal(used - known, set(), "metrics that nobody prints")
    assert len(used) > 10, used


main()
