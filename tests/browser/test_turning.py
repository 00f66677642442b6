"""The surface in the chapter on space turns, with the mouse and the keys, and each metric has another surface."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

PAGE = Path(__file__).resolve().parents[2] / "book/_build/html/notebooks/19_into_the_third_dimension.html"


@pytest.mark.parametrize("width", [1300, 390])
def test_a_surface_turns(watched, width):
    page = watched(viewport={"width": width, "height": 900})
    page.goto(PAGE.as_uri())
    canvas = page.locator(".turning canvas")
    seen = [canvas.evaluate("c => c.toDataURL()")]

    def changed() -> bool:
        seen.append(canvas.evaluate("c => c.toDataURL()"))
        return seen[-1] not in seen[:-1]

    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box["width"] <= width
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 120)
    page.mouse.up()
    assert changed(), "dragging"
    canvas.press("ArrowLeft")
    assert changed(), "a key"
    page.locator(".turning select").select_option(index=1)
    assert changed(), "another metric"
    ink = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((x, i) => i % 4 === 3 && x).length"
    assert 5_000 < canvas.evaluate(ink) < 100_000, "a body stands in the middle of the picture"
