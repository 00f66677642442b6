"""The page on which a PDE runs under the reader's hand: a step against the operators, controls, the link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor

from pdegcnn_lib import ops

pytestmark = pytest.mark.browser

BOOK = Path(__file__).resolve().parents[2] / "book/_build/html"
N, ORIENTATIONS = 128, 16


@pytest.fixture
def page(watched: Callable[..., Page]) -> Page:
    page = watched()
    opened(page)
    return page


def opened(page: Page, state: str = "") -> None:
    page.goto("about:blank")  # a change of the hash alone loads nothing
    page.goto((BOOK / "evolution.html").as_uri() + state)
    page.wait_for_function("() => document.getElementById('evolution-status').textContent")
    if page.locator("#evolution-play").is_disabled():
        pytest.skip(page.locator("#evolution-status").inner_text())


def fields(page: Page) -> tuple[Tensor, Tensor]:
    found = page.evaluate("() => pdegcnn.evolution()")
    plane, score = torch.tensor(found["plane"]), torch.tensor(found["score"])
    return plane.view(1, 1, 1, N, N), score.view(1, 1, ORIENTATIONS, N, N)


def expected(f: Tensor, term: str, w: list[float]) -> Tensor:
    """A step of time 2 with alpha = 0.65 and convection along the orientation, by the library."""
    orientations = f.shape[2]
    how = {"window": (5 if orientations > 1 else 1, 5, 5), "orientations": orientations}
    how |= {"estimate": "rho_b_com"}
    if term == "convection":
        return ops.convection(f, torch.tensor([[2.0, 0.0, 0.0]])) if orientations > 1 else f
    if term == "diffusion":
        return ops.linear_convolution(f, ops.diffusion_table(torch.tensor([w]), alpha=1.0, t=0.6, **how))
    k = ops.morphological_table(torch.tensor([w]), alpha=0.65, t=2.0, **how)
    return (ops.dilation if term == "dilation" else ops.erosion)(f, k)


TERMS = ("convection", "diffusion", "dilation", "erosion")


@pytest.mark.parametrize("term", TERMS)
def test_a_step_is_that_of_the_operators(watched: Callable[..., Page], term: str) -> None:
    page = watched()
    chosen = "&".join(f"{name}={int(name == term)}" for name in TERMS)
    opened(page, f"#zeta=4&angular=8&alpha=0.65&time=2&speed=1&{chosen}")
    plane, score = fields(page)
    page.click("#evolution-step")
    after_plane, after_score = fields(page)
    # The table of a power of 4.3 in float32, see test_kernels.py; values are at most 1.
    torch.testing.assert_close(after_plane, expected(plane, term, [1.0, 1.0, 1.0]), rtol=0, atol=2e-5)
    torch.testing.assert_close(after_score, expected(score, term, [1.0, 4.0, 8.0]), rtol=0, atol=2e-5)


def test_the_finished_run_is_that_of_the_page(page: Page, pictures: ModuleType) -> None:
    image = pictures.drawn(pictures.lines()["crossing"])
    plane, score = fields(page)
    torch.testing.assert_close(plane[0, 0, 0], image, rtol=0, atol=1e-6)
    # A sum of 441 products with numbers of at most 1, in another order.
    torch.testing.assert_close(score[0, 0], pictures.lifted(image), rtol=0, atol=2e-5)
    for _ in range(pictures.STEPS):
        page.click("#evolution-step")
    plane, score = fields(page)
    tolerance = {"rtol": 0, "atol": 2e-5 * pictures.STEPS}
    torch.testing.assert_close(plane[0, 0], pictures.evolved(image[None], (1.0, 1.0, 1.0)), **tolerance)
    expected = pictures.evolved(pictures.lifted(image), (1.0, 4.0, 8.0))
    torch.testing.assert_close(score[0, 0], expected, **tolerance)


def test_a_planted_error_in_a_kernel_is_noticed(new_page: Callable[..., Page], page_with_a_fault_in) -> None:
    right = "return lower > upper ? lower : upper"
    units = ("coordinates", "dense", "tropical5", "table_Combined_Power", "table_Combined_Gaussian")
    page = new_page()
    page.goto(page_with_a_fault_in("evolution.html", "estimates.cuh", right, "return lower", units).as_uri())
    page.wait_for_function("() => document.getElementById('evolution-status').textContent")
    _, before = fields(page)
    page.click("#evolution-step")
    _, after = fields(page)
    assert float((after - expected(before, "dilation", [1.0, 4.0, 8.0])).abs().max()) > 1e-2
    page.close()


def test_the_plane_joins_what_crosses_and_m2_does_not(page: Page) -> None:
    for _ in range(8):
        page.click("#evolution-step")
    plane, score = fields(page)
    lines = score[0, 0].amax(dim=(1, 2))
    assert plane.max() > 0.9 and lines.max() > 0.5
    # Between the two lines beside the crossing: reached on the plane, and at no orientation of M2.
    beside = (slice(60, 66), slice(44, 48))
    assert plane[0, 0, 0][beside].max() > 0.3
    assert score[0, 0][(slice(None), *beside)].max() < 0.3


def test_a_link_brings_the_state_back_and_a_bad_one_does_no_harm(page: Page) -> None:
    page.locator("#evolution-zeta").focus()
    page.keyboard.press("ArrowRight")
    page.check("#evolution-erosion")
    address = page.evaluate("() => location.hash")
    assert "zeta=4.1" in address and "erosion=1" in address
    opened(page, address)
    assert page.input_value("#evolution-zeta") == "4.1" and page.is_checked("#evolution-erosion")
    opened(page, "#zeta=NaN&alpha=-5&picture=constructor&time=1e999")
    assert page.input_value("#evolution-zeta") == "4" and page.input_value("#evolution-alpha") == "0.55"
    assert all(torch.isfinite(field).all() for field in fields(page))


def test_a_stroke_is_drawn_and_lifted_to_its_direction(page: Page) -> None:
    page.select_option("#evolution-picture", "empty")
    page.locator("#plane").scroll_into_view_if_needed()
    box = page.locator("#plane").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
    page.mouse.up()
    plane, score = fields(page)
    assert plane.max() == 1
    assert int(score[0, 0, :, 64, 64].argmax()) % (ORIENTATIONS // 2) == 0


def test_strokes_by_the_keyboard_are_kept_in_the_link_and_cleared(page: Page) -> None:
    page.click("#evolution-clear")
    assert fields(page)[0].max() == 0
    page.locator("#plane").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.down("Shift")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.up("Shift")
    plane, _ = fields(page)
    address = page.evaluate("() => location.hash")
    assert plane.max() == 1 and "drawn=4043" in address
    opened(page, address)
    assert torch.equal(fields(page)[0], plane)
    opened(page, "#picture=empty&drawn=zz.4043.ffff4043.40434143")
    assert fields(page)[0].max() == 1


def test_it_plays_pauses_and_turns_by_the_keyboard(page: Page) -> None:
    page.click("#evolution-play")
    page.wait_for_function("() => parseInt(document.getElementById('evolution-status').textContent) > 3")
    page.click("#evolution-play")
    picture = "() => document.getElementById('surface').toDataURL()"
    before = page.evaluate(picture)
    page.locator("#surface").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(picture) != before
    page.click("#evolution-reset")
    assert page.locator("#evolution-status").inner_text().startswith("0 steps")
