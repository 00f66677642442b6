"""How pictures are shown to a network: chosen by a data set, kept in the result of a run, read where it is applied."""

from __future__ import annotations

from dataclasses import asdict, dataclass

MODES = ("green", "rgb", "grey")


@dataclass(frozen=True)
class Preparation:
    """What a network was shown in training, which is what it must be shown of a reader's pictures.

    `data` names the data set. `mode` is `green` or `rgb`, standardised inside the field of view of an eye whose
    diameter is `field_diameter` pixels, or `grey`, taken as they are; those have no field of view.
    Raises: ValueError for another mode, or a diameter that does not go with it.
    """

    data: str
    mode: str
    field_diameter: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        needed = self.mode != "grey"
        if needed != (self.field_diameter is not None and self.field_diameter > 0):
            wanted = "a positive number of pixels" if needed else "None"
            raise ValueError(
                f"field_diameter must be {wanted} in the mode {self.mode}, got {self.field_diameter}"
            )

    @property
    def record(self) -> dict[str, object]:
        """As plain values for a result file."""
        return asdict(self)
