#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""zsblk-bench --report: a page that is whole in itself, tells what was measured, and takes nothing from the machine for anything but text.

Usage: survey_test.py ZSBLK-BENCH

Strict parsers of XML and HTML judge the page always. Chromium looks at it where there is one: contrib/setup does not install it (115 MB).
"""
import html.parser
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "docs"))
import tap  # noqa: E402

BENCH = sys.argv[1]
SVG = "{http://www.w3.org/2000/svg}"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
TAGS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li", "b", "br", "small", "em", "strong", "code", "pre",
        "figure", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "time", "sup"}
SVG_TAGS = {"svg", "title", "desc", "text", "rect", "path", "circle", "line", "polyline", "g"}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "role", "tabindex", "scope", "id", "aria-label", "aria-labelledby"}
# A name that is a tag, ends attributes, says something to a shell, and has a character that turns the text around.
HOSTILE = "<img src=x onerror=alert(1)>\"'&amp; $(id) ü\u202e.pages"


def run(*words, cwd=None):
    return subprocess.run([BENCH, *words], capture_output=True, timeout=300, stdin=subprocess.DEVNULL, cwd=cwd)


def text_of(node):
    return " ".join("".join(node.itertext()).split())


def rows_of(table):
    return [[text_of(cell) for cell in row] for row in table.iter("tr")]


def tables_of(page):
    return {caption.split(":")[0].split(",")[0]: rows_of(table) for table in page.iter("table") for caption in [text_of(table.find("caption"))]}


class Tags(html.parser.HTMLParser):
    """Each tag that is opened is closed, as HTML sees it."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        if tag in TAGS - {"meta", "br"}:
            self.wrong.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def check_whole(content, page):
    """Nothing is fetched, run or sent, whatever a browser would allow."""
    tags = {node.tag for node in page.iter()}
    tap.none(tags - TAGS - {SVG + tag for tag in SVG_TAGS}, "no tags but those of text and drawings")
    tap.none({name for node in page.iter() if not node.tag.startswith(SVG) for name in node.keys()} - ATTRIBUTES, "no attributes but harmless ones")
    tap.none({name for node in page.iter() for name in node.keys() if name.lower().startswith("on") or name.lower().endswith(("href", "src"))},
             "nothing is run or fetched")
    tap.none(set(re.findall(rb"(?i)(?:url\(|@import|https?:)[^\"' ]*", content)) - {b"http://www.w3.org/2000/svg"}, "no address but the name of SVG")
    tap.result([meta.get("content") for meta in page.iter("meta") if meta.get("http-equiv")] == [POLICY], "and the policy forbids all of it")
    judge = Tags()
    judge.feed(content.decode())
    tap.result(not judge.wrong and not judge.open, "HTML closes what it opens", judge.wrong, judge.open)


def check_access(page):
    """For those who see no pictures, and no colours."""
    body = page.find("body")
    heads = [node.tag for node in body.iter() if node.tag in ("h1", "h2")]
    tap.result(page.get("lang") == "en" and heads[0] == "h1" and heads.count("h1") == 1 and len(heads) > 5, "a language, one title, and headings", heads)
    ids = [node.get("id") for node in page.iter() if node.get("id")]
    tap.result(len(ids) == len(set(ids)), "each id once", ids)
    pictures = list(page.iter(SVG + "svg"))
    tap.result(len(pictures) == 3 and all(picture.get("role") == "img" and picture.get("aria-labelledby").split() ==
                                          [picture.find(SVG + tag).get("id") for tag in ("title", "desc")] and
                                          picture.find(SVG + "title").text and picture.find(SVG + "desc").text for picture in pictures),
               "pictures have names and descriptions")
    order = [node.tag for node in body.iter() if node.tag in ("figure", "table")]
    tap.result(all(a != "figure" or b == "table" for a, b in zip(order, order[1:] + ["end"])), "below each picture is a table", order)
    tap.result(all(table.find("caption") is not None and all(cell.get("scope") for cell in table.iter("th")) for table in page.iter("table")),
               "tables have captions, and headings of rows and columns")
    colours = {node.get(name) for node in page.iter() for name in ("fill", "stroke") if node.get(name)}
    tap.none(colours - {"none", "currentColor", "var(--paper)", "var(--line)", "var(--accent)"}, "colours are those of the page")


