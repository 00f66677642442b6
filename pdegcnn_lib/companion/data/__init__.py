"""Data sets: small ones that are always there, larger ones from `PDEGCNN_DATA` or an explicit download."""

from pdegcnn_lib.companion.data import chase, digits, drive, fundus, lines, mnist, retina, tubes, vesselnn
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.data.preparation import Preparation
from pdegcnn_lib.companion.data.rotation import random_angles, rotate_each
from pdegcnn_lib.companion.data.segmentation import Segmentation

__all__ = [
    "DataError",
    "Preparation",
    "Segmentation",
    "chase",
    "digits",
    "drive",
    "fundus",
    "lines",
    "mnist",
    "random_angles",
    "retina",
    "rotate_each",
    "tubes",
    "vesselnn",
]
