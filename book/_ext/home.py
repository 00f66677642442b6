"""Launch buttons on the notebook pages, once pyproject.toml names the public repository; see the page on decisions.

The theme is told to keep the other buttons of a repository off. A button leads to the notebook of this version, with
its tag: the notebook and the library that its first cell installs are then of one kind.
"""

from __future__ import annotations

from pathlib import Path

import tomllib

LAUNCHERS = {"colab_url": "https://colab.research.google.com", "binderhub_url": "https://mybinder.org"}


def add_home(app, config):
    project = tomllib.loads(
        (Path(app.confdir or app.srcdir).parent / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    repository = project.get("urls", {}).get("Repository")
    if repository is None:
        return
    config.html_theme_options |= {
        "repository_url": repository,
        "repository_branch": f"v{project['version']}",
        "path_to_docs": "",  # the twins lie in notebooks/, which is also where the book has their pages
        "launch_buttons": {"notebook_interface": "jupyterlab", **LAUNCHERS},
    }


def setup(app):
    app.connect("config-inited", add_home, priority=400)
    return {"parallel_read_safe": True}