def check_memory(page, has_lzma):
    rows = tables_of(page)["All memory is counted"][1:]
    share = {name: float(cells[1]) for name, *cells in rows}
    names = [name for name in share if "zsblk" in name]
    shares = [share[name] for name in names]
    tap.result([name.split()[-1] for name in names] == ["lz4:1", "zstd:3", "zstd:9", "lzma:1" if has_lzma else "zstd:19"] and
               100 == share["Uncompressed"] > shares[0] > shares[1] and shares[0] > shares[2] > shares[3] > 0,
               "memory of each tier, smaller from tier to tier", rows)
    bars = [node.text for node in next(page.iter(SVG + "svg")).iter(SVG + "text") if node.text.endswith(" MB")]
    tap.result([float(text[:-3]) for text in bars] == list(share.values()), "the picture has the figures of the table", bars, rows)
    told = " ".join(map(text_of, page.iter("p")))
    # Root of a machine with zram has figures; anybody else has the reason.
    for algorithm in ("lz4", "zstd"):
        tap.result((f"Kernel zram {algorithm}" in share) != (f"kernel zram with {algorithm}, because" in told), f"zram with {algorithm}, or why not", told)
    latencies = tables_of(page)["Microseconds"][1:]
    tap.result(len(latencies) == 6 and all(0 < float(p50) <= float(p99) for _, p50, p99 in latencies), "a row for each latency", latencies)


def check_day(page, kind):
    told = text_of(page.find("body"))
    tables = tables_of(page)
    moments = tables["Sizes in MB"][1:]
    tap.result(kind in told and len(moments) == 7, f"the day: {kind}", told)
    first, last = moments[0], moments[-1]
    tap.result(float(last[3]) < float(last[2]) and int(last[5].rstrip(" %")) > 0 and first[5] == "0 %",
               "the policy takes less memory in the end, when some is frozen", moments)
    costs = dict(tables["What the day costs"][1:])
    tap.result(int(costs["Pages read"]) >= int(costs["of these, out of cold or frozen groups"]) >= int(costs["of these, out of frozen groups"]),
               "reads out of groups are a part of all", costs)


def check_report(folder, has_lzma):
    pages = os.path.join(folder, HOSTILE)
    run("--synthetic=4M", "-r", "1", "-a", "lz4", "--save", pages)
    done = run("--report", os.path.join(folder, "new"), pages)
    path = os.path.join(folder, "new", "report.html")
    tap.result(done.returncode == 0 and done.stdout.decode().strip() == path and not done.stderr, "a report, in a new folder", done.stderr)
    with open(path, "rb") as file:
        content = file.read()
    page = tree.fromstring(content)
    tap.result(os.listdir(os.path.dirname(path)) == ["report.html"], "and nothing beside it", os.listdir(os.path.dirname(path)))
    check_whole(content, page)
    check_access(page)
    check_memory(page, has_lzma)
    check_day(page, "A projection, not a measurement.")
    told = text_of(page.find("body"))
    tap.result(HOSTILE.replace("\u202e", "?") in told and "\u202e" not in content.decode(), "a name is text, whatever it has", told[:1000])
    command = next(page.iter("pre")).find("code").text
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True).stdout.split(b"\0")
    tap.result(command.isascii() and words == [BENCH.encode(), b"--report", os.path.dirname(path).encode(), pages.encode(), b""],
               "its command line is read back by a shell, word by word", command)
    facts = dict(zip([node.text for node in page.iter("dt")], [text_of(node) for node in page.iter("dd")]))
    tap.result(os.uname().release in facts["Kernel"] and f"{os.sysconf('SC_PAGESIZE') // 1024} KiB" in facts["Kernel"] and
               re.search(r"lz4 \d+\.\d+\.\d+, zstd \d+\.\d+\.\d+", facts["Codecs"]) and ("lzma " in facts["Codecs"]) == has_lzma, "the machine", facts)
    return path


