"""Nearest-neighbour resampling that does not know left from right."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdegcnn_lib.nn import Resample
from pdegcnn_lib.nn.resample import nearest_table
from pdegcnn_lib.testing import assert_equivariant

size = st.integers(1, 40)


@given(size_in=size, size_out=size)
def test_table(size_in, size_out):
    """Rows are averages, symmetric under reversal, and pick the pixel whose centre is nearest."""
    table = nearest_table(size_in, size_out)
    assert table.shape == (size_out, size_in)
    assert torch.equal(table.sum(1), torch.ones(size_out))
    assert torch.equal(table.flip(0, 1), table)
    for i in range(size_out):
        centre = (i + 0.5) * size_in / size_out - 0.5
        distance = (torch.arange(size_in) - centre).abs()
        chosen = table[i].nonzero()[:, 0]
        assert (distance[chosen] <= distance.min() + 1e-4).all()
        assert len(chosen) == (
            2
            if math.isclose(centre % 1, 0.5, abs_tol=1e-9) and (2 * i + 1) * size_in % (2 * size_out) == 0
            else 1
        )


@pytest.mark.parametrize(("size_in", "size_out"), [(24, 14), (14, 5), (16, 5), (24, 5), (7, 7), (5, 12)])
def test_exactly_symmetric_under_flips_and_turns(size_in, size_out):
    f = torch.randint(0, 256, (1, 1, 8, size_in, size_in)).float()
    resample = Resample(size_out)
    out = resample(f)
    assert out.shape[-2:] == (size_out, size_out)
    for dims in ((-1,), (-2,), (-1, -2)):
        assert torch.equal(resample(f.flip(dims)), out.flip(dims))
    assert torch.equal(resample(f.mT), out.mT)
    assert_equivariant(resample, f, tolerance=0.0)


def test_identity_at_the_same_size_and_subsampling_at_a_third():
    f = torch.randn(2, 3, 9, 12)
    assert torch.equal(Resample(9)(f[..., :9]), f[..., :9])
    assert torch.equal(Resample(3)(f[..., :9]), f[..., 1::3, 1:9:3])


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="sizes must be at least 1, got 4 -> 0"):
        Resample(0)(torch.zeros(1, 4, 4))
