"""Figures are drawn without a screen, in the style of the book, and closed after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    import matplotlib.pyplot as plt

    from pdegcnn_lib.companion import viz

    with matplotlib.rc_context():
        viz.use_style()
        yield
    plt.close("all")
