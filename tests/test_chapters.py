"""What every chapter of the theory has: boxes, figures that the text points to, exercises with solutions, a way on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("jupytext")
ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("1[0-9]*_*.md"))
ALL = sorted((ROOT / "notebooks").glob("*.md"))
FIRST = [*sorted((ROOT / "notebooks").glob("0[12]_*.md")), *CHAPTERS]


def cells(path: Path) -> list:
    import jupytext

    return jupytext.read(path, fmt="md:myst").cells


def prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")


def figures(path: Path) -> list[dict]:
    return [cell.metadata["mystnb"]["figure"] for cell in cells(path) if "mystnb" in cell.metadata]


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize("path", CHAPTERS, ids=names(CHAPTERS))
def test_two_exercises_with_solutions_one_of_them_in_code(path: Path) -> None:
    text = prose(path)
    labels = re.findall(r"^:::\{exercise\}\n:label: (\S+)$", text, re.MULTILINE)
    solutions = re.findall(
        r"^:::\{solution\} (\S+)\n:class: dropdown\n(.*?)^:::$", text, re.MULTILINE | re.DOTALL
    )
    assert len(labels) == 2 and [label for label, _ in solutions] == labels
    blocks = re.findall(
        r"^```python\n(.*?)^```$", "\n".join(body for _, body in solutions), re.MULTILINE | re.DOTALL
    )
    assert blocks, "no solution shows code"
    for block in blocks:
        compile(block, path.name, "exec")


@pytest.mark.parametrize("path", FIRST, ids=names(FIRST))
def test_a_takeaway_and_a_way_on(path: Path) -> None:
    text = prose(path)
    assert len(re.findall(r"^:::\{admonition\} Takeaway\n:class: tip$", text, re.MULTILINE)) == 1
    last = text.strip().splitlines()[-1]
    assert re.match(r"Next: .*\[\]\(\S+\.md\)", last), last


@pytest.mark.parametrize("path", FIRST, ids=names(FIRST))
def test_every_figure_has_a_caption_and_is_spoken_of(path: Path) -> None:
    everywhere = "".join(prose(p) for p in FIRST) + (ROOT / "book/explorers.md").read_text()
    for figure in figures(path):
        assert figure["caption"].rstrip().endswith((".", "?")), figure["name"]
        assert len(figure["caption"].split()) >= 12, f"{figure['name']}: a caption can be read alone"
        assert f"{{numref}}`{figure['name']}`" in everywhere, f"{figure['name']}: no text points to it"


@pytest.mark.parametrize("path", ALL, ids=names(ALL))
def test_code_is_short_and_fits_its_column(path: Path) -> None:
    code = [cell.source for cell in cells(path) if cell.cell_type == "code"]
    for source in code:
        lines = [line for line in source.splitlines() if line.strip()]
        assert len(lines) <= 20, f"{len(lines)} lines: {lines[0]}"
    shown = re.findall(r"^```python\n(.*?)^```$", prose(path), re.MULTILINE | re.DOTALL)
    assert not [line for text in (*code, *shown) for line in text.splitlines() if len(line) > 79]


@pytest.mark.parametrize("path", FIRST, ids=names(FIRST))
def test_cells_define_no_classes(path: Path) -> None:
    for cell in cells(path):
        if cell.cell_type == "code":
            assert not any(line.startswith("class ") for line in cell.source.splitlines())


def test_references_lead_to_labels() -> None:
    """Sphinx checks this too, in minutes."""
    pages = "".join(p.read_text() for p in [*FIRST, *sorted((ROOT / "notebooks").glob("*.md"))])
    pages += "".join(p.read_text() for p in (ROOT / "book").glob("*.md"))
    labels = set(re.findall(r"^:label: (\S+)$", pages, re.MULTILINE))
    for role in ("prf:ref", "eq"):
        asked = set(re.findall(rf"\{{{role}\}}`([\w-]+)`", pages))
        assert asked <= labels, (role, asked - labels)
