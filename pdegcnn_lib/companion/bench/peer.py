"""Times LieTorch (https://gitlab.com/bsmetsjr/lietorch) in an interpreter that has it.

Run as a file, as `PYTHON peer.py`: it uses nothing but torch and lietorch, and prints milliseconds as JSON. The input
is that of `cases.py`: [4, 16, 8, 64, 64], a window of 5 x 5 x 5, two threads.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version


def _median(call: Callable[[], object], rounds: int = 5) -> float:
    times = []
    call()
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main() -> None:
    """Print the times of the peer's dilation, layer and training step."""
    import torch
    from lietorch.models import drive
    from lietorch.nn import m2

    torch.set_num_threads(2)
    f = torch.randn(4, 16, 8, 64, 64, requires_grad=True)
    g = torch.randn_like(f)
    k = torch.rand(16, 5, 5, 5, requires_grad=True)
    layer = m2.CDEPdeLayerM2(16, 16, [5, 5, 5])
    model = drive.CDEPdeNN6(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images, labels = torch.rand(4, 3, 64, 64), (torch.rand(4, 1, 64, 64) > 0.9).float()

    def dilation() -> object:
        out = m2.morphological_convolution_m2(f, k)
        return torch.autograd.grad(out, (f, k), g)

    def step() -> None:
        optimizer.zero_grad()
        predicted = model(images)
        loss = 1 - (2 * (predicted * labels).sum() + 1) / (predicted.sum() + labels.sum() + 1)
        loss.backward()
        optimizer.step()

    found = {
        "version": version("lietorch"),  # 0.7.1 says of itself that it is 0.7.0
        "dilation_both_ways": _median(dilation),
        "cde_layer": _median(lambda: torch.autograd.grad(layer(f), (f, *layer.parameters()), g)),
        "training_step": _median(step, 3),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
