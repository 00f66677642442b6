"""Keeps a number in one piece: the space between its thousands, which prose is typed with, never ends a line."""

from __future__ import annotations

import re

from docutils import nodes

THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}(?!\d))")
AS_TYPED = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment)


def keep_numbers_whole(_app, doctree) -> None:
    for text in list(doctree.findall(nodes.Text)):
        whole = THOUSANDS.sub("\u202f", text)
        if whole != text and not isinstance(text.parent, AS_TYPED):
            text.parent.replace(text, nodes.Text(whole))


def setup(app):
    app.connect("doctree-read", keep_numbers_whole)
    return {"parallel_read_safe": True}
