# SPDX-License-Identifier: BSD-3-Clause
"""A program at work for contrib/capture: parses and compiles Python's own library and keeps the trees."""
import ast
import pathlib
import sysconfig
import time

kept = []
for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).rglob("*.py")):
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        kept.append((path, source, tree, compile(tree, str(path), "exec")))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        continue  # some test files are broken on purpose
print("done", flush=True)
time.sleep(3600)
