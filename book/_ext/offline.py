"""Keeps the pages free of anything that is fetched from elsewhere, and of what they load and do not use.

Jupyter Book loads sphinx-thebe on every page, with the address of a content network, whether it is used or not.
MathJax is left out where there is no formula. The theme draws its icons twice, by a font and by a script of 1.5 MB
that replaces what the font has drawn: the font is enough.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes

ICON_SCRIPT = re.compile(r"\s*<script[^>]*fontawesome\.js[^>]*></script>")


def drop_unused(_app, _pagename, _templatename, context, doctree):
    unused = ["thebe"]
    if doctree is None or not any(doctree.findall(lambda n: isinstance(n, nodes.math | nodes.math_block))):
        unused.append("mathjax")

    def keep(script) -> bool:
        text = str(getattr(script, "filename", script)) + str(getattr(script, "attributes", {}))
        return not any(name in text.lower() for name in unused)

    for kind in ("script_files", "css_files"):
        context[kind] = [s for s in context.get(kind, []) if keep(s)]


def drop_icon_script(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            page.write_text(ICON_SCRIPT.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app):
    app.connect("html-page-context", drop_unused, priority=900)
    app.connect("build-finished", drop_icon_script)
    return {"parallel_read_safe": True}
