"""MNIST from its four original files (LeCun, Cortes, Burges; CC BY-SA 3.0), each checked by its SHA-256."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pdegcnn_lib.companion.data import places
from pdegcnn_lib.companion.data.errors import DataError

PROTOCOLS = ("60000/10000", "12000/50000")
ORDER_SEED = 1207  # of the digits in the second protocol
SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}

UNPACKED = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def folder() -> Path:
    """Where MNIST is looked for."""
    return places.folder("MNIST")


def _names(name: str) -> dict[str, str | None]:
    """What a file is called, packed or not, with its SHA-256; with a dot it is called so by Kaggle."""
    plain = name.removesuffix(".gz")
    return {name: SHA256[name], **dict.fromkeys((plain, plain.replace("-idx", ".idx")), UNPACKED[plain])}


def available() -> bool:
    """Whether all four files are there (their content is checked when they are read)."""
    return all(places.place("MNIST", _names(name))[0].is_file() for name in SHA256)


def download() -> Path:
    """Fetch the four files into the data folder with pooch, checked; only on explicit request."""
    import pooch

    for name, digest in SHA256.items():
        pooch.retrieve(SOURCE + name, known_hash=f"sha256:{digest}", fname=name, path=folder())
    return folder()


def _read(name: str, magic: int) -> np.ndarray:
    path, content = places.content(
        "MNIST",
        _names(name),
        f"point PDEGCNN_DATA at a folder that holds MNIST/{name}, or call {__name__}.download()",
    )
    packed = content.startswith(b"\x1f\x8b")
    raw = np.frombuffer(gzip.decompress(content) if packed else content, dtype=np.uint8)
    found = int.from_bytes(raw[:4].tobytes(), "big")
    if found != magic:
        raise DataError(f"MNIST: {path} starts with {found}, it must start with {magic}")
    axes = magic & 0xFF
    shape = np.frombuffer(raw[4 : 4 + 4 * axes].tobytes(), dtype=">u4").astype(int)
    return raw[4 + 4 * axes :].reshape(shape)


def load(train: bool, *, protocol: str = "60000/10000") -> tuple[Tensor, Tensor]:
    """Images `[N, 1, 28, 28]` in [0, 1] and labels `[N]`, for training or for test.

    `protocol`: `60000/10000` is the official split; `12000/50000` has the sizes of the customary rotated MNIST
    (Larochelle et al., 2007): the first 12 000 and the next 50 000 of all digits, in an order drawn once from a seed.
    Raises: DataError when a file is missing or damaged, ValueError for another protocol.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if protocol == "60000/10000":
        return _part("train" if train else "t10k")
    parts = [_part("train"), _part("t10k")]
    images, labels = (torch.cat(both) for both in zip(*parts, strict=True))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(ORDER_SEED))
    chosen = order[:12000] if train else order[12000:62000]
    return images[chosen], labels[chosen]


def _part(part: str) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(_read(f"{part}-images-idx3-ubyte.gz", 2051).copy())
    labels = torch.from_numpy(_read(f"{part}-labels-idx1-ubyte.gz", 2049).copy())
    return images[:, None].float() / 255, labels.long()
