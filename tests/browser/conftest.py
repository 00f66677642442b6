"""One browser for all browser tests: two at a time in one process would be refused by its driver."""

from __future__ import annotations

import base64
import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book/_build/html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The last four keep the browser from asking for things of its own.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
OPTIONS += ["--disable-sync", "--disable-quic"]
PATIENCE = 180_000  # milliseconds; a machine for tests is busy
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
FOUND = """.then(r => r.violations.flatMap(
  v => v.nodes.map(n => `not accessible, ${v.id}: ${n.html.slice(0, 200)}`)))"""
ACCESSIBLE = (
    """() => axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], resultTypes: ["violations"],
  rules: {"color-contrast": {enabled: false}, "link-in-text-block": {enabled: false}},
})"""
    + FOUND
)
# The rules that look at colours take most of the time. Of pieces of code that look alike they are shown the first, and
# of formulas nothing: the letters of a formula are no text of the page.
VISIBLE = (
    """() => {
  const seen = new Set();
  for (const piece of document.querySelectorAll("pre span")) {
    const { color, backgroundColor, fontSize, fontWeight } = getComputedStyle(piece);
    const around = piece.closest("div[class*=highlight]")?.parentElement.className;
    const look = [color, backgroundColor, fontSize, fontWeight, piece.parentElement.className, around].join();
    piece.toggleAttribute("data-seen", seen.has(look));
    seen.add(look);
  }
  return axe.run({ exclude: [["[data-seen]"], ["mjx-container"]] }, {
    runOnly: { type: "rule", values: ["color-contrast", "link-in-text-block"] }, resultTypes: ["violations"],
  })"""
    + FOUND
    + "}"
)


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.fail(f"no browser: install one of {', '.join(NAMES)}")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def new_page(browser: Browser) -> Callable[..., Page]:
    """Makes a page, with the options of the browser, that waits as long as a busy machine asks for."""

    def make(**options: object) -> Page:
        page = browser.new_page(**options)
        page.set_default_timeout(PATIENCE)
        return page

    return make


@pytest.fixture(scope="session")
def barriers() -> Callable[..., list[str]]:
    """What axe-core finds in a page against the guidelines WCAG 2.1, levels A and AA, one line each."""

    def find(page: Page, *, dark: bool = False) -> list[str]:
        """In the dark only the colours differ. They are looked at when they have arrived, not on their way."""
        if not dark:
            page.evaluate(AXE)
            return page.evaluate(ACCESSIBLE) + page.evaluate(VISIBLE)
        page.add_style_tag(content="* { transition: none !important; }")
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
        return page.evaluate(VISIBLE)

    return find


@pytest.fixture(scope="session")
def pictures() -> ModuleType:
    """The module that makes the pictures of a finished run."""
    return tool("browser_pictures")


@pytest.fixture
def changed_page(tmp_path: Path) -> Callable[[str, Callable[[str], str]], Path]:
    """Makes a copy of a page with its text changed, beside everything else of the book."""

    def make(name: str, change: Callable[[str], str]) -> Path:
        for entry in BOOK.iterdir():
            if entry.name != name:
                (tmp_path / entry.name).symlink_to(entry)
        text = (BOOK / name).read_text()
        changed = change(text)
        assert changed != text
        (tmp_path / name).write_text(changed)
        return tmp_path / name

    return make


@pytest.fixture
def page_with_a_fault_in(changed_page, tmp_path: Path) -> Callable[..., Path]:
    """Makes a page whose module of kernels is compiled from sources with an error, of the units that are needed."""

    def make(name: str, file: str, right: str, wrong: str, units: tuple[str, ...]) -> Path:
        builder = tool("browser_module")
        sources = tmp_path / "spoiled"
        shutil.copytree(builder.SOURCES, sources)
        text = (sources / file).read_text()
        assert right in text
        (sources / file).write_text(text.replace(right, wrong))
        needed = {unit: builder.UNITS[unit] for unit in units}
        try:
            module = builder.build(tmp_path / "spoiled.wasm", sources, needed)
        except ModuleNotFoundError as missing:
            pytest.skip(str(missing))
        word = f'"module":"{base64.b64encode(module.read_bytes()).decode()}"'
        return changed_page(name, lambda page: re.sub('"module":"[^"]+"', word, page))

    return make


@contextmanager
def watching(new_page: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []
    faults: list[str] = []

    def make(**options: object) -> Page:
        page = new_page(**options)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request", lambda request: faults.append(request.url) if request.url.startswith("http") else None
        )
        pages.append(page)
        return page

    yield make
    for page in pages:
        page.close()
    assert not faults


@pytest.fixture
def watched(new_page: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    """Makes pages, with the options of the browser, in which no script may fail and which may ask no network."""
    with watching(new_page) as make:
        yield make


@pytest.fixture(scope="module")
def shared(new_page: Callable[..., Page]) -> Iterator[Page]:
    """Such a page for all tests of a module that leave it as they find it."""
    with watching(new_page) as make:
        yield make()
