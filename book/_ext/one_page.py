"""Lets the book be built as one page, which a browser prints.

Where one extension says how to write a node for the builder `singlehtml`, Sphinx forgets for it what all others said
for `html`.
"""

from __future__ import annotations


def write_as_html(app) -> None:
    if app.builder.name == "singlehtml":
        handlers = app.registry.translation_handlers
        handlers["singlehtml"] = {**handlers["html"], **handlers.get("singlehtml", {})}


def setup(app):
    app.connect("builder-inited", write_as_html)
    return {"parallel_read_safe": True}
