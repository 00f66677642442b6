"""What the pages for a browser carry: the module of kernels, networks, photographs and scripts, all inside the page.

A page that is opened from a file may fetch nothing, so everything is text in it. Scripts lie in `book/_browser/`.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent.parent / "book/_browser"
MODULE = Path(".make/browser/kernels.wasm")
NETWORKS = {
    "vessels-pdegcnn6": "PDE-G-CNN of 6 layers",
    "vessels-pdegcnn12": "PDE-G-CNN of 12 layers",
}
SIDE = 900  # pixels of a photograph on the page, at most


def script(*names: str) -> str:
    """Scripts one after the other, each read once by the browser; none may end the element that holds it."""
    text = "\n".join((SCRIPTS / name).read_text(encoding="utf-8") for name in names)
    if "</script" in text.lower():
        raise SystemExit(f"one of {', '.join(names)} would end the element that holds it")
    return text


def scope(*names: str) -> str:
    """Scripts that run in the page, with names of their own: the printed book holds several pages in one."""
    return "<script>{\n" + script(*names) + "\n}</script>"


def element(name: str, value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def module() -> str:
    """The module of kernels in base 64; empty where there was no compiler."""
    return base64.b64encode(MODULE.read_bytes()).decode() if MODULE.is_file() else ""


def networks() -> dict[str, Any]:
    """The networks of the page, with the bytes that each takes in it."""
    from pdegcnn_lib.companion import browser
    from pdegcnn_lib.companion.experiments import trained

    found = {}
    for name, label in NETWORKS.items():
        network = browser.network(trained.resolve(f"vessels/{name}"), label)
        found[name] = {**network, "bytes": len(json.dumps(network))}
    return found


def as_data(image: Any, quality: int = 88) -> str:
    """A picture as a JPEG inside an address."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def photographs() -> tuple[list[tuple[str, Any]], str]:
    """Two photographs to start with, and where they come from: two of the test set, or else one that is always here."""
    from PIL import Image

    from pdegcnn_lib.companion.data import chase

    if chase.available():
        names = [chase.names()[n] for n in (21, 24)]
        found = [
            (f"Photograph {n + 1}", Image.open(chase.folder() / f"images/{name}.jpg"))
            for n, name in enumerate(names)
        ]
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


def try_it() -> str:
    """The page `try-it` below its controls."""
    from PIL import Image

    found, source = photographs()
    examples = [{"label": label, "picture": as_data(image)} for label, image in found]
    finished = Image.open(SCRIPTS.parent.parent / "results/vessels/examples.png").convert("RGB")
    finished.thumbnail((1000, 1000), Image.Resampling.LANCZOS)
    return "\n".join(
        [
            '<figure id="finished" hidden>',
            f'<img src="{as_data(finished, 75)}" alt="Photographs of eyes and the vessels that networks found">',
            "<figcaption>Photographs of the test set, and what networks found in them</figcaption></figure>",
            f'<p class="machine-source">{source}</p>',
            element("try-it-data", {"module": module(), "networks": networks(), "examples": examples}),
            '<script type="text/plain" id="worker-source">'
            + script("machine.js", "network.js", "photograph.js", "worker.js")
            + "</script>",
            scope("machine.js", "try-it.js"),
        ]
    )


def evolution() -> str:
    """The page `evolution` below its pictures: the lift by cake wavelets and the colours of the book."""
    import matplotlib as mpl
    import torch

    from pdegcnn_lib.companion import browser
    from pdegcnn_lib.companion.viz.style import ORIENTATION_MAP, VALUE_MAP
    from pdegcnn_lib.kernels import cake_wavelets

    orientations, size = 16, 21
    wavelets = cake_wavelets(orientations, size).flatten(1)
    lift = browser.combination(wavelets, torch.zeros(orientations, dtype=wavelets.dtype), size)

    def colours(name: str, count: int, period: int) -> list[list[int]]:
        of = mpl.colormaps[name]
        return [[round(255 * c) for c in of(n % period / period)] for n in range(count)]

    data = {
        "module": module(),
        "lift": {"orientations": orientations, "channels": 1, "steps": [lift]},
        "colours": colours(VALUE_MAP, 256, 256),
        "angles": colours(ORIENTATION_MAP, orientations, orientations // 2),
    }
    return element("evolution-data", data) + "\n" + scope("machine.js", "network.js", "evolution.js")


PAGES = {"try-it": try_it, "evolution": evolution}


def write(out: Path) -> None:
    """Every page's part that nobody edits, into a folder."""
    for name, make in PAGES.items():
        (out / f"{name}.html").write_text(make() + "\n", encoding="utf-8")
