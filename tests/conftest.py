"""What every test shares: at most two threads, no progress bars, a fixed seed, the dtypes, reproducible examples."""

import os

# Before torch reads them. Threads that spin while they wait make small operators tens of times slower as soon as other
# processes want the cores, parallel tests for one.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")  # tqdm reads it when it is imported

import pytest
import torch
from hypothesis import HealthCheck, settings

from pdegcnn_lib import ops

# Deterministic by default: a failure on one machine is a failure on all. HYPOTHESIS_PROFILE=explore draws anew.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def seed() -> int:
    """The seed of torch's generator at the start of every test."""
    torch.manual_seed(20230123)
    return 20230123


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """Both floating types."""
    return request.param


def _usable_on_cpu() -> list[str]:
    found = ops.availability()
    return [name for name in ("reference", "cpu") if found[name] is None]


@pytest.fixture(params=_usable_on_cpu(), scope="session")
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend that runs on this processor."""
    return request.param