def check_recorded(folder):
    trace = os.path.join(folder, "day<b>.trace")
    with open(trace, "w", encoding="ascii") as file:
        file.write("0 W 0 640\n")
        for hour in range(1, 20):
            file.write(f"{hour * 3600000} W {hour * 8} 8\n{hour * 3600000 + 1000} R {700 - hour * 16} 8\n")
    target = os.path.join(folder, "new")
    done = run("--report", target, "--synthetic=1M", "--replay", trace)
    tap.result(done.returncode == 0, "a report in place of an older one, with a recorded day", done.stderr)
    page = tree.parse(os.path.join(target, "report.html")).getroot()
    check_day(page, f"Recorded requests, simulated policy. {trace}: 39 events in 19.0 hours.")
    tap.result("These pages are made up." in text_of(page.find("body")), "synthetic pages are called made up")
    with open(trace, "w", encoding="ascii") as file:
        file.write("0 W 0 64\n0 L 0 7\n9000 R 3 1\n")
    done = run("--report", target, "--synthetic=1M", "--replay", trace, "-a", "zstd", "--cold", "zstd:1", "--frozen", "zstd:2")
    told = text_of(tree.parse(os.path.join(target, "report.html")).getroot().find("body"))
    tap.result(done.returncode == 0 and "7 requests were lost" in told and "nothing becomes cold in it" in told and "zstd:2" in told and
               "lz4:1" not in told, "a trace of seconds, and other algorithms", done.stderr)


def check_machine(folder):
    """Pages of this machine. Those of this test are among them, if no rule forbids it."""
    done = run("--report", os.path.join(folder, "machine"), "--limit", "2M")
    if done.returncode and b"no process of this machine may be read" in done.stderr:
        return tap.skip("pages of all processes", "none may be read")
    told = text_of(tree.parse(os.path.join(folder, "machine", "report.html")).getroot().find("body"))
    return tap.result(done.returncode == 0 and re.search(r"of \d+ of the \d+ processes of this machine", told) and "made up" not in told,
                      "pages of all processes", done.stderr, told[:1000])


def check_refusals(folder):
    """What is not a report of ours stays as it is, and is found before anything is measured."""
    for what in ("file", "link", "folder", "pipe", "another page"):
        target = os.path.join(folder, "theirs-" + what)
        name = os.path.join(target, "report.html")
        os.mkdir(target)
        if what == "link":
            shutil.copy(os.path.join(folder, "new", "report.html"), os.path.join(target, "real"))
            os.symlink("real", name)
        elif what == "folder":
            os.mkdir(name)
        elif what == "pipe":
            os.mkfifo(name)
        else:
            with open(name, "w", encoding="ascii") as file:
                file.write("mine" if what == "file" else "<!DOCTYPE html>\n<!-- made by hand -->\n")
        before = (sorted(os.listdir(target)), os.lstat(name))
        done = run("--report", target, "/no/such/pages")
        after = (sorted(os.listdir(target)), os.lstat(name))
        tap.result(done.returncode == 1 and "is not a report that you made" in done.stderr.decode() and before == after, f"refuses a {what} that is in the way",
                   done.stderr)
    plain = os.path.join(folder, "plain")
    with open(plain, "w", encoding="ascii"):
        pass
    for words, message in [([plain], "Not a directory"), ([os.path.join(folder, "no", "such")], "cannot be made: No such file")]:
        done = run("--report", *words, "--synthetic=1M")
        tap.result(done.returncode == 1 and message in done.stderr.decode(), f"refuses {message}", done.stderr)
    never = os.path.join(folder, "never")
    for words, message in [(["--json"], "--json: not with --report"), (["-t", "2"], "--threads: not with --report"), (["-r", "2"], "--repeat: not"),
                           (["--mix", "raw"], "--mix: not with"), (["--replay", "x", "--cold-after", "5s"], "--cold-after: not with --report"),
                           (["--save", "x"], "--save: not with"), (["--plot", "x"], "not with --plot"), (["--capture-swap", "x"], "not with --capture-swap")]:
        done = run("--report", never, "--synthetic=1M", *words)
        tap.result(done.returncode == 1 and message in done.stderr.decode() and not os.path.exists(never),
                   f"refuses {' '.join(words)}", done.stderr)
    # A failure leaves the older report as it was, and nothing beside it.
    path = os.path.join(folder, "new", "report.html")
    before = os.stat(path)
    done = run("--report", os.path.dirname(path), "--synthetic=1M", "--replay", "/no/such/trace")
    tap.result(done.returncode == 1 and os.stat(path) == before and len(os.listdir(os.path.dirname(path))) == 1, "keeps the older report when one fails", done.stderr)
    tap.result(stat.S_IMODE(before.st_mode) == 0o666 & ~current_umask(), "a report has the rights that the umask leaves", oct(before.st_mode))


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ---------------------------------------------------------------- in a browser

