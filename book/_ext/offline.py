"""Keeps the pages free of anything that is fetched from elsewhere.

Jupyter Book loads sphinx-thebe on every page, with the address of a content network, whether it is used or not.
"""

from __future__ import annotations


def drop_thebe(app, pagename, templatename, context, doctree):
    def keep(script) -> bool:
        attributes = getattr(script, "attributes", {})
        return "thebe" not in str(getattr(script, "filename", script)).lower() + str(attributes).lower()

    for kind in ("script_files", "css_files"):
        context[kind] = [s for s in context.get(kind, []) if keep(s)]


def setup(app):
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True}
