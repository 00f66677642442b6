"""What takes two processes, asked of every name in one go: `python -m tests.support.processes RANK FILE NAME...`."""

from __future__ import annotations

import copy
import datetime
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from tests.support.properties import answer, close, made, parameters

ROOT = Path(__file__).resolve().parents[2]


def _whole(x: Tensor) -> Tensor:
    """A gradient of which every process holds a part."""
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def over(wrapped: Callable[[nn.Module], nn.Module], name: str) -> None:
    """Each process has half of a batch; the gradient is that of one process with all of it."""
    module, x = made(name)
    parameters(module)
    alone, both = copy.deepcopy(module), torch.cat([x, 0.5 * x.flip(-1)])
    known = alone(both)
    known.square().mean().backward()
    run = wrapped(module)
    found = run(both.chunk(2)[dist.get_rank()])
    found.square().mean().backward()
    close(found, known.chunk(2)[dist.get_rank()])
    close([_whole(p.grad) for p in module.parameters()], [p.grad for p in alone.parameters()])


def sharded(module: nn.Module) -> nn.Module:
    fully_shard(module, mesh=init_device_mesh("cpu", (2,)))
    return module


PROCESSES: dict[str, Callable[[nn.Module], nn.Module]] = {"DDP": DistributedDataParallel, "FSDP2": sharded}


def answers(names: Sequence[str], folder: Path) -> dict[str, dict[str, str]]:
    """The cells of these names, from two processes on the CPU that meet in a file."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.processes"]
    started = [
        subprocess.Popen(
            [*command, str(rank), str(folder / "meeting"), *names],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    first, second = (json.loads(process.communicate(timeout=500)[0]) for process in started)
    assert first == second, "the processes disagree"
    return first


def main(rank: str, meeting: str, *names: str) -> None:
    torch.set_num_threads(1)
    limit = datetime.timedelta(seconds=120)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=2, timeout=limit
    )
    said = {
        name: {question: answer(name, lambda name, w=w: over(w, name)) for question, w in PROCESSES.items()}
        for name in names
    }
    print(json.dumps(said))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
