"""Run, check and refresh the notebooks. The Markdown file is the source; its .ipynb twin carries the checked outputs.

run      executes a notebook with papermill in a kernel of its own and writes the copy that the book shows
refresh  writes the outputs of the cells tagged nbval-check-output into the twin, and no other output
check    fails where a twin is missing or its cells differ from the source
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with jupytext there

CHECKED = "nbval-check-output"
LONGEST_CELL = {"fast": 900, "full": None}  # seconds
PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"

# On Colab the checkout becomes the working directory, so that what lies beside the library is found too.
SETUP = """\
# Where the library is missing, as on Colab: fetch this version of it, and what the notebooks need.
import importlib.util

if importlib.util.find_spec("pdegcnn_lib") is None:
    !git clone --quiet --depth 1 --branch v{version} {repository} pdegcnn
    %cd -q pdegcnn
    %pip install --quiet ".[notebooks]\""""


def setup_cell() -> NotebookNode | None:
    """The first cell of a notebook that may be opened elsewhere; None while no public repository is named."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    repository = project.get("urls", {}).get("Repository")
    if repository is None:
        return None
    cell = nbformat.v4.new_code_cell(
        SETUP.format(version=project["version"], repository=repository), id="setup"
    )
    cell.metadata["tags"] = ["remove-cell"]
    return cell


def read(source: Path) -> NotebookNode:
    notebook = jupytext.read(source, fmt="md:myst")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:03d}"  # random ids would make every twin differ from the last one
    if setup := setup_cell():
        notebook.cells.insert(0, setup)
    return notebook


def write(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    nbformat.write(notebook, partial)
    os.replace(partial, path)


def contents(notebook: NotebookNode) -> list[tuple[str, str, list[str]]]:
    """What the reader wrote in a notebook: for each cell its type, text and tags."""
    return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]


def as_page(text: str) -> str:
    """The links of a Markdown cell as they are inside the book: between notebooks, and to the pages around them."""
    text = re.sub(r"\]\(([\w-]+)\.md(#[^)]*)?\)", r"](\1.ipynb\2)", text)
    return text.replace("](../book/", "](../")


def parameters(notebook: NotebookNode, profile: str) -> dict[str, str]:
    """What papermill hands to a notebook: the profile, where a cell of parameters asks for it."""
    asked = any("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells)
    return {"profile": profile} if asked else {}


def run_note(notebook: NotebookNode) -> NotebookNode:
    """The last cell of a page: how long it ran, and on what."""
    import platform

    import torch

    from pdegcnn_lib.companion.experiments.provenance import device_name
    from pdegcnn_lib.companion.experiments.run import default_device

    notes = notebook.metadata["papermill"]
    profile = notes["parameters"].get("profile")
    text = (
        f"*This page ran in {notes['duration']:.0f} s {f'with the profile `{profile}` ' if profile else ''}on "
        f"{device_name(default_device())}; Python {platform.python_version()}, torch {torch.__version__}.*"
    )
    return nbformat.v4.new_markdown_cell(text, id="run-note")


# What a reader may have set that would show on a page, or keep its figures from it.
READERS_OWN = ("MPLBACKEND", "PLOTLY_RENDERER", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONOPTIMIZE")
READERS_OWN += ("FORCE_COLOR", "PDEGCNN_ROOT", "PYTHONPATH", "PYTHONHOME", "PYTHONINSPECT", "JUPYTER_PATH")


def leave_out_the_readers_settings() -> None:
    """Kernels that start from here know nothing of the reader's profile of IPython, styles and variables."""
    for name in READERS_OWN:
        os.environ.pop(name, None)
    os.environ |= {"JUPYTER_PREFER_ENV_PATH": "1", "TQDM_DISABLE": "1", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    own = {"IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "jupyter", "MPLCONFIGDIR": "matplotlib"}
    os.environ |= {name: str(Path(".make", folder).resolve()) for name, folder in own.items()}
    if found := importlib.util.find_spec("matplotlib"):
        os.environ["MATPLOTLIBRC"] = str(Path(str(found.origin)).parent / "mpl-data/matplotlibrc")


def run(source: Path, out: Path, profile: str) -> None:
    import papermill

    leave_out_the_readers_settings()
    work = Path(".make/run")
    work.mkdir(parents=True, exist_ok=True)
    given, executed = work / f"{source.stem}.in.ipynb", work / f"{source.stem}.ipynb"
    notebook = read(source)
    nbformat.write(notebook, given)
    papermill.execute_notebook(
        given,
        executed,
        parameters=parameters(notebook, profile),
        kernel_name="python3",
        cwd=".",
        progress_bar=False,
        execution_timeout=LONGEST_CELL[profile],
    )
    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")  # the page shows the parameters once
        if cell.cell_type == "markdown":
            cell.source = as_page(cell.source)
    notebook.cells.append(run_note(notebook))
    write(notebook, out)


def refresh(source: Path, executed: Path) -> None:
    notebook = read(source)
    ran = nbformat.read(executed, as_version=4)
    outputs = [
        c.get("outputs")
        for c in ran.cells
        if c.id != "run-note" and "injected-parameters" not in c.metadata.get("tags", [])
    ]
    for i, (cell, output) in enumerate(zip(notebook.cells, outputs, strict=True)):
        if CHECKED in cell.metadata.get("tags", []):
            cell["outputs"], cell["execution_count"] = output, i  # nbval wants a count beside an output
            for part in output:
                if "execution_count" in part:
                    part["execution_count"] = i
    write(notebook, source.with_suffix(".ipynb"))


def check(sources: list[Path]) -> list[str]:
    """One sentence for each notebook whose twin is missing, differs from its source, or has an unchecked output."""
    faults = []
    for source in sources:
        twin = source.with_suffix(".ipynb")
        if not twin.is_file():
            faults.append(f"{twin} is missing: run `make refresh`")
            continue
        notebook = nbformat.read(twin, as_version=4)
        if contents(notebook) != contents(read(source)):
            faults.append(f"{twin} differs from {source.name}: run `make refresh`")
        for i, cell in enumerate(notebook.cells):
            tagged = CHECKED in cell.metadata.get("tags", [])
            if cell.cell_type == "code" and bool(cell.outputs) != tagged:
                state = "no output although it is tagged" if tagged else "an output although it is not tagged"
                faults.append(f"{twin}, cell {i} has {state} {CHECKED}: run `make refresh`")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    parse = verbs.add_parser("run")
    parse.add_argument("source", type=Path)
    parse.add_argument("--out", type=Path, required=True)
    parse.add_argument("--profile", choices=LONGEST_CELL, default="fast")
    parse = verbs.add_parser("refresh")
    parse.add_argument("source", type=Path)
    parse.add_argument("--executed", type=Path, required=True)
    parse = verbs.add_parser("check")
    parse.add_argument("source", type=Path, nargs="*")
    options = parser.parse_args()
    if options.verb == "run":
        run(options.source, options.out, options.profile)
    elif options.verb == "refresh":
        refresh(options.source, options.executed)
    else:
        faults = check(options.source)
        print(*faults, sep="\n", file=sys.stderr) if faults else None
        return 1 if faults else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
