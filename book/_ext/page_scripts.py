"""Loads a script of `_static` only on the page of the same name; Jupyter Book would load it on every page."""

from __future__ import annotations

from pathlib import Path, PurePath


def keep_own(app, pagename, templatename, context, doctree):
    own = {path.name for path in (Path(app.srcdir) / "_static").glob("*.js")} - {f"{pagename}.js"}
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if PurePath(str(getattr(script, "filename", script) or "")).name not in own
    ]


def setup(app):
    app.connect("html-page-context", keep_own, priority=900)
    return {"parallel_read_safe": True}
