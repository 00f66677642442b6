"""Data sets: small ones that are always there, larger ones from `PDEGCNN_DATA` or an explicit download."""

from pdegcnn_lib.data import digits, mnist, retina
from pdegcnn_lib.data.errors import DataError
from pdegcnn_lib.data.rotation import random_angles, rotate_each

__all__ = ["DataError", "digits", "mnist", "random_angles", "retina", "rotate_each"]
