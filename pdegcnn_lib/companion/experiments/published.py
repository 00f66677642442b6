"""Scores of vessel networks that others have published, to stand beside our own."""

from __future__ import annotations

from dataclasses import dataclass

BASELINES = "baselines of bob.ip.binseg"


@dataclass(frozen=True)
class Published:
    """A network with its number of parameters and its Dice score in the field of view, as its source gives it.

    Splits differ between sources, so a score says how far a network of such a size came, not which is better.
    """

    name: str
    parameters: int
    dice: float
    split: str
    source: str


CHASE_DB1 = (
    Published("Little W-Net", 68_000, 0.820, "8 / 20", BASELINES),
    Published("LightVesselNet", 75_000, 0.818, "not read", "arXiv 2606.05354"),
    Published("M2U-Net", 550_000, 0.798, "8 / 20", BASELINES),
    Published("DRIU", 15_000_000, 0.812, "8 / 20", BASELINES),
    Published("U-Net", 25_800_000, 0.807, "8 / 20", BASELINES),
)
