"""Every page that computes, where it cannot: it says why, puts its controls out of reach and shows a finished run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PAGES = {"try-it": 1, "inside": 1, "evolution": 1, "explorers": 2}  # with their pictures
SAYS = "[role=status], .explorer-readout"
BEFORE = "<script>{}</script></head>"
REASONS = {
    "no vectors": ("</head>", BEFORE.format("WebAssembly.validate = () => false"), "(SIMD)"),
    "no WebAssembly": ("</head>", BEFORE.format("delete globalThis.WebAssembly"), "(SIMD)"),
    "a damaged module": ('"module":"AGFzbQ', '"module":"AGFzbX', "damaged"),
    "a module cut short": ('"module":"AGFzbQEAAAA', '"module":"AGFzbQ","rest":"', "damaged"),
    "no module": ('"module":"AGFzbQ', '"module":"","rest":"', "without a compiler"),
}


# One function finds the reason for all pages, so all reasons are tried on one of them.
CASES = [(name, reason) for name in PAGES for reason in ("no vectors", "a damaged module")]
CASES += [("evolution", reason) for reason in REASONS if ("evolution", reason) not in CASES]


@pytest.mark.parametrize(("name", "reason"), CASES)
def test_a_page_that_cannot_compute(
    watched: Callable[..., Page], changed_page: Callable[..., Path], name: str, reason: str
) -> None:
    right, wrong, said = REASONS[reason]
    page = watched()
    page.goto(changed_page(f"{name}.html", lambda text: text.replace(right, wrong, 1)).as_uri())
    page.wait_for_function(
        "says => document.querySelector(says).textContent.startsWith('Nothing can be computed here.')",
        arg=SAYS,
    )
    text = page.locator(SAYS).first.inner_text()
    assert said in text and text.endswith("Below is a finished run.")
    controls = page.locator(":is(.machine, .explorer) :is(input, select, button)")
    assert controls.count() and all(control.is_disabled() for control in controls.all())
    shown = page.locator(".finished img")
    assert shown.count() == PAGES[name] and all(picture.is_visible() for picture in shown.all())


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_the_finished_run_is_shown(new_page: Callable[..., Page], name: str) -> None:
    page = new_page(java_script_enabled=False)
    page.goto((Path(__file__).resolve().parents[2] / f"book/_build/html/{name}.html").as_uri())
    assert page.locator(".finished img").first.is_visible()
    page.close()
