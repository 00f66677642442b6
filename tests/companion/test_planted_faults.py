"""A wrong constant, in a chapter or in the library, stops the chapter that checks it and turns the ledger red."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

pytest.importorskip("jupytext")
import jupytext
import matplotlib as mpl

from pdegcnn_lib import kernels
from pdegcnn_lib.companion import ledger
from pdegcnn_lib.geometry import SE2

ROOT = Path(__file__).resolve().parents[2]
EXPANSION = ("import functools", "ZETAS = ", "generator = ", "def sphere(", "near_t5 = ")
LEGENDRE = ("import functools", "slopes = torch.linspace(0, 1")
FLOW = ("import functools", "def difference(", "flow = solve_ivp(")


@pytest.fixture
def run(tmp_path: Path, monkeypatch) -> Callable[..., None]:
    """Run the cells of a chapter that hold these texts, one with `right` changed into `wrong`."""
    monkeypatch.setenv("PDEGCNN_ROOT", str(tmp_path))
    monkeypatch.setattr(ledger, "_open", {})

    def chapter(name: str, marks: tuple[str, ...], right: str = "", wrong: str = "") -> None:
        cells = [
            c.source for c in jupytext.read(ROOT / f"notebooks/{name}.md").cells if c.cell_type == "code"
        ]
        chosen = [source for source in cells if any(mark in source for mark in marks)]
        assert all(any(mark in source for source in chosen) for mark in marks)
        if right:
            assert any(right in source for source in chosen)
            chosen = [source.replace(right, wrong) for source in chosen]
        scope: dict = {"profile": "fast"}
        for source in chosen:
            exec(compile(source, name, "exec"), scope)

    default = torch.get_default_dtype()
    with mpl.rc_context():
        yield chapter
    torch.set_default_dtype(default)


def red() -> list[str]:
    return [fault for fault in ledger.faults() if "FAILS" in fault]


def test_the_constant_of_the_logarithmic_estimate(run) -> None:
    run("11_how_far_is_it", EXPANSION)
    assert ledger.entries() and not red()
    with pytest.raises(AssertionError, match="FAILS"):
        run("11_how_far_is_it", EXPANSION, "zeta**2 / 48", "zeta**2 / 40")
    assert any("sup of (rho_c^2 - d^2)/d^4" in fault for fault in red())


def test_the_third_digit_of_the_constant_of_the_kernel(run, monkeypatch) -> None:
    run("14_dilation_and_erosion", LEGENDRE)
    assert ledger.entries() and not red()
    right = kernels.nu_alpha
    monkeypatch.setattr(kernels, "nu_alpha", lambda alpha: 1.01 * right(alpha))
    with pytest.raises(AssertionError, match="FAILS"):
        run("14_dilation_and_erosion", LEGENDRE)
    assert any("nu_alpha is a Legendre transform" in fault for fault in red())


@pytest.mark.parametrize("axis", range(3))
def test_a_sign_of_the_frame(run, monkeypatch, axis: int) -> None:
    if axis == 0:
        run("10_invariant_geometry", FLOW)
    right, signs = SE2.frame, torch.ones(3, dtype=torch.float64)
    signs[axis] = -1
    monkeypatch.setattr(SE2, "frame", staticmethod(lambda p: right(p) * signs))
    with pytest.raises(AssertionError):
        run("10_invariant_geometry", FLOW)
