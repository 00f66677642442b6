"""The page that shows what every step of a network leaves of a photograph: against PyTorch, with a real file."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page
from skimage import data
from torch import Tensor

from pdegcnn_lib import nn
from pdegcnn_lib.companion import segment
from pdegcnn_lib.companion.experiments import trained

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book/_build/html"
PATIENCE = 180_000  # milliseconds; a machine for tests is busy
PHOTOGRAPH = data.retina()[600:660, 500:800].copy()  # wider than the square that the page looks into
STATUS = "document.getElementById('inside-status').textContent"
LIFT, MIXED, LARGEST, OUTPUT = 0, 16, 17, 18


def opened(page: Page, path: Path) -> Page:
    page.goto(path.as_uri())
    page.wait_for_function(f"() => {STATUS} !== 'Choose a photograph.'", timeout=PATIENCE)
    if page.locator("#inside-photograph").is_disabled():
        pytest.skip(page.locator("#inside-status").inner_text())
    return page


@pytest.fixture
def page(watched: Callable[..., Page]) -> Page:
    return opened(watched(), BOOK / "inside.html")


def choose(page: Page, content: bytes, until: str, name: str = "eye.png") -> None:
    page.set_input_files("#inside-photograph", {"name": name, "mimeType": "image/png", "buffer": content})
    page.wait_for_function(
        f"([name, until]) => {STATUS}.startsWith(name) && {STATUS}.includes(until)",
        arg=[name, until],
        timeout=PATIENCE,
    )


def png(pixels: np.ndarray = PHOTOGRAPH) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def shown(page: Page, step: int, channel: int) -> tuple[Tensor, Tensor, dict]:
    """The largest value over the orientations and its orientation, and the square."""
    found = page.evaluate("([step, channel]) => pdegcnn.inside(step, channel)", [step, channel])
    size = (found["y"][1] - found["y"][0], found["x"][1] - found["x"][0])
    return torch.tensor(found["values"]).view(size), torch.tensor(found["where"]).view(size), found


@cache
@torch.no_grad()
def expected() -> list[Tensor]:
    """What the steps of the network leave of the whole photograph, by PyTorch: [C, Or, H, W], or [C, 1, H, W]."""
    model, record = segment.load(trained.resolve("vessels/vessels-pdegcnn6"))
    rgb = torch.from_numpy(PHOTOGRAPH).permute(2, 0, 1).float() / 255
    f = segment.prepare(record, rgb)[0][None]
    steps: list[Tensor] = []
    for layer in model.children():
        if isinstance(layer, nn.PDELayer):
            for term in layer.evolution.values():
                f = term(f)
                steps.append(f)
            f = layer.norm(layer.linear(f))
        else:
            f = layer(f)
        if not isinstance(layer, nn.Lift | torch.nn.Dropout3d):
            steps.append(f)
    return [f[0] if f.ndim == 5 else f[0][:, None] for f in steps]


def error(page: Page, step: int, channel: int, steps: list[Tensor]) -> float:
    """The largest difference of a channel after a step, in units of the channel's deviation."""
    values, _, square = shown(page, step, channel)
    f = steps[step][channel][:, slice(*square["y"]), slice(*square["x"])]
    return float((values - f.amax(dim=0)).abs().max() / f.std())


def test_every_step_leaves_what_pytorch_leaves(page: Page) -> None:
    choose(page, png(), "nothing.")
    steps = expected()
    assert len(steps) == page.locator("#inside-path input").count() == 19
    for step in range(len(steps)):
        # Sums in another order, and a photograph prepared in float64 rather than float32: a few units of 1e-6 each,
        # which mixing by weights of about 1 and five layers multiply.
        assert error(page, step, (3 * step) % len(steps[step]), steps) < 1e-3, step
    values, where, square = shown(page, LIFT, 5)
    assert values.shape == (60, 256) and square["x"] == [22, 278]
    ordered = steps[LIFT][5][:, :, slice(*square["x"])].sort(dim=0)
    clear = ordered.values[-1] - ordered.values[-2] > 1e-2
    assert clear.float().mean() > 0.5 and torch.equal(where[clear], ordered.indices[-1][clear])


def test_steps_and_channels_are_chosen_by_keyboard_and_pointer(page: Page, barriers) -> None:
    choose(page, png(), "nothing.")
    assert not barriers(page)
    assert not barriers(page, dark=True)
    picture = "id => document.getElementById(id).toDataURL()"
    feature, kernel = (page.evaluate(picture, f"inside-{name}") for name in ("feature", "kernel"))
    page.locator("#inside-path input").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert "layer 1, after dilation" in page.locator("#inside-feature-caption").inner_text()
    said = page.locator("#inside-kernel-caption").inner_text()
    assert said.startswith("The dilation of channel 1")
    assert page.evaluate(picture, "inside-feature") != feature
    assert page.evaluate(picture, "inside-kernel") != kernel
    page.locator("#inside-channels label").nth(4).hover()
    assert "channel 5" in page.locator("#inside-kernel-caption").inner_text()
    page.locator("#inside-feature").hover(position={"x": 40, "y": 20})
    assert "degrees" in page.locator("#inside-readout").inner_text()
    plain = page.evaluate(picture, "inside-feature")
    page.check("#inside-angles")
    assert page.evaluate(picture, "inside-feature") != plain
    page.locator("#inside-photograph-canvas").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => {STATUS}.includes('nothing.')", timeout=PATIENCE)
    assert shown(page, OUTPUT, 0)[2]["x"] == [44, 300]  # as far as the photograph goes


def test_it_stops_and_what_is_no_picture_is_said(page: Page) -> None:
    page.locator("#inside-stop").click(timeout=PATIENCE)
    page.wait_for_function(f"() => {STATUS} === 'Stopped.'")
    page.set_input_files(
        "#inside-photograph", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no"}
    )
    page.wait_for_function(f"() => {STATUS}.includes('notes.txt is not a picture')", timeout=PATIENCE)


ODD = {
    "of one pixel": PHOTOGRAPH[:1, :1],
    "transparent": np.concatenate([PHOTOGRAPH, PHOTOGRAPH[..., :1]], axis=-1)[:40, :40],
    "grey": PHOTOGRAPH[:40, :40, 1],
    "a panorama": np.tile(PHOTOGRAPH[:9], (1, 5, 1)),
}


def test_odd_pictures_have_an_answer_one_after_the_other(page: Page) -> None:
    for kind, pixels in ODD.items():
        choose(page, png(pixels), "nothing.", name=f"{kind}.png")
        values, where, _ = shown(page, LIFT, 5)
        assert torch.isfinite(values).all() and int(where.max()) < 8, kind


def test_a_huge_picture_is_made_smaller_first(page: Page) -> None:
    choose(page, png(np.zeros((10_000, 10_000), np.uint8)), "nothing.")
    size = (
        "() => { const c = document.getElementById('inside-photograph-canvas'); return c.width * c.height }"
    )
    assert page.evaluate(size) == 16_000_000


def test_a_planted_error_in_a_kernel_is_noticed(new_page: Callable[..., Page], page_with_a_fault_in) -> None:
    right = "scale * pow(square, exponent)"
    units = ("tropical5", "transport", "dense", "coordinates", "table_Diagonal_Power")
    page = opened(
        new_page(),
        page_with_a_fault_in("inside.html", "tables.cu", right, f"A(1.2) * {right}", units),
    )
    choose(page, png(), "nothing.")
    steps = expected()
    assert error(page, LIFT, 0, steps) < 1e-3
    assert error(page, 2, 0, steps) > 1e-2
    page.close()
