"""Every page of the built book in a headless Chromium, from the file system and without a network.

Nothing here is skipped: without a book or a browser the tests fail and say what to run.
"""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

BOOK = Path(__file__).resolve().parents[2] / "book/_build/html"
# index.html only leads to the first page.
PAGES = [p for p in sorted(BOOK.rglob("*.html")) if "_static" not in p.parts and p != BOOK / "index.html"]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1300, "height": 900}
LARGEST_PAGE, LARGEST_FIRST_PAGE = 3_000_000, 500_000  # bytes


class Anchors(HTMLParser):
    """The ids that a link into a page can point to."""

    def __init__(self) -> None:
        super().__init__()
        self.found = {"", "top"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for key, value in attrs if key in ("id", "name") and value}


@cache
def anchors(path: Path) -> set[str]:
    parser = Anchors()
    parser.feed(path.read_text())
    return parser.found


def broken_links(path: Path, links: list[str]) -> list[str]:
    """The links of a page, absolute, that lead to no file or to no anchor in one."""
    faults = []
    for link in sorted(set(links)):
        url = urlsplit(link)
        if url.scheme != "file":
            continue
        target = Path(unquote(url.path))
        if not target.is_file():
            faults.append(f"link to a missing file: {link}")
        elif target.suffix == ".html" and unquote(url.fragment) not in anchors(target):
            faults.append(f"link to a missing anchor: {link}")
    return faults


def open_page(page: Page, path: Path, query: str = "") -> list[str]:
    """Open a page, wait for its formulas, and return what went wrong on the way."""
    faults: list[str] = []
    page.on("console", lambda m: faults.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("requestfailed", lambda request: faults.append(f"failed request: {request.url}"))
    page.on(
        "request",
        lambda request: (
            faults.append(f"asks the network: {request.url}")
            if urlsplit(request.url).scheme in ("http", "https", "ws", "wss")
            else None
        ),
    )
    page.goto(path.as_uri() + query, wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    return faults


def look(page: Page, path: Path) -> list[str]:
    """Everything that is wrong with a page, one line each."""
    faults = open_page(page, path)
    # Pictures below the fold are loaded when they come near.
    page.evaluate(
        "() => Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode().catch(() => 0) }))"
    )
    for picture in page.evaluate(
        "() => [...document.images].map(i => [i.currentSrc || i.src, i.naturalWidth, i.hasAttribute('alt')])"
    ):
        address, width, has_alternative = picture
        if not width:
            faults.append(f"missing picture: {address[:200]}")
        if not has_alternative:
            faults.append(f"picture without an alternative text: {address[:200]}")
    formulas = page.evaluate(
        "() => [document.querySelectorAll('.math').length,"
        " [...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container')).length,"
        " [...document.querySelectorAll('mjx-merror, mjx-mtext[style*=\"color: red\"]')].map(m =>"
        " m.closest('mjx-container').textContent)]"
    )
    if formulas[1]:
        faults.append(f"{formulas[1]} of {formulas[0]} formulas are not typeset")
    faults += [f"formula with an error: {text}" for text in formulas[2]]
    paragraphs = page.evaluate("() => [...document.querySelectorAll('article p')].map(p => p.textContent)")
    faults += [f"table left as text: {text[:80]}" for text in paragraphs if text.startswith("| ")]
    return faults + broken_links(path, page.evaluate("() => [...document.links].map(a => a.href)"))


def test_the_book_is_built():
    assert (BOOK / "index.html").is_file(), f"no book in {BOOK}: run `make reproduce`"
    assert {p.stem for p in PAGES} >= {"intro", "notation", "status", "bibliography", "search"}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(BOOK)))
def test_a_page(browser, path):
    size = path.stat().st_size
    assert size <= (LARGEST_FIRST_PAGE if path.stem == "intro" else LARGEST_PAGE), f"{size} bytes"
    page = browser.new_page(viewport=DESKTOP)
    assert not look(page, path)
    page.set_viewport_size(PHONE)
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= PHONE["width"], f"{width} pixels wide on a phone"
    page.close()


def test_the_index_leads_to_the_first_page(browser):
    page = browser.new_page()
    page.goto((BOOK / "index.html").as_uri())
    page.wait_for_url("**/intro.html")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_readers_colour_scheme(browser, scheme):
    page = browser.new_page(color_scheme=scheme)
    assert not open_page(page, BOOK / "intro.html")
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
    page.close()


def test_search_finds_a_word(browser):
    page = browser.new_page()
    open_page(page, BOOK / "search.html", "?q=dilation")
    page.wait_for_selector("#search-results li a")
    page.close()


PLANTED = {
    "link to a missing file": '<a href="nowhere.html">x</a>',
    "link to a missing anchor": '<a href="notation.html#nowhere">x</a>',
    "console: planted": "<script>console.error('planted')</script>",
    "script error": "<script>undefined.planted</script>",
    "missing picture": '<img src="nowhere.png" alt="x">',
    "picture without an alternative text": '<img src="_static/book.css">',
    "failed request": '<script src="nowhere.js"></script>',
    "asks the network": '<img src="https://planted.invalid/x.png" alt="x">',
    "formulas are not typeset": r'<span class="math notranslate nohighlight">\(\frac{1\)</span>',
    "table left as text": "<p>| network | parameters |</p>",
    "formula with an error": r'<span class="math notranslate nohighlight">\(\planted{1}\)</span>',
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(browser, tmp_path, fault):
    for entry in BOOK.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    planted = tmp_path / "planted.html"
    planted.write_text(
        (BOOK / "notation.html").read_text().replace("</article>", PLANTED[fault] + "</article>")
    )
    page = browser.new_page()
    assert any(fault in found for found in look(page, planted)), fault
    page.close()
