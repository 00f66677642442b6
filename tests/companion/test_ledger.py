"""The ledger: what passes, what is written, what turns the page red."""

from __future__ import annotations

import importlib.util
import json
import math
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pdegcnn_lib.companion import ledger
from pdegcnn_lib.geometry import SE2, distance, rho_c
from pdegcnn_lib.kernels import nu_alpha

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path))
    monkeypatch.setattr(ledger, "_open", {})
    monkeypatch.syspath_prepend(ROOT / "tools")  # where the tools find each other
    return tmp_path


def put(**changes: object) -> None:
    row = {
        "statement": "T5",
        "claim": "constant",
        "expected": 0.3333,
        "measured": 0.3334,
        "where": "10_theory",
    }
    given = {"tolerance": 0.02, "relative": True, "because": "the next term"}
    ledger.record(**{**row, **given, **changes})


def test_a_row_is_checked_written_and_printed(empty, capsys) -> None:
    put(measured=torch.tensor(0.33341234, dtype=torch.float64))
    assert capsys.readouterr().out == "T5  constant: measured 0.333, expected 0.333 within 0.00667; holds\n"
    (row,) = json.loads((empty / "book/_executed/ledger/10_theory.json").read_text())
    assert row["measured"] == 0.333 and row["expected"] == 0.3333
    put(measured=0.3301)
    assert len(ledger.entries()) == 1  # a cell that is run twice keeps one row
    put(claim="another", measured=1e-12, expected=0, tolerance=1e-9, relative=False)
    assert capsys.readouterr().out.endswith("T5  another: 0 within 1e-09; holds\n")
    assert len(ledger.entries()) == 2


@pytest.mark.parametrize(
    ("relation", "measured", "passes"),
    [
        ("equals", 1.05, True),
        ("equals", 1.2, False),
        ("at most", 1.05, True),
        ("at most", -5, True),
        ("at most", 1.2, False),
        ("at least", 0.95, True),
        ("at least", 5, True),
        ("at least", 0.8, False),
        ("at least", math.inf, False),
        ("equals", math.nan, False),
    ],
)
def test_relations(relation: str, measured: float, passes: bool) -> None:
    arguments = {
        "relation": relation,
        "measured": measured,
        "expected": 1.0,
        "tolerance": 0.1,
        "relative": False,
    }
    if passes:
        put(**arguments)
    else:
        with pytest.raises(AssertionError, match="FAILS"):
            put(**arguments)
        assert not ledger.entries()[0].green  # the page shows the row that stopped the notebook
    # What is no number is evidence of nothing, whatever was dropped.
    with pytest.raises(AssertionError) if passes or math.isnan(measured) else nullcontext():
        put(**arguments, dropped="symmetry")


def test_a_dropped_assumption_has_to_matter(capsys) -> None:
    put(measured=0.9, dropped="a small radius")
    expected = "T5  constant: measured 0.9, not 0.333; fails without a small radius, as it must\n"
    assert capsys.readouterr().out == expected
    with pytest.raises(AssertionError, match="HOLDS WITHOUT"):
        put(dropped="nothing that matters")


def test_exact_equality(capsys) -> None:
    put(expected=2542, measured=2542, tolerance=0)
    assert capsys.readouterr().out == "T5  constant: 2542, exactly; holds\n"


def test_a_bound_shows_what_was_measured_unless_it_is_rounding(capsys) -> None:
    bound = {"relation": "at most", "expected": 4, "relative": False, "tolerance": 0.01}
    put(claim="inside", measured=3.46, **bound)
    put(claim="on the bound", measured=4.0000001, **bound)
    put(claim="outside", measured=5.2, dropped="a small C", **bound)
    assert capsys.readouterr().out.splitlines() == [
        "T5  inside: measured 3.5, at most 4; holds",
        "T5  on the bound: at most 4; holds",
        "T5  outside: measured 5.2, not at most 4; fails without a small C, as it must",
    ]


def test_a_quiet_row_is_checked_and_filed_but_not_printed(capsys) -> None:
    put(quiet=True)
    assert capsys.readouterr().out == "" and len(ledger.entries()) == 1
    with pytest.raises(AssertionError, match="FAILS"):
        put(measured=7.0, quiet=True)


def test_a_new_process_replaces_the_file_of_its_notebook(empty, monkeypatch) -> None:
    put(claim="old")
    monkeypatch.setattr(ledger, "_open", {})
    put(claim="new")
    put(claim="elsewhere", where="11_more")
    assert [row.claim for row in ledger.entries()] == ["new", "elsewhere"]


def measure_the_others() -> None:
    for name in ledger.STATEMENTS:
        if name != "T5":
            put(statement=name, claim="measured")


def test_the_page_is_red_until_every_statement_has_a_row(empty, capsys) -> None:
    out = empty / "page.md"
    put(because="the next term")
    assert ledger.main(["--out", str(out)]) == 1
    assert "MISSING" in out.read_text() and "T1 has no row" in capsys.readouterr().err
    assert f"**{len(ledger.STATEMENTS) - 1} faults.**" in out.read_text()
    ledger.cannot_check(statement="T1", claim="a | b", reason="for the test", where="10_theory")
    measure_the_others()
    assert ledger.missing() == ledger.faults() == []
    assert ledger.main(["--out", str(out)]) == 0 and capsys.readouterr().err == ""
    page = out.read_text()
    assert "MISSING" not in page and "every row is as it should be" in page
    assert "| a \\| b |  |  | not checked: for the test |  | {doc}`10 <notebooks/10_theory>` |" in page
    assert (
        "| constant | 0.333 ± 0.00667 | 0.333 | holds | the next term | {doc}`10 <notebooks/10_theory>` |"
        in page.replace("\N{NO-BREAK SPACE}", " ")
    )
    with pytest.raises(AssertionError):
        put(measured=7.0)
    assert ledger.main(["--out", str(out)]) == 1
    assert "**FAILS**" in out.read_text()