# Each frame has the page as a window of this width shows it. What is seen becomes the text of this page.
FRAMES = """<!DOCTYPE html><body>%s<script>
onload = () => document.body.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(frame => {
  const page = frame.contentDocument, root = page.documentElement, style = frame.contentWindow.getComputedStyle(page.body);
  const texts = [...page.querySelectorAll("svg text")];
  const drawn = node => node.getBoundingClientRect();
  return {
    width: frame.clientWidth, needed: root.scrollWidth, paper: style.backgroundColor, ink: style.color,
    fetched: frame.contentWindow.performance.getEntriesByType("resource").length,
    smallest: Math.min(...texts.map(text => drawn(text).height)),
    outside: texts.filter(text => drawn(text).right > drawn(text.ownerSVGElement).right + 1 || drawn(text).left < drawn(text.ownerSVGElement).left - 1)
      .map(text => text.textContent),
    pictures: [...page.querySelectorAll("svg")].filter(svg => drawn(svg).height > 100).length,
  }}))
</script>"""


def browse(browser, folder, *words):
    return subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-dev-shm-usage",
                           "--user-data-dir=" + os.path.join(folder, "browser"), "--allow-file-access-from-files", *words],
                          capture_output=True, timeout=120, stdin=subprocess.DEVNULL, env=os.environ | {"HOME": folder})


def look(browser, folder, report, *words):
    wrapper = os.path.join(folder, "frames.html")
    with open(wrapper, "w", encoding="ascii") as file:
        file.write(FRAMES % "".join(f'<iframe src="file://{report}" width="{width}" height="900" style="border:0"></iframe>' for width in (320, 375, 1280)))
    done = browse(browser, folder, *words, "--dump-dom", "file://" + wrapper)
    found = re.search(r"<body>(\[.*\])</body>", done.stdout.decode())
    return json.loads(found.group(1)) if found else done.stderr


def check_browser(folder, report):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        return tap.skip("in a browser", "no chromium here: apt-get install chromium (115 MB)")
    light, dark = look(browser, folder, report), look(browser, folder, report, "--blink-settings=preferredColorScheme=0")
    if not isinstance(light, list) or not isinstance(dark, list):
        return tap.skip("in a browser", "it does not start here")
    tap.result(all(frame["needed"] <= frame["width"] for frame in light), "nothing is wider than a telephone, or a screen", light)
    tap.result(all(frame["smallest"] > 9 and not frame["outside"] and frame["pictures"] == 3 for frame in light), "pictures can be read on each", light)
    tap.result(all(frame["fetched"] == 0 for frame in light), "nothing is fetched")
    tap.result(all(a["paper"] != b["paper"] and a["ink"] != b["ink"] for a, b in zip(light, dark)), "dark where the system is dark", light[0], dark[0])
    paper = os.path.join(folder, "report.pdf")
    browse(browser, folder, "--print-to-pdf=" + paper, "--no-pdf-header-footer", "file://" + report)
    with open(paper, "rb") as file:
        sheets = len(re.findall(rb"/Type ?/Page\b", file.read()))
    return tap.result(1 <= sheets <= 6, "it can be printed", sheets)


def main():
    has_lzma = b"lzma" in run("--help").stdout
    folder = tempfile.mkdtemp(prefix="zsblk-report-")
    try:
        report = check_report(folder, has_lzma)
        check_browser(folder, report)
        check_recorded(folder)
        check_machine(folder)
        check_refusals(folder)
    finally:
        shutil.rmtree(folder)
    tap.done()


main()
