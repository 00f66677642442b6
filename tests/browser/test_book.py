"""Every page of the built book in a headless Chromium, from the file system and without a network.

Nothing here is skipped: without a book or a browser the tests fail and say what to run.
"""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page

tomllib = pytest.importorskip("tomllib", reason="part of Python since 3.11, the version of the lock")

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book/_build/html"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# index.html only leads to the first page.
PAGES = [p for p in sorted(BOOK.rglob("*.html")) if "_static" not in p.parts and p != BOOK / "index.html"]
# The longest line of every cell of code that has to be scrolled; what is folded away is unfolded for a moment.
WIDE_CODE = """() => {
  const folded = [...document.querySelectorAll('details:not([open])')];
  folded.forEach(d => { d.open = true });
  const wide = [...document.querySelectorAll('.cell_input pre')].filter(p => p.scrollWidth > p.clientWidth)
    .map(p => p.textContent.split('\\n').reduce((a, b) => (a.length < b.length ? b : a)));
  folded.forEach(d => { d.open = false });
  return wide;
}"""
PICTURES = {".png", ".svg", ".jpg", ".gif"}
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1300, "height": 900}
LARGEST_PAGE, LARGEST_FIRST_PAGE = 3_000_000, 500_000  # bytes, compressed as a server sends them


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


@cache
def weight(path: Path) -> int:
    """The bytes that a web server would send for a file: compressed."""
    return len(gzip.compress(path.read_bytes(), 6))


def look(page: Page, path: Path) -> list[str]:
    """Everything that is wrong with a page, one line each."""
    faults = open_page(page, path)
    # Pictures below the fold are loaded when they come near.
    page.evaluate(
        "() => Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode().catch(() => 0) }))"
    )
    for picture in page.evaluate(
        "() => [...document.images].map(i => [i.currentSrc || i.src, i.naturalWidth, i.getAttribute('alt')])"
    ):
        address, width, alternative = picture
        if not width:
            faults.append(f"missing picture: {address[:200]}")
        if not alternative or Path(alternative).suffix in PICTURES:
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
    faults += [f"code wider than its column: {line}" for line in page.evaluate(WIDE_CODE)]
    return faults + broken_links(path, page.evaluate("() => [...document.links].map(a => a.href)"))


def test_the_book_is_built():
    assert (BOOK / "index.html").is_file(), f"no book in {BOOK}: run `make reproduce`"
    assert {p.stem for p in PAGES} >= {"intro", "notation", "status", "bibliography", "search"}


def assert_it_can_be_taken_along(page: Page, path: Path) -> None:
    """A chapter says what it ran on, and is a notebook with its outputs behind the button."""
    assert "This page ran in" in page.locator("article").inner_text()
    [address] = {
        a.get_attribute("href") for a in page.locator(".dropdown-download-buttons a[href$='.ipynb']").all()
    }
    cells = json.loads((path.parent / address).read_text())["cells"]
    assert any(cell.get("outputs") for cell in cells)
    elsewhere = [a.get_attribute("href") for a in page.locator(".dropdown-launch-buttons a").all()]
    assert len(elsewhere) == (2 if PROJECT.get("urls", {}).get("Repository") else 0)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(BOOK)))
def test_a_page(new_page, barriers, path):
    page = new_page(viewport=DESKTOP, color_scheme="light")
    loaded: list[Path] = []
    page.on("request", lambda request: loaded.append(Path(unquote(urlsplit(request.url).path))))
    assert not look(page, path)
    assert not barriers(page)
    if path.parent.name == "notebooks":
        assert_it_can_be_taken_along(page, path)
    size = sum(weight(file) for file in set(loaded) if file.is_file())
    assert size <= (LARGEST_FIRST_PAGE if path.stem == "intro" else LARGEST_PAGE), f"{size} bytes"
    assert not barriers(page, dark=True)
    page.set_viewport_size(PHONE)
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= PHONE["width"], f"{width} pixels wide on a phone"
    page.close()


def test_the_index_leads_to_the_first_page(new_page):
    page = new_page()
    page.goto((BOOK / "index.html").as_uri())
    page.wait_for_url("**/intro.html")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_readers_colour_scheme(new_page, scheme):
    page = new_page(color_scheme=scheme)
    assert not open_page(page, BOOK / "intro.html")
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
    page.close()


def test_search_leads_from_any_page_to_a_page_with_the_word(new_page):
    page = new_page()
    assert not open_page(page, BOOK / "notation.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("subordination")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    page.locator("#search-results li a").first.click()
    page.wait_for_load_state()
    assert page.url.startswith("file:") and "search.html" not in page.url
    assert "subordination" in page.locator("article").inner_text().lower()
    page.close()


# What is planted in a page, and what must be said of it.
PLANTED = {
    '<a href="nowhere.html">x</a>': "link to a missing file: .*/nowhere.html",
    '<a href="notation.html#nowhere">x</a>': "link to a missing anchor: .*/notation.html#nowhere",
    "<script>console.error('planted')</script>": "console: planted",
    "<script>undefined.planted</script>": "script error: .*planted",
    '<img src="nowhere.png" alt="x">': "missing picture: .*/nowhere.png",
    '<img src="_static/overview.png">': "picture without an alternative text: .*/overview.png",
    '<img src="_static/found.jpg" alt="../_images/0f1e2d.png">': "picture without an alternative text: .*/found.jpg",
    '<p style="color: #999; background: #fff">faint</p>': "not accessible, color-contrast: <p style=.*faint",
    '<div class="highlight"><pre><span>a</span><span style="color: #999; background: #fff">pale</span></pre></div>': (
        "not accessible, color-contrast: <span style=.*pale"
    ),
    '<a href="intro.html"></a>': 'not accessible, link-name: <a href="intro.html">',
    '<input type="text">': 'not accessible, label: <input type="text">',
    '<script src="nowhere.js"></script>': "failed request: .*/nowhere.js",
    '<img src="https://planted.invalid/x.png" alt="x">': "asks the network: https://planted.invalid/x.png",
    r'<span class="math notranslate nohighlight">\(\frac{1\)</span>': "1 of [0-9]+ formulas are not typeset",
    f'<div class="cell_input"><pre style="white-space: pre">{"x" * 200}</pre></div>': "code wider than .*: x{200}",
    "<p>| network | parameters |</p>": r"table left as text: \| network",
    r'<span class="math notranslate nohighlight">\(\planted{1}\)</span>': "formula with an error: .*planted",
}


@pytest.fixture(scope="module")
def found(new_page, barriers, tmp_path_factory) -> list[str]:
    """Everything that is found in a page with all planted faults, none of which stands in the way of another."""
    folder = tmp_path_factory.mktemp("planted")
    for entry in BOOK.iterdir():
        (folder / entry.name).symlink_to(entry)
    planted, text = folder / "planted.html", (BOOK / "notation.html").read_text()
    planted.write_text(text.replace("</article>", "".join(PLANTED) + "</article>"))
    page = new_page(color_scheme="light")
    faults = look(page, planted) + barriers(page)
    page.close()
    return faults


@pytest.mark.parametrize("fault", PLANTED, ids=PLANTED.values())
def test_a_planted_fault_is_found(found, fault):
    assert any(re.match(PLANTED[fault], one) for one in found), found
