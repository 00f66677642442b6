"""What the pages for a browser carry: the module of kernels, networks, photographs and scripts, all inside the page.

A page that is opened from a file may fetch nothing, so everything is text in it. Scripts lie in `book/_browser/`.
"""

from __future__ import annotations

import base64
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import browser_pictures
from browser_pictures import embedded

SCRIPTS = Path(__file__).resolve().parent.parent / "book/_browser"
MODULE = Path(".make/browser/kernels.wasm")
NETWORKS = {
    "vessels/vessels-pdegcnn6": "6 layers",
    "vessels/vessels-pdegcnn12": "12 layers",
    "vessels/vessels-pdegcnn12-wide": "12 layers of 16 channels",
}
# The scripts of every page and of the worker, in the order in which they are read.
PAGE_SCRIPTS = {
    "try-it": ("machine.js", "page.js", "try-it.js"),
    "inside": ("machine.js", "network.js", "page.js", "steps.js", "inside.js"),
    "evolution": ("machine.js", "network.js", "page.js", "score.js", "evolution.js"),
    "explorers": ("machine.js", "network.js", "page.js", "contours.js", "explorers.js"),
}
WORKER_SCRIPTS = ("machine.js", "network.js", "photograph.js", "worker.js")
SIDE = 900  # pixels of a photograph on the page, at most
CENTRE = [0.5, 0.5]  # where the page `inside` looks first, as parts of the height and the width


def script(*names: str) -> str:
    """Scripts one after the other, each read once by the browser; none may end the element that holds it."""
    text = "\n".join((SCRIPTS / name).read_text(encoding="utf-8") for name in names)
    if "</script" in text.lower():
        raise SystemExit(f"one of {', '.join(names)} would end the element that holds it")
    return text


def worker(name: str) -> str:
    """What the worker of a page runs, as text that the page hands to it."""
    text = script(*WORKER_SCRIPTS)
    return f'<script type="text/plain" id="{name}">{text}</script>'


def scope(*names: str) -> str:
    """Scripts that run in the page, with names of their own: the printed book holds several pages in one."""
    return "<script>{\n" + script(*names) + "\n}</script>"


