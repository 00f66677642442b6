"""A surface that the reader turns with the mouse, in the book as in a notebook, without a network or a server."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from pdegcnn_lib.companion.viz.style import VALUE_MAP

if TYPE_CHECKING:
    from IPython.display import HTML

VIEWER = Path(__file__).with_suffix(".js")
SIDE = 360  # pixels
COLOURS = 32
_numbers = count(1)


@dataclass(frozen=True)
class Mesh:
    """Points `[v, 3]` (x, y, z) in the cube [-1, 1]^3, triangles of them `[m, 3]`, and a value in [0, 1] at each.

    Raises: ValueError for points or values outside, more points than 65 536, or triangles of other points.
    """

    points: np.ndarray
    faces: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        if np.abs(self.points).max(initial=0) > 1:
            raise ValueError(f"points must lie in [-1, 1], got {np.abs(self.points).max():.3g}")
        if not (self.values.min(initial=0) >= 0 and self.values.max(initial=0) <= 1):
            raise ValueError(
                f"values must lie in [0, 1], got {self.values.min():.3g} to {self.values.max():.3g}"
            )
        if not len(self.points) == len(self.values) <= 1 << 16:
            raise ValueError(
                f"there must be a value for each of at most 65536 points, got {len(self.points)} points and "
                f"{len(self.values)} values"
            )
        if self.faces.max(initial=-1) >= len(self.points):
            raise ValueError(f"triangles must be of {len(self.points)} points, got point {self.faces.max()}")

    @property
    def packed(self) -> dict[str, str]:
        """As the viewer reads it: whole numbers of 16 and 8 bits, in Base64."""
        arrays = {
            "points": ((self.points + 1) * 32767.5).round().astype("<u2"),
            "faces": self.faces.astype("<u2"),
            "values": (self.values * 255).round().astype("u1"),
        }
        return {name: base64.b64encode(a.tobytes()).decode() for name, a in arrays.items()}


def turning(meshes: Mapping[str, Mesh], described: str) -> HTML:
    """One of the surfaces, chosen by its title, with an arrow along z. `described` is read to those who do not see it.

    Colours are those of the figures. Where scripts do not run, a sentence stands in its place.
    """
    from IPython.display import HTML

    name = f"turning-{next(_numbers)}"
    options = "".join(f"<option>{html.escape(title)}</option>" for title in meshes)
    choice = f"<label>metric <select>{options}</select></label>" if len(meshes) > 1 else ""
    palette = (plt.get_cmap(VALUE_MAP)(np.linspace(0, 1, COLOURS))[:, :3] * 255).round().astype(int).tolist()
    viewer = VIEWER.read_text(encoding="utf-8")
    data = json.dumps({title: mesh.packed for title, mesh in meshes.items()})
    return HTML(
        f'<div class="turning" id="{name}"><p>{choice}</p>'
        f'<canvas width="{SIDE}" height="{SIDE}" tabindex="0" role="img" style="max-width: 100%; touch-action: none; '
        f'cursor: grab" aria-label="{html.escape(described, quote=True)}; the arrow keys turn it"></canvas>'
        "<noscript>The surface that turns needs a script.</noscript></div>\n"
        f"<script>({viewer})(document.getElementById({json.dumps(name)}), {data}, {palette});</script>"
    )
