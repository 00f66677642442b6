"""Print the book, built as one page, into one PDF with a headless Chromium: the pages and the PDF have one source."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOOTER = '<div style="width: 100%; font-size: 8px; text-align: center"><span class="pageNumber"></span></div>'
MARGIN = {"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}


def print_page(page_file: Path, out: Path) -> None:
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        sys.exit(f"no browser to print with: install one of {', '.join(BROWSERS)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(color_scheme="light")
        page.set_default_timeout(600_000)
        page.goto(page_file.resolve().as_uri())
        page.evaluate("() => window.MathJax?.startup?.promise")
        page.pdf(
            path=partial,
            format="A4",
            scale=0.8,
            margin=MARGIN,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            tagged=True,
            outline=True,
        )
        browser.close()
    partial.replace(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="the book as one HTML page")
    parser.add_argument("--out", type=Path, required=True, help="the PDF")
    options = parser.parse_args()
    print_page(options.page, options.out)


if __name__ == "__main__":
    main()
