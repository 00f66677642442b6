"""How many files an addition touches: what needs two, a formula or a type that the compiled sources know, in copies.

The others need one. A space from a group is `examples/groups_between.py`; a term, an estimate as a function and a
backend stand in `tests/nn/test_every_space.py`; a data set, a network and an experiment in
`tests/companion/experiments/test_own_network.py` and in `examples/ink.py`, each with the line that enters it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import ops
from pdegcnn_lib.geometry import ESTIMATES, SE2, Estimate
from pdegcnn_lib.ops import compiled
from pdegcnn_lib.ops.compiled import host, machines, sources

pytestmark = pytest.mark.skipif(
    compiled.availability()["cpu"] is not None, reason=str(compiled.availability()["cpu"])
)

# Twice the diagonal estimate: four times its square.
FORMULA = """
struct Doubled {
    template <class A>
    static __device__ A square(const A* b, const A* w, A nu, A* slope) {
        const A single = Diagonal::square(b, w, nu, slope);
        for (int m = 0; m < 3; m++) slope[m] *= 4;
        return 4 * single;
    }
};
"""

# A storage type of 8 bits: the upper half of a Half.
STORAGE = """
struct Quarter {
    unsigned char bits;
};
template <>
struct ArithmeticOf<Quarter> {
    using type = float;
};
inline float to_arithmetic(Quarter value) { return half_to_float<float, unsigned>(value.bits << 8); }
template <>
inline Quarter from_arithmetic<Quarter>(float value) {
    const unsigned half = float_to_half<float, unsigned>(value);
    return {static_cast<unsigned char>((half + 0x7fu + (half >> 8 & 1u)) >> 8)};
}
inline Lanes<float> load_lanes(const Quarter* from) {
    Lanes<float> values;
    for (int i = 0; i < int(sizeof values / sizeof(float)); i++) values[i] = to_arithmetic(from[i]);
    return values;
}
inline void store_lanes(Quarter* to, Lanes<float> values) {
    for (int i = 0; i < int(sizeof values / sizeof(float)); i++) to[i] = from_arithmetic<Quarter>(values[i]);
}
"""


@pytest.fixture
def sources_with(tmp_path, monkeypatch):
    """The compiled sources with a text at the end of one file, and nothing else changed."""

    def changed(name: str, text: str) -> None:
        copy = shutil.copytree(sources.directory(), tmp_path / "kernels_cu")
        with (Path(copy) / name).open("a") as file:
            file.write(text)
        monkeypatch.setattr(sources, "directory", lambda: Path(copy))
        monkeypatch.setattr(sources, "digest", lambda: text)
        monkeypatch.setattr(host, "FLAGS", ("-O1", *host.FLAGS[1:]))  # compiled once, for one call
        monkeypatch.setenv("PDEGCNN_CACHE", str(tmp_path / "cache"))

    return changed


def doubled(b: Tensor, metric) -> Tensor:
    return 4 * metric.squared(b)


def test_a_named_and_compiled_estimate_is_a_record_and_a_formula(sources_with, monkeypatch):
    sources_with("estimates.cuh", FORMULA)
    monkeypatch.setitem(ESTIMATES, "doubled", Estimate("doubled", "$2 rho_c$", SE2.log, doubled, "Doubled"))
    w = torch.tensor([[1.0, 2.0, 1.5], [0.5, 0.5, 1.0]], dtype=torch.float64, requires_grad=True)
    options = {"alpha": 0.65, "window": (3, 5, 5), "orientations": 8, "estimate": "doubled"}
    k = ops.morphological_table(w, backend="cpu", **options)
    assert "kernel_table" in k.grad_fn.name()  # compiled, not composed of torch's operators
    expected = ops.morphological_table(w, backend="reference", **options)
    torch.testing.assert_close(k, expected, rtol=1e-12, atol=0)
    slopes = (torch.autograd.grad(x.clamp(max=1e6).sum(), w)[0] for x in (k, expected))
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=0)


def test_a_storage_type_is_a_row_and_its_conversions(sources_with, monkeypatch):
    """Small whole numbers are exact in eight bits, so nothing is rounded."""
    narrow = torch.float8_e5m2
    f, k = torch.randint(-2, 3, (1, 2, 4, 9, 21)), torch.randint(0, 3, (2, 4, 3, 3, 3))
    with pytest.raises(TypeError, match="compiled operators take .*got torch.float8_e5m2"):
        ops.dilation(f.to(narrow), k.to(narrow), backend="cpu")
    sources_with("numbers.cuh", STORAGE)
    monkeypatch.setitem(machines.SCALARS, narrow, "Quarter")
    found = ops.dilation(f.to(narrow), k.to(narrow), backend="cpu")
    assert found.dtype == narrow
    assert torch.equal(found.double(), ops.dilation(f.double(), k.double(), backend="reference"))
