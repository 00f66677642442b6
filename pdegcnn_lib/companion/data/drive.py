"""DRIVE: 40 retinal photographs with vessel masks (Staal et al., IEEE Trans. Med. Imaging 23(4), 2004).

Its owners forbid redistribution: a reader registers at https://drive.grand-challenge.org, and unpacks the archive so
that the folder DRIVE below the data folder holds `training` and `test` as they come. Since 2019 the labels of the
test images are not among them: whoever has them from before can test, others can only train.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pdegcnn_lib.companion.data import places
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.data.files import picture
from pdegcnn_lib.companion.data.fundus import channels, standardise
from pdegcnn_lib.companion.data.preparation import Preparation
from pdegcnn_lib.companion.data.segmentation import Labels, Segmentation

SIZE = (584, 565)  # rows and columns of every file
HOW_TO_GET = "register at https://drive.grand-challenge.org and unpack both archives below PDEGCNN_DATA/DRIVE"


def folder() -> Path:
    """Where DRIVE is looked for."""
    return places.folder("DRIVE")


def files(train: bool) -> list[dict[str, str]]:
    """For each of the 20 images of a part its files: image, truth, field, and observer in the test part."""
    if train:
        return [
            {
                "image": f"training/images/{n}_training.tif",
                "truth": f"training/1st_manual/{n}_manual1.gif",
                "field": f"training/mask/{n}_training_mask.gif",
            }
            for n in range(21, 41)
        ]
    return [
        {
            "image": f"test/images/{n:02}_test.tif",
            "truth": f"test/1st_manual/{n:02}_manual1.gif",
            "field": f"test/mask/{n:02}_test_mask.gif",
            "observer": f"test/2nd_manual/{n:02}_manual2.gif",
        }
        for n in range(1, 21)
    ]


def available(parts: tuple[bool, ...] = (True, False)) -> bool:
    """Whether every file of both parts is there, or of those named; `True` is the training part."""
    names = (name for part in parts for row in files(part) for name in row.values())
    return all(places.place("DRIVE", (name,))[0].is_file() for name in names)


def _pixels(name: str, axes: int) -> Tensor:
    path, content = places.content("DRIVE", {name: None}, HOW_TO_GET)
    image = picture(content, path, "DRIVE")
    # The numbers of a palette say nothing of its colours: a mask saved anew may have white first.
    pixels = np.array(image.convert("L") if image.mode == "P" else image)
    expected = (*SIZE, 3)[:axes]
    if pixels.shape != expected:
        raise DataError(f"DRIVE: {path} has the shape {list(pixels.shape)}, it must have {list(expected)}")
    return torch.from_numpy(pixels)


def _mask(name: str) -> Tensor:
    pixels = _pixels(name, 2)
    if len(pixels.unique()) != 2:
        raise DataError(f"DRIVE: {folder() / name} must hold two values, got {len(pixels.unique())}")
    return pixels == pixels.max()


def load(train: bool, *, mode: str = "green") -> Segmentation:
    """The official split, every image standardised inside its field of view; 20 images `[C, 584, 565]`.

    The observer of the test part is the second one. `mode`: `green` or `rgb`.
    Raises: DataError for the first file that is missing, is no picture, or has another shape.
    """
    part = files(train)
    drawn, shown = (places.place("DRIVE", (part[0][kind],))[0] for kind in ("truth", "image"))
    if not train and shown.is_file() and not drawn.parent.exists():
        raise DataError(
            f"DRIVE: the labels of the test images, {drawn.parent}, are missing; they are not handed "
            "out any more, and scores on these images are made by the site alone. The training part is not concerned"
        )
    images: list[Tensor] = []
    masks: dict[str, list[Tensor]] = {name: [] for name in part[0] if name != "image"}
    for row in part:
        for name, found in masks.items():
            found.append(_mask(row[name])[None])
        rgb = _pixels(row["image"], 3).permute(2, 0, 1).float() / 255
        images.append(standardise(channels(rgb, mode), masks["field"][-1][0]))
    names = tuple(Path(row["image"]).stem for row in part)
    labels = Labels(**{name: torch.stack(m) for name, m in masks.items()})
    diameter = 2 * math.sqrt(float(labels.field.sum((-2, -1)).double().mean()) / math.pi)
    prepared = Preparation("DRIVE", mode, round(diameter, 1))
    return Segmentation(
        names, torch.stack(images), labels.truth, labels.field, labels.observer, preparation=prepared
    )
