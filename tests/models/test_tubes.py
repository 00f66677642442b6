"""The networks of tubes: sizes by width and depth, whole networks under the turns of a cube, bad input."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.testing import equivariance_error


@pytest.mark.parametrize(
    ("name", "channels", "layers", "count"),
    [
        ("tubes-pdegcnn", 8, 2, 417),
        ("tubes-pdegcnn", 8, 3, 553),
        ("tubes-pdegcnn", 16, 3, 1489),
        ("tubes-pdegcnn", 16, 4, 1889),
        ("tubes-cnn", 2, 3, 593),
        ("tubes-cnn", 8, 3, 6257),
        ("tubes-cnn", 16, 4, 29825),
        ("tubes-gcnn", 4, 2, 1241),
        ("tubes-gcnn", 8, 2, 4785),
    ],
)
def test_exact_parameter_counts(name: str, channels: int, layers: int, count: int) -> None:
    assert models.parameter_count(models.build(name, channels=channels, layers=layers)) == count


@pytest.mark.parametrize("directions", [6, 14, 26])
def test_directions_do_not_change_the_number_of_parameters(directions: int) -> None:
    assert models.parameter_count(models.build("tubes-pdegcnn", directions=directions)) == 417
    lines = models.build("tubes-pdegcnn", directions=13, terms=("dilation", "erosion"))
    assert models.parameter_count(lines) == 417 - 2 * 8 - 6 * 8, (
        "no convection, and 9 numbers of a lift for 15"
    )


@pytest.mark.parametrize(
    ("name", "small"), [("tubes-pdegcnn", True), ("tubes-gcnn", True), ("tubes-cnn", False)]
)
def test_only_networks_on_m3_commute_with_the_turns(name: str, small: bool) -> None:
    torch.manual_seed(0)
    model = models.build(name, channels=3).double()
    for key, parameter in model.named_parameters():
        if key.endswith("g0"):
            torch.nn.init.normal_(parameter)
    f = torch.randn(2, 1, 7, 7, 7, dtype=torch.float64)
    model(f)
    errors = equivariance_error(model.eval(), f)
    assert len(errors) == 23
    assert (max(errors.values()) < 1e-12) if small else (min(errors.values()) > 0.01)


def test_bad_input() -> None:
    model = models.build("tubes-pdegcnn")
    with pytest.raises(ValueError, match=r"volumes \[B, Cin, D, H, W\], got \[1, 1, 8, 8\]"):
        model(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="channels must be a positive integer, got 0"):
        models.build("tubes-pdegcnn", channels=0)
    for wrong in ("8", 8.0, True):
        with pytest.raises(ValueError, match=f"layers must be a positive integer, got {wrong!r}"):
            models.build("tubes-cnn", layers=wrong)
    with pytest.raises(ValueError, match="closed under the 24 turns"):
        models.build("tubes-pdegcnn", directions=10)
