"""One network on several processes: `torchrun --standalone --nproc-per-node=2 examples/two_processes.py`.

On a machine with GPUs each process takes one of them, elsewhere they share the CPU. Chapter 40 runs it on the CPU.
Each process sees its part of a batch, and the averaged gradient is held against that of one process with all of it.
"""

from __future__ import annotations

import copy
import os

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pdegcnn_lib import nn


def main() -> None:
    gpus = torch.cuda.is_available()
    rank = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", rank) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpus else "gloo")

    torch.manual_seed(0)  # the same network and batch everywhere
    net = torch.nn.Sequential(
        nn.Lift(1, 4, size=5), nn.PDELayer(4, 8), nn.Projection(), torch.nn.Conv2d(8, 1, 1)
    )
    net = net.to(device).eval()  # fixed statistics: those of a batch would differ between the processes
    batch = torch.randn(2 * dist.get_world_size(), 1, 16, 16, device=device)

    alone = copy.deepcopy(net)
    alone(batch).square().mean().backward()

    parallel = DistributedDataParallel(net, device_ids=[rank] if gpus else None)
    part = batch.chunk(dist.get_world_size())[dist.get_rank()]
    parallel(part).square().mean().backward()

    for expected, found in zip(alone.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)
    if dist.get_rank() == 0:
        print(f"{dist.get_world_size()} processes on {device.type}: the gradient is that of one process")
    del parallel  # its last reference to the group must go first, or the worker threads of gloo wait for ever
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
