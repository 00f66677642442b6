"""What a reader with a screen reader or a keyboard needs and the theme leaves out.

A picture without words of its own is described by the caption below it. The finished pages get names for the buttons
that unfold the index, a list of works that is a list, and signatures of several lines that are not definition lists. A
formula that is wider than its column can be reached, and so scrolled, with the keyboard.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes

SCROLLABLE_FORMULAS = """
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  const mark = () => document.querySelectorAll("mjx-container[display=true]").forEach((m) => {
    if (m.scrollWidth > m.clientWidth) { m.tabIndex = 0; m.role = "group"; m.ariaLabel = "formula"; }
    else m.removeAttribute("tabindex");
  });
  mark();
  addEventListener("resize", mark);
});
"""


def describe_pictures(_app, doctree, _docname) -> None:
    for figure in doctree.findall(nodes.figure):
        caption = next(figure.findall(nodes.caption), None)
        for picture in figure.findall(nodes.image):
            if caption is not None and not picture.get("alt"):
                picture["alt"] = caption.astext()


def signature_lines(match: re.Match[str]) -> str:
    lines = match[2].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f'{match[1]}<span class="sig-lines">{lines}</span>'


def repair(html: str) -> str:
    html = html.replace("<summary><span", '<summary aria-label="pages of this section"><span')
    html = html.replace('role="doc-biblioentry"', 'role="listitem"')
    return re.sub(
        r'(<span class="sig-paren">[(\[]</span>\s*)<dl>(.*?)</dl>', signature_lines, html, flags=re.DOTALL
    )


def repair_pages(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            page.write_text(repair(page.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app):
    app.add_js_file(None, body=SCROLLABLE_FORMULAS)
    app.connect("doctree-resolved", describe_pictures)
    app.connect("build-finished", repair_pages)
    return {"parallel_read_safe": True}
