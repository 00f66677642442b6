#!/usr/bin/env python3
"""Check the types that `book/_browser/` declares in JSDoc, with TypeScript as the package `deno` carries it.

The scripts of a page share their names without importing them, so each page and each worker is checked as one text, in
the order in which the browser reads it; what is found is told in the lines of the files.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from browser_pages import PAGE_SCRIPTS, SCRIPTS, WORKER_SCRIPTS

FOLDER = Path(".make/browser/types")
OPTIONS = {"checkJs": True, "strict": True, "lib": ["esnext", "dom", "dom.iterable"]}
PLACE = re.compile(r"at file://\S*/(\S+?)\.js:(\d+):(\d+)")


def joined(names: tuple[str, ...]) -> tuple[str, list[tuple[str, int]]]:
    """The text of scripts one after the other, and the file and line of each of its lines."""
    lines, places = [], []
    for name in names:
        found = (SCRIPTS / name).read_text(encoding="utf-8").splitlines()
        lines += found
        places += [(name, n + 1) for n in range(len(found))]
    return "\n".join([*lines, ""]), places


def compiler() -> str:
    try:
        [found] = [file for file in files("deno") or () if file.name in ("deno", "deno.exe")]
    except PackageNotFoundError:
        raise SystemExit("no TypeScript: the package deno has it, pip install 'pdegcnn[dev]'") from None
    return str(found.locate())


def check(folder: Path = FOLDER) -> list[str]:
    """What TypeScript finds, a paragraph each, told once where two pages share a script."""
    program = compiler()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "deno.json").write_text(json.dumps({"compilerOptions": OPTIONS}), encoding="utf-8")
    places = {}
    for page, names in {**PAGE_SCRIPTS, "worker": WORKER_SCRIPTS}.items():
        text, places[page] = joined(names)
        (folder / f"{page}.js").write_text(text, encoding="utf-8")
    quiet = {"NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": str(folder.resolve() / "cache")}
    done = subprocess.run(
        [program, "check", "--no-remote", *(f"{page}.js" for page in places)],
        cwd=folder,
        env={**os.environ, **quiet},
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode == 0:
        return []

    def place(match: re.Match[str]) -> str:
        name, line = places[match[1]][int(match[2]) - 1]
        return f"at book/_browser/{name}:{line}:{match[3]}"

    told = PLACE.sub(place, done.stderr)
    return list(dict.fromkeys(re.split(r"\n(?=TS\d+ )", told)))


if __name__ == "__main__":
    if faults := check():
        sys.exit("\n".join(faults))
