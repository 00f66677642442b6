#!/usr/bin/env python3
"""Hashes of everything an output depends on, one small file each, rewritten only when the hash changes.

`setup` covers the lock and pyproject.toml, `browser` what the module for a browser is compiled from. `book` covers the
pages, the whole library (its docstrings are pages), the tools, the ledger and the results that the first page quotes.
`notebooks` writes one hash for each notebook: its text, the modules of the library that it imports directly or through
others, with the scripts of their names, the kernel sources where one of those modules loads them, and the results of
the experiments that it names. A change elsewhere in the library does not make a notebook stale, nor does a result that
the notebook does not read.
Needs nothing but Python's own library.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, EXAMPLES = "pdegcnn_lib", "examples"
PICTURES = {".jpg", ".png", ".svg"}
SOURCES = {".bib", ".css", ".cu", ".cuh", ".h", ".js", ".json", ".md", ".py", ".yaml", ".yml", *PICTURES}
# A notebook that calls the command line, or a module that loads kernels, depends on files it never imports.
USES_CLI = re.compile(rf"\bpdegcnn \w|-m {PACKAGE}")
COMMAND = {f"{PACKAGE}.companion.cli", f"{PACKAGE}.companion.segment"}
KERNELS = f"{PACKAGE}.ops.compiled"

# Notebooks write the ledger and only the book reads it.
LEDGER = "book/_executed/ledger"
FIRST_PAGE = ("results/vessels",)  # which it quotes


def files(folder: str) -> list[Path]:
    """The source files under a folder of the repository, without what is generated, in a fixed order."""
    top = ROOT / folder
    generated = {"_build", "_executed", "_generated", "__pycache__"}
    return sorted(
        p
        for p in top.rglob("*")
        if p.suffix in SOURCES and p.is_file() and not generated & set(p.relative_to(top).parts)
    )


@cache
def digest(path: Path) -> str:
    return f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def module_file(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def beside(module: Path) -> list[Path]:
    """A module with the sources of its name in other languages, which it reads."""
    return [p for p in module.parent.glob(f"{module.stem}.*") if p.suffix in SOURCES]


def imported(source: str) -> set[str]:
    """The modules of the package and the examples that a text imports, inside functions too, with their parents."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names if name.split(".")[0] in (PACKAGE, EXAMPLES)]
    return {".".join(p[:i]) for p in parts for i in range(1, len(p) + 1) if module_file(".".join(p[:i]))}


@cache
def imported_by(module: str) -> frozenset[str]:
    path = module_file(module)
    return frozenset(imported(path.read_text(encoding="utf-8"))) if path else frozenset()


def closure(modules: set[str]) -> set[str]:
    seen: set[str] = set()
    while modules:
        seen |= modules
        modules = set().union(*(imported_by(m) for m in modules)) - seen
    return seen


def code(notebook: Path) -> str:
    """The code cells of a MyST notebook, one after the other, without their options."""
    text = notebook.read_text(encoding="utf-8")
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    bodies = [
        re.sub(r"\A(---\n.*?^---\n|(?::[^\n]*\n)+)", "", cell, flags=re.MULTILINE | re.DOTALL)
        for cell in cells
    ]
    return "\n".join(bodies)


def constants(source: str) -> set[str]:
    """The texts that stand in a source, also between the braces of a formatted one; lists of exports do not count."""
    tree = ast.parse(source)
    exports = [
        n for n in ast.walk(tree) if isinstance(n, ast.Assign) and "__all__" in map(ast.unparse, n.targets)
    ]
    skipped = {id(inner) for n in exports for inner in ast.walk(n)}
    return {
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in skipped
    }


def results_named(sources: list[str]) -> list[Path]:
    """The results of the experiments that one of the sources names, whole (`vessels`) or in part (`digits-`)."""
    texts = set().union(*map(constants, sources))
    folders = [p.name for p in sorted((ROOT / "results").glob("*")) if p.is_dir()]
    named = [
        folder
        for folder in folders
        if any(t.split("/")[0] == folder or (t.endswith("-") and folder.startswith(t)) for t in texts)
    ]
    return [p for folder in named for p in files(f"results/{folder}")]


def notebook_inputs(notebook: Path) -> list[Path]:
    source = re.sub(r"^(\s*)[!%].*$", r"\1pass", code(notebook), flags=re.MULTILINE)
    modules = imported(source)
    if USES_CLI.search(code(notebook)):
        modules |= COMMAND
    # A module that a notebook imports by name, such as `claims`, names results in its stead; a package names too many.
    own = [p for m in sorted(modules) if (p := module_file(m)) and p.name != "__init__.py"]
    needed = closure(modules)
    return [
        notebook,
        ROOT / "tools/notebooks.py",
        *sorted(f for m in needed if (p := module_file(m)) for f in beside(p)),
        *(files("kernels_cu") if KERNELS in needed else []),
        *results_named([source, *(p.read_text(encoding="utf-8") for p in own)]),
    ]


def write(path: Path, salt: str, inputs: list[Path]) -> None:
    text = hashlib.sha256("\n".join([salt, *map(digest, inputs)]).encode()).hexdigest() + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="+", choices=["setup", "notebooks", "browser", "book"])
    parser.add_argument("--out", type=Path, required=True, help="the folder of the hashes")
    parser.add_argument("--salt", default="", help="text that enters every hash")
    options = parser.parse_args()
    if "setup" in options.what:
        write(options.out / "setup", options.salt, [ROOT / "requirements.lock", ROOT / "pyproject.toml"])
    if "notebooks" in options.what:
        for notebook in sorted(ROOT.glob("notebooks/*.md")):
            write(options.out / notebook.stem, options.salt, notebook_inputs(notebook))
    if "browser" in options.what:
        ours = [ROOT / "tools/browser_module.py", ROOT / PACKAGE / "ops/compiled/sources.py"]
        write(options.out / "browser", options.salt, [*files("kernels_cu"), *ours])
    if "book" in options.what:
        pages = [p for folder in ("book", PACKAGE, "tools", LEDGER, *FIRST_PAGE) for p in files(folder)]
        write(options.out / "book", options.salt, pages)


if __name__ == "__main__":
    main()
