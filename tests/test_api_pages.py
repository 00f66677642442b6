"""The examples on the pages of the interface, run as doctests."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

API = Path(__file__).resolve().parent.parent / "book/api"
WITHOUT = {"index", "cli", "solvers", "viz"}  # an index, commands, what the chapters use and show at length
PAGES = [page for page in sorted(API.glob("*.md")) if page.stem not in WITHOUT]


@pytest.mark.skipif(not PAGES, reason="the pages are part of the checkout")
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_examples_of_a_page_run_as_written(page):
    text = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    assert test.examples, f"{page.name} has no example"
    report: list[str] = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)
