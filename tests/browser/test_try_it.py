"""The page that segments a reader's photograph: against the command line, with real files, with bad ones."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page

from pdegcnn_lib.companion import segment
from pdegcnn_lib.companion.data import chase
from pdegcnn_lib.companion.experiments import trained

pytestmark = pytest.mark.browser

BOOK = Path(__file__).resolve().parents[2] / "book/_build/html"
PATIENCE = 180_000  # milliseconds; a machine for tests is busy
ORANGE = (230, 159, 0)  # of the overlays of `pdegcnn segment`


def opened(page: Page, path: Path = BOOK / "try-it.html") -> Page:
    page.goto(path.as_uri())
    if page.locator("#photograph").is_disabled():
        pytest.skip(page.locator("#status").inner_text())
    return page


@pytest.fixture
def page(watched: Callable[..., Page]) -> Page:
    return opened(watched())


@cache
def photograph() -> np.ndarray:
    """A photograph that the network has not seen: of the test set, or the one that scikit-image carries."""
    if chase.available():
        return (chase.photograph(chase.names()[23]).permute(1, 2, 0) * 255).round().byte().numpy()
    from skimage import data

    return data.retina()[::2, ::2]


def part() -> np.ndarray:
    """The middle of it: no frame is seen, so the network is shown these pixels and no more."""
    return np.ascontiguousarray(photograph()[300:460, 250:450])


def half() -> np.ndarray:
    """An eye that is shown at half its size, with a row and a column left over."""
    y, x = np.mgrid[:961, :999]
    eye = (y - 480) ** 2 + (x - 500) ** 2 < 461**2
    light = np.random.default_rng(0).uniform(0.4, 0.5, (961, 999, 3))
    return (255 * eye[..., None] * light).astype(np.uint8)


PICTURES = {"whole": photograph, "part": part, "half": half}


def segmented(page: Page, rgb: np.ndarray) -> np.ndarray:
    """What the page finds in a picture."""
    height, width, _ = rgb.shape
    rgba = np.concatenate([rgb, np.full((height, width, 1), 255, np.uint8)], axis=-1)
    text = page.evaluate(
        """async ([text, width, height]) => {
          const data = Uint8ClampedArray.from(atob(text), (letter) => letter.charCodeAt(0));
          const found = await pdegcnn.segment(new ImageData(data, width, height));
          const bytes = new Uint8Array(found.buffer);
          let out = "";
          for (let n = 0; n < bytes.length; n += 32768) out += String.fromCharCode(...bytes.subarray(n, n + 32768));
          return btoa(out);
        }""",
        [base64.b64encode(rgba.tobytes()).decode(), width, height],
    )
    return np.frombuffer(base64.b64decode(text), np.float32).reshape(height, width)


SIX, TWELVE = "vessels/vessels-pdegcnn6", "vessels/vessels-pdegcnn12"


@cache
def on_the_command_line(name: str, picture: str) -> np.ndarray:
    model, record = segment.load(trained.resolve(name))
    rgb = torch.from_numpy(PICTURES[picture]()).permute(2, 0, 1).float() / 255
    return segment.probability(model, record, rgb).numpy()


@pytest.mark.parametrize(
    ("name", "picture"),
    [(SIX, "whole"), (TWELVE, "whole"), (segment.DEFAULT_MODEL, "part"), (SIX, "part"), (SIX, "half")],
)
def test_the_page_finds_what_the_command_line_finds(page: Page, name: str, picture: str) -> None:
    page.select_option("#network", name)
    found, expected = segmented(page, PICTURES[picture]()), on_the_command_line(name, picture)
    assert ((found >= 0.5) != (expected >= 0.5)).mean() < 0.005
    # Sums in another order: logits of a few units differ in their fourth digit.
    assert np.abs(found - expected).mean() < 1e-4


DROP = """([name, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
  document.getElementById("try-it").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
}"""


def choose(page: Page, name: str, content: bytes, until: str) -> str:
    page.set_input_files("#photograph", {"name": name, "mimeType": "image/png", "buffer": content})
    return finished(page, name, until)


def finished(page: Page, name: str, until: str) -> str:
    page.wait_for_function(
        """([name, until]) => {
          const said = document.getElementById("status").textContent;
          return said.startsWith(name) && said.includes(until);
        }""",
        arg=[name, until],
        timeout=PATIENCE,
    )
    return page.locator("#status").inner_text()


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, format="PNG")
    return buffer.getvalue()


COUNT = """() => {
  const put = CanvasRenderingContext2D.prototype.putImageData;
  window.drawn = 0;
  CanvasRenderingContext2D.prototype.putImageData = function (...all) {
    if (this.canvas.id === "probability") window.drawn += 1;
    put.apply(this, all);
  };
}"""


def test_a_file_is_segmented_drawn_and_saved(page: Page, barriers) -> None:
    rgb = photograph()[::2, ::2]
    page.evaluate(COUNT)
    said = choose(page, "eye.png", png(rgb), "nothing.")
    assert page.evaluate("drawn") >= 4  # it grows tile by tile
    assert f"eye.png, {rgb.shape[1]} × {rgb.shape[0]} pixels" in said
    canvas = "id => { const c = document.getElementById(id); return [c.width, c.height, c.toDataURL()] }"
    before = page.evaluate(canvas, "overlay")
    assert before[:2] == [rgb.shape[1], rgb.shape[0]]
    assert page.evaluate(canvas, "probability")[2] != before[2]
    page.locator("#threshold").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(canvas, "overlay")[2] != before[2]
    with page.expect_download() as download:
        page.click("#save-mask")
    assert download.value.suggested_filename == "eye_mask.png"
    mask = np.array(Image.open(download.value.path()).convert("L"))
    assert mask.shape == rgb.shape[:2] and set(np.unique(mask)) == {0, 255}
    with page.expect_download() as download:
        page.click("#save-overlay")
    overlay = np.array(Image.open(download.value.path()).convert("RGB"))
    assert download.value.suggested_filename == "eye_overlay.png"
    assert (overlay[mask == 255] == ORANGE).all() and (overlay[mask == 0] == rgb[mask == 0]).all()
    assert not barriers(page)
    assert not barriers(page, dark=True)


def test_an_example_can_be_stopped_and_taken_again(page: Page) -> None:
    first = page.locator("#examples button").first
    first.focus()
    page.keyboard.press("Enter")
    page.locator("#stop").click(timeout=PATIENCE)
    page.wait_for_function("() => document.getElementById('status').textContent === 'Stopped.'")
    first.click()
    page.wait_for_function(
        "() => document.getElementById('status').textContent.includes('nothing.')", timeout=PATIENCE
    )


def spot(side: int, radius: int) -> np.ndarray:
    """A white disk on black."""
    y, x = np.ogrid[:side, :side]
    return np.where((y - side / 2) ** 2 + (x - side / 2) ** 2 < radius**2, np.uint8(255), np.uint8(0))


ODD = {
    "of one pixel": lambda rgb: rgb[:1, :1],
    "transparent": lambda rgb: np.concatenate([rgb, rgb[..., :1]], axis=-1),
    "grey": lambda rgb: rgb[..., 1],
    "a panorama": lambda rgb: np.tile(rgb[:9], (1, 18, 1)),
    "black": np.zeros_like,
}


def test_odd_pictures_have_an_answer_one_after_the_other(page: Page) -> None:
    for kind, make in ODD.items():
        choose(page, f"{kind}.png", png(make(part())), "nothing.")


def test_one_bright_spot_is_not_enlarged_without_bound(watched, changed_page) -> None:
    """The bound is ten times lower than in the book, which takes a tenth of the time."""
    lower = ("MOST_PIXELS = 1e6", "MOST_PIXELS = 1e5")
    page = opened(watched(), changed_page("try-it.html", lambda text: text.replace(*lower)))
    said = choose(page, "spot.png", png(spot(100, 12)), "nothing.")
    columns, rows = map(int, re.search(r"saw (\d+) × (\d+) pixels", said).groups())
    assert 0.99e5 < columns * rows < 1.01e5


def test_a_huge_picture_is_made_smaller_first(page: Page) -> None:
    said = choose(page, "huge.png", png(spot(10_000, 5_000)), "nothing.")
    assert "made smaller from 10000 × 10000" in said


def test_what_is_no_picture_is_said_and_the_next_one_works(page: Page) -> None:
    for content in (b"no picture", b"", png(photograph())[:30]):
        assert "notes.txt is not a picture" in choose(page, "notes.txt", content, "not a picture")
    dropped = base64.b64encode(png(part())).decode()
    page.evaluate(DROP, ["eye.png", dropped])
    finished(page, "eye.png", "nothing.")


PLANTED = {
    "the shift": ('"transport_shift", channels * orientations, args', '"transport_shift", 0, args'),
    "erosion": ('step.step === "dilation" ? 1 : -1', "1"),
    "the scale": ("FIELD_DIAMETER = 455", "FIELD_DIAMETER = 300"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_error_is_noticed(new_page: Callable[..., Page], changed_page, fault: str) -> None:
    page = opened(new_page(), changed_page("try-it.html", lambda text: text.replace(*PLANTED[fault])))
    picture = "whole" if fault == "the scale" else "part"
    found, expected = segmented(page, PICTURES[picture]()), on_the_command_line(SIX, picture)
    assert ((found >= 0.5) != (expected >= 0.5)).mean() > 0.005
    page.close()
