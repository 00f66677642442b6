"""The vector exponential and logarithm of the host, against numpy in twice the precision."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path

import numpy as np
import pytest

from pdegcnn_lib.ops.compiled import host, sources
from pdegcnn_lib.ops.compiled.sources import Unit

pytestmark = pytest.mark.skipif(host.unavailable() is not None, reason=str(host.unavailable()))

TYPES = {"float": np.float32, "double": np.float64}


class _FromHere(Unit):
    @property
    def path(self) -> Path:
        return Path(__file__).with_name(f"{self.file}.cu")


@pytest.fixture(scope="module", params=TYPES)
def functions(request, tmp_path_factory):
    """(type, x -> (e^x, log x)) in that type."""
    target = tmp_path_factory.mktemp("functions") / "functions.so"
    options = [*host.FLAGS, f"-DSCALAR={request.param}", f"-I{sources.directory()}"]
    host.build(_FromHere("functions"), target, options)
    library = ctypes.CDLL(str(target))
    dtype = TYPES[request.param]

    def call(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = np.ascontiguousarray(x, dtype)
        both = np.empty_like(x), np.empty_like(x)
        length = ctypes.c_int(len(x))
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, *both)]
        addresses = (ctypes.c_void_p * 4)(*map(ctypes.addressof, [*pointers, length]))
        library.launch_functions(ctypes.byref(host.Launch(1, 0, 1, 1, None)), addresses)
        return both

    return dtype, call


def units(found: np.ndarray, exact: np.ndarray, dtype: type) -> float:
    """The largest error in units in the last place of the rounded exact value."""
    return float(
        (np.abs(found.astype(np.longdouble) - exact) / np.spacing(np.abs(exact).astype(dtype))).max()
    )


def test_the_exponential_errs_by_less_than_two_units(functions) -> None:
    dtype, call = functions
    low, high = (-87.3, 88.37) if dtype is np.float32 else (-708.3, 709.43)
    x = np.concatenate(
        [np.linspace(low, high, 1_000_003), np.linspace(-1, 1, 1_000_003), np.geomspace(1e-30, 1, 10_001)]
    ).astype(dtype)
    x = np.concatenate([x[(x > low) & (x < high)], -x[(-x > low) & (-x < high)]])
    assert units(call(x)[0], np.exp(x.astype(np.longdouble)), dtype) < 2


def test_the_logarithm_errs_by_less_than_three_units(functions) -> None:
    dtype, call = functions
    tiny, huge = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)
    x = np.concatenate(
        [
            np.geomspace(tiny, huge / 2, 1_000_003),
            np.linspace(0.5, 2, 1_000_003),
            1 + np.geomspace(1e-15, 1e-3, 10_001),
            1 - np.geomspace(1e-15, 1e-3, 10_001),
        ]
    ).astype(dtype)
    x = x[x != 1]
    assert units(call(x)[1], np.log(x.astype(np.longdouble)), dtype) < 3
    assert call(np.ones(1))[1] == 0


def test_the_ends_of_the_range(functions) -> None:
    dtype, call = functions
    x = np.array([-math.inf, -1e30, 0.0, 1e30, math.inf, math.nan], dtype)
    np.testing.assert_array_equal(call(x)[0], np.array([0, 0, 1, math.inf, math.inf, math.nan], dtype))
    x = np.array([0.0, math.inf, math.nan], dtype)
    np.testing.assert_array_equal(call(x)[1], np.array([-math.inf, math.inf, math.nan], dtype))
