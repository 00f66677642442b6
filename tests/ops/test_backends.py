"""The choice of a backend."""

import pytest
import torch

from pdegcnn_lib import ops
from pdegcnn_lib.ops import backends

F, K = torch.zeros(1, 1, 4, 3, 3), torch.zeros(1, 4, 1, 3, 3)


@pytest.fixture
def unavailable(monkeypatch):
    """A machine where nothing but the reference runs."""
    reasons = {"reference": None, "cpu": "no C++ compiler was found", "cuda": "no GPU was found"}
    monkeypatch.setattr(backends, "availability", lambda: reasons)
    backends._reason_with_one_warning.cache_clear()
    yield
    backends._reason_with_one_warning.cache_clear()


@pytest.fixture
def available(monkeypatch):
    """A machine where everything runs."""
    monkeypatch.setattr(backends, "availability", lambda: dict.fromkeys(backends.BACKENDS))
    backends._reason_with_one_warning.cache_clear()
    yield
    backends._reason_with_one_warning.cache_clear()


def test_availability_gives_a_reason_for_every_backend_that_cannot_run():
    found = ops.availability()
    assert tuple(found) == ops.BACKENDS == ("reference", "cpu", "cuda")
    assert found["reference"] is None
    assert all(reason is None or (isinstance(reason, str) and reason) for reason in found.values())
    assert (found["cuda"] is None) <= torch.cuda.is_available()


def test_fallback_warns_once_and_says_why(unavailable, recwarn):
    with pytest.warns(
        RuntimeWarning, match="the cpu backend is not available: no C.. compiler was found; the reference"
    ):
        assert backends.choose(None, F) == "reference"
    assert backends.choose(None, F) == "reference"
    assert torch.equal(ops.dilation(F, K), F)
    assert len(recwarn) == 0


def test_a_name_is_taken_at_its_word(unavailable):
    assert backends.choose("reference", F) == "reference"
    with pytest.raises(RuntimeError, match="backend 'cpu' is not available: no C.. compiler was found"):
        ops.dilation(F, K, backend="cpu")


def test_the_device_decides_by_default(available):
    assert backends.choose(None, F) == "cpu"
    assert backends.choose("cpu", F) == "cpu"
    assert backends.choose(None, F.to("meta")) == "reference"


@pytest.mark.parametrize("op", [ops.dilation, ops.erosion, ops.linear_convolution, ops.log_convolution])
def test_bad_names_are_quoted(op):
    with pytest.raises(ValueError, match="backend must be None or one of reference, cpu, cuda, got 'gpu'"):
        op(F, K, backend="gpu")
    with pytest.raises(ValueError, match="backend 'cuda' needs tensors on that device, got a tensor on cpu"):
        op(F, K, backend="cuda")


def test_convection_chooses_too():
    with pytest.raises(ValueError, match="backend must be None or one of reference, cpu, cuda, got 'gpu'"):
        ops.convection(F, torch.zeros(1, 3), backend="gpu")
    with pytest.raises(ValueError, match="needs tensors on that device"):
        ops.convection_r2(F[:, :, 0], torch.zeros(1, 2), backend="cuda")