@pytest.mark.parametrize("fault", ["no row", "FAILS", "HOLDS WITHOUT"])
def test_a_red_ledger_stops_the_build(empty, fault: str) -> None:
    """The generator of the pages leaves with a message, and says which statement is at fault."""
    measure_the_others()
    pages = load("generated_pages")
    with pytest.raises(AssertionError) if fault != "no row" else nullcontext():
        if fault != "no row":
            put(**{"measured": 7.0} if fault == "FAILS" else {"dropped": "nothing that matters"})
    with pytest.raises(SystemExit, match=f"T5.*{fault}"):
        pages.ledger_page()
    put()
    assert pages.ledger_page() == ledger.table()


def test_only_a_positive_measurement_covers_a_statement() -> None:
    """A row that cannot be measured, or that fails on purpose, says nothing for the statement."""
    ledger.cannot_check(statement="T1", claim="c", reason="for the test", where="10_theory")
    put(statement="T2", measured=7.0, dropped="an assumption")
    put()
    assert {"T1", "T2"} <= set(ledger.missing()) and "T5" not in ledger.missing()


def test_a_tolerance_from_nowhere_is_a_fault() -> None:
    measure_the_others()
    put(because="")
    [fault] = ledger.faults()
    assert fault == "T5 constant (10_theory): does not say where its tolerance comes from"
    put(measured=0.3333, tolerance=0, because="")
    assert ledger.faults() == []  # exact: there is nothing to explain


def sup_near_p0(zeta: float = 2.0) -> float:
    """The largest (rho_c^2 - d^2)/d^4 near p0, as chapter 11 measures it."""
    w = torch.tensor([1.0, zeta, 1.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    unit = torch.nn.functional.normalize(
        torch.randn(2000, 3, dtype=torch.float64, generator=generator), dim=-1
    )
    p = SE2.exp(0.1 * unit / w)
    d = distance(p, w)
    return float(((rho_c(p, w) ** 2 - d**2) / d**4).max())


def legendre(alpha: float = 0.65) -> float:
    slopes = torch.linspace(0, 1, 2_000_001, dtype=torch.float64)
    return float((slopes - slopes ** (2 * alpha)).max())


def drift(signs: tuple[float, float, float]) -> float:
    """How far a short step along a frame with these signs ends from the exponential."""
    velocity = torch.tensor([1.0, 0.5, 0.3], dtype=torch.float64)
    start = torch.tensor([0.2, -0.1, 0.7], dtype=torch.float64)
    along = SE2.frame(start) @ (torch.tensor(signs, dtype=torch.float64) * velocity)
    return float((SE2.product(start, SE2.exp(1e-6 * velocity)) - start - 1e-6 * along).abs().max() / 1e-6)


PLANTED = {  # what is measured, the constant of the theory, a wrong one, the tolerance of the chapters
    "zeta^2/40 for zeta^2/48": (sup_near_p0, 4 / 48, 4 / 40, 0.02 * 4 / 48),
    "the third digit of nu_alpha": (legendre, nu_alpha(0.65), 1.01 * nu_alpha(0.65), 1e-12),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_constant_turns_the_ledger_red(planted: str) -> None:
    measured, right, wrong, tolerance = PLANTED[planted]
    arguments = {"measured": measured(), "tolerance": tolerance, "relative": False}
    put(expected=right, **arguments)
    assert not any("T5" in fault for fault in ledger.faults())
    with pytest.raises(AssertionError, match="FAILS"):
        put(expected=wrong, **arguments)
    assert any("T5 constant" in fault and "FAILS" in fault for fault in ledger.faults())


@pytest.mark.parametrize("axis", range(3))
def test_a_planted_sign_of_the_frame_turns_the_ledger_red(axis: int) -> None:
    signs = [1.0, 1.0, 1.0]
    put(expected=0, measured=drift(tuple(signs)), tolerance=1e-5, relative=False)
    signs[axis] = -1.0
    with pytest.raises(AssertionError, match="FAILS"):
        put(expected=0, measured=drift(tuple(signs)), tolerance=1e-5, relative=False)


def test_every_statement_has_a_box_and_a_row_in_a_chapter() -> None:
    assert set(ledger.BOXES) == set(ledger.STATEMENTS)
    chapters = "".join(path.read_text() for path in (ROOT / "notebooks").glob("*.md"))
    unstated = {label for label in ledger.BOXES.values() if f":label: {label}\n" not in chapters}
    assert not unstated
    recorded = {name for name in ledger.STATEMENTS if f'"{name}"' in chapters}
    assert recorded == set(ledger.STATEMENTS), "the book will not build"


def test_errors() -> None:
    for changes, message in (
        ({"statement": "T99"}, "T99"),
        ({"relation": "near"}, "near"),
        ({"tolerance": -1.0}, "negative"),
        ({"where": "../x"}, "notebook"),
    ):
        with pytest.raises(ValueError, match=message):
            put(**changes)
    with pytest.raises(ValueError, match="reason"):
        ledger.cannot_check(statement="T1", claim="x", reason="", where="a")


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6, 1e-12, 1e-15])
def test_a_row_that_holds_still_holds_when_it_is_read_back(tolerance: float, capsys) -> None:
    put(expected=1 / 13, measured=1 / 13 + tolerance / 3, tolerance=tolerance, relative=False)
    (row,) = ledger.entries()
    assert row.green
    assert len(str(row.measured)) <= max(6, 3 - math.log10(tolerance))  # and has no digit to spare
