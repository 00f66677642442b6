"""How pictures are shown to a network: chosen by a data set, kept in the result of a run, read where it is applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

MODES = ("green", "rgb", "grey", "volume")


@dataclass(frozen=True)
class Preparation:
    """What a network was shown in training, which is what it must be shown of a reader's pictures.

    `data` names the data set. `mode` is `green` or `rgb`, standardised inside the field of view of an eye whose
    diameter is `field_diameter` pixels, or `grey`, taken as they are, or `volume`, grey in space, brought to the mean
    and the standard deviation `levels` of the training volumes; those two have no field of view.
    Raises: ValueError for another mode, or a diameter or levels that do not go with it.
    """

    data: str
    mode: str
    field_diameter: float | None = None
    levels: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        needed = self.mode in ("green", "rgb")
        if needed != (self.field_diameter is not None and self.field_diameter > 0):
            wanted = "a positive number of pixels" if needed else "None"
            raise ValueError(
                f"field_diameter must be {wanted} in the mode {self.mode}, got {self.field_diameter}"
            )
        levels = (self.mode == "volume") == (self.levels is not None)
        if not levels or (self.levels is not None and not (len(self.levels) == 2 and self.levels[1] > 0)):
            wanted = "a mean and a positive deviation" if self.mode == "volume" else "None"
            raise ValueError(f"levels must be {wanted} in the mode {self.mode}, got {self.levels}")

    @property
    def record(self) -> dict[str, object]:
        """As plain values for a result file."""
        return {key: value for key, value in asdict(self).items() if key != "levels" or value is not None}
