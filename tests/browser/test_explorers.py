"""The explorers of the built book: their formulas against the library, their sliders."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page

from pdegcnn_lib.geometry import SQUARED_ESTIMATES, as_metric, distance
from pdegcnn_lib.kernels import morphological_kernel

pytestmark = pytest.mark.browser

BOOK = Path(__file__).resolve().parents[2] / "book/_build/html"
SAMPLES = 20


READOUT = "document.querySelector('.explorer-readout').textContent"


def opened(page: Page, path: Path) -> Page:
    page.goto(path.as_uri())
    drawn = "document.querySelector('canvas').getAttribute('aria-label').includes('zeta')"
    page.wait_for_function(f"() => {drawn} || {READOUT}.startsWith('Nothing')")
    if page.locator(".explorer input").first.is_disabled():
        pytest.skip(page.locator(".explorer-readout").first.inner_text())
    return page


@pytest.fixture
def page(watched) -> Page:
    return opened(watched(), BOOK / "explorers.html")


def call(page: Page, function: str, arguments: list[list]) -> torch.Tensor:
    values = page.evaluate(f"all => all.map(a => pdegcnn.explorers.{function}(...a))", arguments)
    return torch.tensor(values, dtype=torch.float64)


# The page has w_M = w_A, where the covariant estimates are the papers'.
SHOWN = ("rho_c", "rho_b", "rho_b_sr", "rho_b_com")


def points(generator: torch.Generator) -> torch.Tensor:
    """Random (x, y, theta) of the window, on the cut at pi and at p0 too."""
    half = torch.tensor([3, 3, math.pi], dtype=torch.float64)
    p = (2 * torch.rand(SAMPLES, 3, dtype=torch.float64, generator=generator) - 1) * half
    p[0], p[1, 2], p[2, 2] = 0, 0, -math.pi
    return p


def estimate_error(page: Page, name: str) -> float:
    """The largest relative difference between an estimate on the page and in the library."""
    generator = torch.Generator().manual_seed(7)
    p = points(generator)
    zeta = 2 ** (3 * torch.rand(SAMPLES, dtype=torch.float64, generator=generator))
    w = torch.stack([torch.ones_like(zeta), zeta, torch.ones_like(zeta)], dim=-1)
    expected = SQUARED_ESTIMATES[name](p, as_metric(w)).sqrt()
    found = call(page, "rho", [[name, *q, z] for q, z in zip(p.tolist(), zeta.tolist(), strict=True)])
    return float(((found - expected).abs() / expected.clamp(min=1e-3)).max())


def kernel_error(page: Page, name: str) -> float:
    """The largest relative difference between the kernel on the page and in the library, at taps of a window."""
    generator = torch.Generator().manual_seed(11)
    asked, expected = [], []
    for _ in range(SAMPLES):
        zeta, alpha, t = (
            low + (high - low) * float(torch.rand((), generator=generator))
            for low, high in ((1, 8), (0.55, 1), (0.2, 3))
        )
        o, step, y, x = (int(torch.randint(n, (), generator=generator)) for n in (8, 5, 7, 7))
        w = torch.tensor([[1, zeta, 1]], dtype=torch.float64)
        k = morphological_kernel(w, alpha=alpha, window=(5, 7, 7), orientations=8, t=t, estimate=name)
        state = {"zeta": zeta, "alpha": alpha, "t": t, "o": o}
        asked.append([name, state, step - 2, x - 3, y - 3])
        expected.append(k[0, o, step, y, x])
    right = torch.stack(expected)
    return float(((call(page, "kernel", asked) - right).abs() / right.clamp(min=1e-9)).max())


@pytest.fixture(scope="module")
def formulas(shared: Page) -> Page:
    """A page that is only asked for values."""
    return opened(shared, BOOK / "explorers.html")


@pytest.mark.parametrize("name", SHOWN)
def test_the_formulas_are_those_of_the_library(formulas, name):
    assert estimate_error(formulas, name) < 1e-6
    assert kernel_error(formulas, name) < 1e-6


@pytest.mark.parametrize("zeta", [1, 2, 4, 8])
def test_the_exact_distance_is_that_of_the_library(formulas, zeta):
    """Linear interpolation in a table errs by a seventh of the width of the line of d, 0.028; zeta = 1 needs none."""
    generator = torch.Generator().manual_seed(13)
    p = 6 * torch.rand(400, 3, dtype=torch.float64, generator=generator) - 3
    p[:, 2] = torch.randint(-12, 13, (400,), generator=generator).double() * (math.pi / 12)
    expected = distance(p, torch.tensor([1.0, zeta, 1.0], dtype=torch.float64))
    error = (call(formulas, "distance", [[*q, zeta] for q in p.tolist()]) - expected).abs()
    assert float(error.max()) < (1e-6 if zeta == 1 else 0.004)


IN_THE_PAGE = {
    "b + 12 * o * count": "b + 12 * count",
    "(2 * alpha) ** (-2 * exponent)": "(2 * alpha) ** (2 * exponent)",
    "Float32Array.from([1, zeta, 1])": "Float32Array.from([zeta, 1, 1])",
}
IN_THE_KERNELS = {
    "s * q[3 * n] - c * q[3 * n + 1]": ("coordinates.cu", "s * q[3 * n] + c * q[3 * n + 1]"),
    "c * p[1] - s * p[0]": ("coordinates.cu", "c * p[1] + s * p[0]"),
    "half / sin(half)": ("coordinates.cu", "2 * half / sin(half)"),
    "return lower > upper ? lower : upper": ("estimates.cuh", "return lower > upper ? upper : lower"),
    "cube * across * b2 * b2": ("estimates.cuh", "cube * b2 * b2"),
}
UNITS = ("coordinates", *(f"table_{word}_Power" for word in ("Diagonal", "SubRiemannian", "Combined")))


def assert_wrong(new_page, path: Path) -> None:
    page = opened(new_page(), path)
    assert max(max(estimate_error(page, n), kernel_error(page, n)) for n in SHOWN) > 1e-3
    page.close()


@pytest.mark.parametrize("right", IN_THE_PAGE)
def test_a_wrong_formula_is_noticed(new_page, changed_page, right):
    assert_wrong(
        new_page, changed_page("explorers.html", lambda text: text.replace(right, IN_THE_PAGE[right]))
    )


@pytest.mark.parametrize("right", IN_THE_KERNELS)
def test_a_wrong_kernel_is_noticed(new_page, page_with_a_fault_in, right):
    file, wrong = IN_THE_KERNELS[right]
    assert_wrong(new_page, page_with_a_fault_in("explorers.html", file, right, wrong, UNITS))


SNAPSHOT = "canvas => canvas.toDataURL()"


def test_every_control_is_labelled_and_redraws_from_the_keyboard(page):
    controls = page.locator(".explorer input, .explorer select")
    assert controls.count() == 4 + 1 + 3 + 5
    for control in controls.all():
        assert control.evaluate("c => c.labels.length") == 1
        canvas = control.locator("xpath=ancestor::div[contains(@class, 'explorer')][last()]//canvas")
        described, before = canvas.get_attribute("aria-label"), canvas.evaluate(SNAPSHOT)
        kind = control.get_attribute("type")
        control.focus()
        control.press({"range": "ArrowRight", "checkbox": "Space"}.get(kind, "ArrowUp"))
        assert canvas.evaluate(SNAPSHOT) != before, control.get_attribute("name")
        assert canvas.get_attribute("aria-label") != described
        if kind == "range":
            read = control.locator("xpath=../span").inner_text()
            assert read and read == control.get_attribute("aria-valuetext")


def test_the_pointer_reads_values(page):
    for explorer, expected in (("kernel", "k = "), ("wavefront", "ρb,com = ")):
        readout = page.locator(f"#{explorer}-explorer .explorer-readout")
        hint = readout.inner_text()
        page.locator(f"#{explorer}-explorer canvas").hover(position={"x": 60, "y": 60})
        assert expected in readout.inner_text()
        page.mouse.move(0, 0)
        assert readout.inner_text() == hint


def test_the_script_is_loaded_on_its_page_only():
    users = [p.name for p in BOOK.rglob("*.html") if 'id="explorer-data"' in p.read_text()]
    assert users == ["explorers.html"]
