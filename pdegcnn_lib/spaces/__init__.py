"""The spaces on which features live, as values: the plane, space, positions and orientations, a group of one's own."""

from pdegcnn_lib.spaces.base import Space
from pdegcnn_lib.spaces.choice import chosen, of_features
from pdegcnn_lib.spaces.flat import Plane, Volume
from pdegcnn_lib.spaces.m3 import M3
from pdegcnn_lib.spaces.slices import M2, Sampled

__all__ = ["M2", "M3", "Plane", "Sampled", "Space", "Volume", "chosen", "of_features"]
