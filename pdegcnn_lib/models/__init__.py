"""The networks of the papers, by name: `build("digits-pdegcnn")`."""

from pdegcnn_lib.models import digits, tubes, unet, vessels
from pdegcnn_lib.models.registry import Entry, build, entry, names, parameter_count, register

__all__ = [
    "Entry",
    "build",
    "digits",
    "entry",
    "names",
    "parameter_count",
    "register",
    "tubes",
    "unet",
    "vessels",
]
