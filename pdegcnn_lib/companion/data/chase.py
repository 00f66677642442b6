"""CHASE_DB1: 28 retinal photographs with two observers' vessel masks (CC BY 4.0, Kingston University London).

Fraz et al., IEEE Trans. Biomed. Eng. 59(9), 2012. Every file is held against its SHA-256 when it is read.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pdegcnn_lib.companion.data import places
from pdegcnn_lib.companion.data.files import picture
from pdegcnn_lib.companion.data.fundus import channels, field_of_view, standardise
from pdegcnn_lib.companion.data.preparation import Preparation
from pdegcnn_lib.companion.data.segmentation import Labels, Segmentation, smaller

TRAIN = 20  # the customary split: the first 20 of the sorted names for training, the last 8 for test
HALF = 2  # at half its resolution a vessel is as wide as in DRIVE: 480 x 499 pixels
FIELD_DIAMETER = 455.0  # of the eye at half resolution, in pixels

# A mirror that keeps the original files, each pinned by its checksum; the owner hands out one archive.
SOURCE = (
    "https://raw.githubusercontent.com/SHI-Labs/SGL-Retinal-Vessel-Segmentation/"
    "e74eaeac27ce2a483da7717645eb0f6e8e708acd/dataset/"
)


@cache
def sha256() -> dict[str, str]:
    """The files of the data set, by their name below its folder, with their checksums."""
    text = (
        resources.files("pdegcnn_lib.companion.data").joinpath("chase_db1.sha256").read_text(encoding="utf-8")
    )
    return dict(line.split() for line in text.splitlines())


def folder() -> Path:
    """Where CHASE_DB1 is looked for."""
    return places.folder("CHASE_DB1")


def _names(name: str) -> tuple[str, str]:
    """What a file is called: in the folder of its kind, or beside all others, as the owner's archive has them."""
    return name, Path(name).name


def available() -> bool:
    """Whether all 84 files are there (their content is checked when they are read)."""
    return all(places.place("CHASE_DB1", _names(name))[0].is_file() for name in sha256())


def names() -> tuple[str, ...]:
    """The 28 names, sorted: `Image_01L`, `Image_01R`, ..."""
    return tuple(sorted(Path(name).stem for name in sha256() if name.startswith("images/")))


def address(name: str) -> str:
    """Where a file of the data set is fetched from."""
    part = "CHASE" if Path(name).name[6:8] <= "10" or name.startswith("2ndHO") else "CHASET"
    place = {"images": "HR", "1stHO": "VE", "2ndHO": "human"}[name.split("/")[0]]
    return f"{SOURCE}{part}/{place}/{Path(name).name}"


def download() -> Path:
    """Fetch the files into the data folder with pooch, checked; only on explicit request."""
    import pooch

    for name, digest in sha256().items():
        path = folder() / name
        pooch.retrieve(address(name), known_hash=f"sha256:{digest}", fname=path.name, path=path.parent)
    return folder()


def _pixels(name: str) -> Tensor:
    path, content = places.content(
        "CHASE_DB1",
        dict.fromkeys(_names(name), sha256()[name]),
        f"point PDEGCNN_DATA at a folder that holds CHASE_DB1/{name}, or call {__name__}.download()",
    )
    return torch.from_numpy(np.array(picture(content, path, "CHASE_DB1")))


def photograph(name: str) -> Tensor:
    """A photograph in full resolution, `[3, 960, 999]` in [0, 1]. Raises: DataError when it is missing or damaged."""
    return _pixels(f"images/{name}.jpg").permute(2, 0, 1).float() / 255


def vessels(name: str, observer: str = "1stHO") -> Tensor:
    """What an observer, `1stHO` or `2ndHO`, drew: bools `[960, 999]`.

    Raises: DataError as `photograph`, ValueError for another observer.
    """
    if observer not in ("1stHO", "2ndHO"):
        raise ValueError(f"observer must be 1stHO or 2ndHO, got {observer!r}")
    return _pixels(f"{observer}/{name}_{observer}.png")


def load(train: bool, *, mode: str = "green", factor: int = HALF) -> Segmentation:
    """The customary split, every image standardised inside its field of view, at 1/`factor` of the resolution.

    The truth is the first observer's mask; the second observer's is the human reference. The data set has no masks of
    the field of view: they are computed. `mode`: `green` or `rgb`. Shapes: 20 or 8 images `[C, 480, 499]` at half
    resolution, with the coverage of its pixels and the masks of 960 x 999. Raises: DataError when a file is missing or
    damaged.
    """
    chosen = names()[:TRAIN] if train else names()[TRAIN:]
    images, inside, fields = [], [], []
    drawn: dict[str, list[Tensor]] = {"1stHO": [], "2ndHO": []}
    for name in chosen:
        rgb = photograph(name)
        inside.append(field_of_view(rgb)[None])
        fields.append(smaller(inside[-1], factor))
        images.append(standardise(smaller(channels(rgb, mode), factor), fields[-1][0]))
        for observer, masks in drawn.items():
            masks.append(vessels(name, observer)[None])
    first, second = (torch.stack(masks) for masks in drawn.values())
    return Segmentation(
        chosen,
        torch.stack(images),
        smaller(first, factor),
        torch.stack(fields),
        smaller(second, factor),
        coverage=smaller(first.float(), factor),
        original=Labels(first, torch.stack(inside), second),
        preparation=Preparation("CHASE_DB1", mode, FIELD_DIAMETER * HALF / factor),
    )
