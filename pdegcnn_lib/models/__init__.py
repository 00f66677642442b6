"""The networks of the papers, by name: `build("digits-pdegcnn")`, `trained("vessels-pdegcnn6")` with its weights."""

from pdegcnn_lib.models import digits, lietorch, tubes, unet, vessels
from pdegcnn_lib.models.registry import Entry, build, entry, names, parameter_count, register
from pdegcnn_lib.models.weights import card, trained, trained_names

__all__ = [
    "Entry",
    "build",
    "card",
    "digits",
    "entry",
    "lietorch",
    "names",
    "parameter_count",
    "register",
    "trained",
    "trained_names",
    "tubes",
    "unet",
    "vessels",
]
