"""Numbers of results in the text of a page: `{{ name }}` stands for what the build has written into numbers.json."""

from __future__ import annotations

import json
from pathlib import Path


def add_numbers(app, config):
    path = Path(app.srcdir) / "_generated/numbers.json"
    config.myst_substitutions = {
        **config.myst_substitutions,
        **json.loads(path.read_text(encoding="utf-8")),
    }


def setup(app):
    app.connect("config-inited", add_numbers, priority=400)
    return {"parallel_read_safe": True}
