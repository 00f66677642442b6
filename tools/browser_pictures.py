"""Pictures of a finished run for every page that computes: for a browser that cannot, for paper, and without scripts.

They are made by the library with what the controls of a page stand at when it is opened.
"""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
SIDE, ORIENTATIONS, WAVELET = 128, 16, 21  # of the page `evolution`
STEPS = 8
Line = list[list[float]]


def lines() -> dict[str, list[Line]]:
    """What the page `evolution` offers to start with: lines through points (x, y), a break where one ends."""
    crossing: list[Line] = []
    for a, b in ((14, 54), (66, 78), (90, 114)):
        crossing += [
            [[a, 30 + 0.4 * a], [b, 30 + 0.4 * b]],
            [[a, 110 - 0.7 * a], [b, 110 - 0.7 * b]],
        ]
    turn = 2 * math.pi / 40
    circle = [
        [[64 + 40 * math.cos(n * turn), 64 + 40 * math.sin(n * turn)] for n in range(start, start + 7)]
        for start in range(0, 40, 8)
    ]
    return {"crossing": crossing, "circle": circle, "empty": []}


def drawn(pieces: list[Line], side: int = SIDE) -> Tensor:
    """Lines as an image `[H, W]`: 1 within 1.2 pixels of one, and from there down to 0 within a pixel."""
    y, x = torch.meshgrid(*2 * [torch.arange(side, dtype=torch.float64)], indexing="ij")
    image = torch.zeros(side, side, dtype=torch.float64)
    for line in pieces:
        for (x0, y0), (x1, y1) in zip(line, line[1:], strict=False):
            along = (x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)
            t = (along / ((x1 - x0) ** 2 + (y1 - y0) ** 2)).clamp(0, 1)
            far = torch.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0))
            image = image.maximum((2.2 - far).clamp(0, 1))
    return image.float()


def lifted(image: Tensor) -> Tensor:
    """The orientation score `[Or, H, W]` that the page makes of an image: by cake wavelets, from 0 to 1."""
    from pdegcnn_lib import ops
    from pdegcnn_lib.kernels import cake_wavelets

    wavelets = cake_wavelets(ORIENTATIONS, WAVELET).float()
    score = ops.lift(image[None, None], wavelets[None, None])[0, 0].clamp(min=0)
    return score / score.max()


def evolved(f: Tensor, w: tuple[float, float, float]) -> Tensor:
    """Dilation by `STEPS` steps of time 2 with alpha = 0.65, of a score `[Or, H, W]` or of an image `[1, H, W]`."""
    from pdegcnn_lib import ops
    from pdegcnn_lib.kernels import morphological_kernel

    window = (5 if len(f) > 1 else 1, 5, 5)
    k = morphological_kernel(
        torch.tensor([w]), alpha=0.65, window=window, orientations=len(f), t=2.0, estimate="rho_b_com"
    )
    f = f[None, None]
    for _ in range(STEPS):
        f = ops.dilation(f, k)
    return f[0, 0]


def embedded(picture: Any, kind: str, **options: Any) -> str:
    """A picture as an address that holds it."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, optimize=True, **options)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()


def of_figure(figure: Any, colours: int = 64) -> str:
    """A figure as an address, in few colours: a page has to be light."""
    import matplotlib.pyplot as plt
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    plt.close(figure)
    return embedded(Image.open(buffer).convert("RGB").quantize(colours, dither=Image.Dither.NONE), "PNG")


def vessels() -> list[tuple[str, str]]:
    from PIL import Image

    picture = Image.open(ROOT / "results/vessels/examples.png").convert("RGB")
    picture.thumbnail((1000, 1000), Image.Resampling.LANCZOS)
    text = "Photographs of the test set, and what networks found in them."
    return [(embedded(picture, "JPEG", quality=75), text)]


def evolution() -> list[tuple[str, str]]:
    from pdegcnn_lib.companion import viz

    viz.use_style()
    image = drawn(lines()["crossing"])
    score = evolved(lifted(image), (1.0, 4.0, 8.0))
    pictures = {
        "the drawing": image,
        "on the plane": evolved(image[None], (1.0, 1.0, 1.0))[0],
        "on $\\mathbb{M}_2$, the largest over $\\theta$": score.amax(dim=0),
    }
    text = f"A dilation of a crossing with gaps by {STEPS} steps of time 2: the plane fills the crossing, "
    return [(of_figure(viz.titled_images(pictures, bound=1.0)), text + "positions and orientations do not.")]


def explorers() -> list[tuple[str, str]]:
    from pdegcnn_lib.companion import viz
    from pdegcnn_lib.geometry import ESTIMATES, as_metric, distance
    from pdegcnn_lib.kernels import morphological_kernel

    w = torch.tensor([[1.0, 2.0, 1.0]], dtype=torch.float64)
    k = morphological_kernel(w, alpha=0.65, window=(5, 7, 7), orientations=8, t=2.0, estimate="rho_b_com")
    kernel = "The kernel of the combined estimate for ζ = 2, α = 0.65 and t = 2, at every orientation."
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    y, x2 = torch.meshgrid(x, x, indexing="ij")
    p, w = torch.stack([x2, y, 0 * y], dim=-1), torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64)
    names = ("rho_c", "rho_b", "rho_b_sr", "rho_b_com")
    fronts = {name: {"ζ = 4": ESTIMATES[name](p, as_metric(w)).sqrt()} for name in names}
    viz.use_style()
    montage, figure = viz.kernel_montage(k[0]), viz.wavefronts(x, {"ζ = 4": distance(p, w)}, fronts, [2.5])
    front = (
        "The points within distance 2.5 at height θ = 0, grey, and what each estimate takes for their border."
    )
    return [(of_figure(montage), kernel), (of_figure(figure), front)]
