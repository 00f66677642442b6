"""The page that segments a reader's photograph: against the command line, with real files, with bad ones."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page

from pdegcnn_lib.companion import segment
from pdegcnn_lib.companion.data import chase
from pdegcnn_lib.companion.experiments import trained

pytestmark = pytest.mark.browser

BOOK = Path(__file__).resolve().parents[2] / "book/_build/html"
PATIENCE = 180_000  # milliseconds; a machine for tests is busy


def opened(page: Page, path: Path = BOOK / "try-it.html") -> Page:
    page.goto(path.as_uri())
    if page.locator("#photograph").is_disabled():
        pytest.skip(page.locator("#status").inner_text())
    return page


@pytest.fixture
def page(watched: Callable[..., Page]) -> Page:
    return opened(watched())


def photograph() -> np.ndarray:
    """A photograph that the network has not seen: of the test set, or the one that scikit-image carries."""
    if chase.available():
        return (chase.photograph(chase.names()[23]).permute(1, 2, 0) * 255).round().byte().numpy()
    from skimage import data

    return data.retina()[::2, ::2]


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


def on_the_command_line(name: str, rgb: np.ndarray) -> np.ndarray:
    model, record = segment.load(trained.resolve(name))
    return segment.probability(model, record, torch.from_numpy(rgb).permute(2, 0, 1).float() / 255).numpy()


@pytest.mark.parametrize("name", ["vessels/vessels-pdegcnn6", "vessels-steps/vessels-pdegcnn12-6000"])
def test_the_page_finds_what_the_command_line_finds(page: Page, name: str) -> None:
    rgb = photograph()
    page.select_option("#network", name)
    found, expected = segmented(page, rgb), on_the_command_line(name, rgb)
    assert ((found >= 0.5) != (expected >= 0.5)).mean() < 0.005
    # Sums in another order: logits of a few units differ in their fourth digit.
    assert np.abs(found - expected).mean() < 1e-4


def choose(page: Page, name: str, content: bytes, until: str) -> str:
    page.set_input_files("#photograph", {"name": name, "mimeType": "image/png", "buffer": content})
    page.wait_for_function(
        "text => document.getElementById('status').textContent.includes(text)", arg=until, timeout=PATIENCE
    )
    return page.locator("#status").inner_text()


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, format="PNG")
    return buffer.getvalue()


def test_a_file_is_segmented_drawn_and_saved(page: Page) -> None:
    rgb = photograph()[::2, ::2]
    said = choose(page, "eye.png", png(rgb), "nothing.")
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


ODD = {
    "of one pixel": lambda rgb: png(rgb[:1, :1]),
    "transparent": lambda rgb: png(np.concatenate([rgb, rgb[..., :1]], axis=-1)),
    "grey": lambda rgb: png(rgb[..., 1]),
    "a panorama": lambda rgb: png(np.tile(rgb[:9], (1, 30, 1))),
    "black": lambda rgb: png(np.zeros_like(rgb)),
    "one bright spot": lambda rgb: png(
        np.pad(np.full((20, 20, 3), 255, np.uint8), ((40, 40), (40, 40), (0, 0)))
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_picture_has_an_answer(page: Page, kind: str) -> None:
    choose(page, "odd.png", ODD[kind](photograph()[::8, ::8]), "nothing.")


def test_a_huge_picture_is_made_smaller_first(page: Page) -> None:
    side = 10_000
    said = choose(page, "huge.png", png(np.zeros((side, side), np.uint8)), "nothing.")
    assert "made smaller from 10000 × 10000" in said


def test_what_is_no_picture_is_said_and_the_next_one_works(page: Page) -> None:
    for content in (b"no picture", b"", png(photograph())[:30]):
        assert "notes.txt is not a picture" in choose(page, "notes.txt", content, "not a picture")
    choose(page, "eye.png", png(photograph()[::8, ::8]), "nothing.")


def test_a_damaged_module_is_said(browser: Browser, changed_page) -> None:
    damage = ('"module":"AGFzbQ', '"module":"AGFzbX')
    page = browser.new_page()
    page.goto(changed_page("try-it.html", lambda text: text.replace(*damage)).as_uri())
    page.wait_for_function(
        "() => document.getElementById('status').textContent.includes('damaged')", timeout=PATIENCE
    )
    page.close()


def test_without_vectors_the_page_says_so_and_shows_a_finished_run(browser: Browser, changed_page) -> None:
    refuse = "<script>WebAssembly.validate = () => false</script></head>"
    page = browser.new_page()
    page.goto(changed_page("try-it.html", lambda text: text.replace("</head>", refuse, 1)).as_uri())
    assert "Below is a finished run." in page.locator("#status").inner_text()
    assert page.locator("#finished img").is_visible() and page.locator("#photograph").is_disabled()
    page.close()


PLANTED = {
    "the shift": ('"transport_shift", channels * orientations, args', '"transport_shift", 0, args'),
    "erosion": ('step.step === "dilation" ? 1 : -1', "1"),
    "the scale": ("FIELD_DIAMETER = 455", "FIELD_DIAMETER = 300"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_error_is_noticed(browser: Browser, changed_page, fault: str) -> None:
    page = opened(browser.new_page(), changed_page("try-it.html", lambda text: text.replace(*PLANTED[fault])))
    rgb = photograph()
    found, expected = segmented(page, rgb), on_the_command_line("vessels/vessels-pdegcnn6", rgb)
    assert ((found >= 0.5) != (expected >= 0.5)).mean() > 0.005
    page.close()
