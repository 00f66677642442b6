"""Small real handwritten digits that come with scikit-learn (1 797 images of 8 x 8, UCI), laid out as MNIST is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TRAIN = 1437  # four fifths; scikit-learn's order, in which writers do not mix


def load(train: bool) -> tuple[Tensor, Tensor]:
    """Images `[N, 1, 28, 28]` in [0, 1] and labels `[N]`: 1 437 for training, 360 for test.

    The 8 x 8 images are enlarged to 20 x 20 by bicubic interpolation and centred in 28 x 28, as MNIST's digits are,
    so that a rotation about the centre cuts nothing off. Raises: ImportError when scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the embedded digits come with scikit-learn: pip install 'pdegcnn[notebooks]'"
        ) from error
    raw = load_digits()
    part = slice(None, TRAIN) if train else slice(TRAIN, None)
    images = torch.from_numpy(raw.images[part]).float()[:, None] / 16
    images = functional.interpolate(images, size=(20, 20), mode="bicubic", align_corners=False).clamp(0, 1)
    return functional.pad(images, (4, 4, 4, 4)), torch.from_numpy(raw.target[part]).long()