def element(name: str, value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def module() -> str:
    """The module of kernels in base 64; empty where there was no compiler."""
    return base64.b64encode(MODULE.read_bytes()).decode() if MODULE.is_file() else ""


@cache
def networks() -> dict[str, Any]:
    """The networks of the page, with the bytes that each takes in it."""
    from pdegcnn_lib.companion import browser
    from pdegcnn_lib.companion.experiments import trained

    found = {}
    for name, label in NETWORKS.items():
        network = browser.network(trained.resolve(name), label)
        found[name] = {**network, "bytes": len(json.dumps(network))}
    return found


@cache
def photographs() -> tuple[list[tuple[str, Any]], str]:
    """Two photographs to start with, and where they come from: two of the test set, or else one that is always here."""
    from PIL import Image

    from pdegcnn_lib.companion.data import chase

    if chase.available():
        names = [chase.names()[n] for n in (21, 24)]
        pixels = [(255 * chase.photograph(name)).round().byte().permute(1, 2, 0).numpy() for name in names]
        found = [(f"Photograph {n}", Image.fromarray(each)) for n, each in enumerate(pixels, start=1)]
        source = (
            "The photographs are from the test set of "
            '<a href="https://blogs.kingston.ac.uk/retinal/chasedb1/">CHASE_DB1</a> '
            f"({names[0]} and {names[1]}), licensed under CC BY 4.0; the network has not seen them."
        )
    else:
        from skimage import data

        whole = Image.fromarray(data.retina())
        middle = whole.crop((450, 250, 1150, 950))
        found = [("The whole eye", whole), ("A part of it", middle)]
        source = "The photograph is the one that scikit-image carries, in the public domain."
    for _, image in found:
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return [(label, image.convert("RGB")) for label, image in found], source


def finished(name: str, pictures: list[tuple[str, str]]) -> str:
    """Pictures of a finished run, with a sentence each; the page shows them where it cannot compute."""
    shown = "".join(
        f'<img src="{source}" alt="{text}"><figcaption>{text}</figcaption>' for source, text in pictures
    )
    return f'<figure class="finished" id="{name}" hidden>{shown}</figure>'


def example(label: str, image: Any) -> dict[str, str]:
    """A photograph to start with, as a page has it."""
    return {"label": label, "picture": embedded(image, "JPEG", quality=88)}


def colours(name: str, count: int, period: int) -> list[list[int]]:
    """Colours of a map, evenly spaced, repeated after a period."""
    import matplotlib as mpl

    of = mpl.colormaps[name]
    return [[round(255 * c) for c in of(n % period / period)] for n in range(count)]


def try_it() -> str:
    """The page `try-it` below its controls."""
    found, source = photographs()
    examples = [example(*each) for each in found]
    return "\n".join(
        [
            finished("finished", browser_pictures.vessels()),
            f'<p class="machine-source">{source}</p>',
            element("try-it-data", {"module": module(), "networks": networks(), "examples": examples}),
            worker("try-it-worker"),
            scope(*PAGE_SCRIPTS["try-it"]),
        ]
    )


def inside() -> str:
    """The page `inside` below its controls: one network, and the colours of the book."""
    from pdegcnn_lib.companion.viz.style import MAIN, ORIENTATION_MAP, SIGNED_MAP, VALUE_MAP

    found, source = photographs()
    [name, *_] = NETWORKS
    network = networks()[name]
    half = network["orientations"] // 2  # a line looks the same after half a turn
    data = {
        "module": module(),
        "network": network,
        "examples": [example(*each) for each in found],
        "centre": CENTRE,
        "colours": colours(VALUE_MAP, 256, 256),
        "signed": colours(SIGNED_MAP, 256, 256),
        "angles": colours(ORIENTATION_MAP, half, half),
        "main": MAIN,
    }
    scripts = scope(*PAGE_SCRIPTS["inside"])
    source = f'<p class="machine-source">{source}</p>'
    pictures = finished("inside-finished", browser_pictures.vessels())
    return "\n".join([pictures, source, element("inside-data", data), worker("inside-worker"), scripts])


def evolution() -> str:
    """The page `evolution` below its pictures: the lift by cake wavelets and the colours of the book."""
    import torch

    from pdegcnn_lib.companion import browser
    from pdegcnn_lib.companion.viz.style import ORIENTATION_MAP, VALUE_MAP
    from pdegcnn_lib.kernels import cake_wavelets

    orientations, size = browser_pictures.ORIENTATIONS, browser_pictures.WAVELET
    wavelets = cake_wavelets(orientations, size).flatten(1)
    lift = browser.combination(wavelets, torch.zeros(orientations, dtype=wavelets.dtype), size)

    data = {
        "module": module(),
        "lift": {"orientations": orientations, "channels": 1, "steps": [lift]},
        "colours": colours(VALUE_MAP, 256, 256),
        "angles": colours(ORIENTATION_MAP, orientations, orientations // 2),
        "pictures": browser_pictures.lines(),
    }
    pictures = finished("evolution-finished", browser_pictures.evolution())
    return "\n".join([pictures, element("evolution-data", data), scope(*PAGE_SCRIPTS["evolution"])])


def explorers() -> str:
    """The page `explorers` below its pictures: the exact distance on one octant, colours and lines of the figures.

    d is even in the half-angle coordinates b, so a table over |b1|, |b2| and |theta| covers the window [-3, 3]^2 at
    every height. Nodes lie at reach * s^2; values are whole multiples of `unit`, little-endian 16-bit integers.
    """
    import torch

    from pdegcnn_lib.companion.viz.style import ESTIMATE_STYLES, VALUE_MAP
    from pdegcnn_lib.geometry import SE2, distance

    zetas, nodes, heights, reach, unit = [2, 4, 8], 41, 13, 3 * math.sqrt(2), 2e-4
    b = reach * torch.linspace(0, 1, nodes, dtype=torch.float64) ** 2
    theta = torch.linspace(0, math.pi, heights, dtype=torch.float64)
    theta, b1, b2 = torch.meshgrid(theta, b, b, indexing="ij")
    half_turn = torch.stack([torch.zeros_like(b1), torch.zeros_like(b1), theta / 2], dim=-1)
    xy = SE2.act(half_turn, torch.stack([b1, b2], dim=-1))
    p = torch.cat([xy, theta[..., None]], dim=-1)
    w = torch.tensor([[1.0, zeta, 1.0] for zeta in zetas], dtype=torch.float64)
    values = (distance(p, w[:, None, None, None]) / unit).round().numpy().astype("<u2")
    table = {"zetas": zetas, "nodes": nodes, "heights": heights, "reach": reach, "unit": unit}
    table["values"] = base64.b64encode(values.tobytes()).decode()
    data = {
        "module": module(),
        "distance": table,
        "styles": ESTIMATE_STYLES,
        "colours": colours(VALUE_MAP, 256, 256),
    }
    pictures = finished("explorer-finished", browser_pictures.explorers())
    return "\n".join([pictures, element("explorer-data", data), scope(*PAGE_SCRIPTS["explorers"])])


PAGES = {"try-it": try_it, "inside": inside, "evolution": evolution, "explorers": explorers}


def write(out: Path) -> None:
    """Every page's part that nobody edits, into a folder."""
    for name, make in PAGES.items():
        (out / f"{name}.html").write_text(make() + "\n", encoding="utf-8")
