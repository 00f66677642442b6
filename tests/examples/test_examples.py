"""The files that the chapters on using the library read with their reader."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from examples.groups_between import GroupsBetween
from examples.turn_drive_turn import squared_shorter, squared_turn_drive_turn
from pdegcnn_lib import nn, ops
from pdegcnn_lib.geometry import SE2, DiagonalMetric, FullMetric, LieGroup, distance
from pdegcnn_lib.spaces import Sampled
from pdegcnn_lib.testing import assert_equivariant

ROOT = Path(__file__).resolve().parents[2]
MU = pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])


@MU
def test_the_groups_are_groups(mu):
    group = GroupsBetween(mu)
    assert isinstance(group, LieGroup)
    g, h, k = torch.randn(3, 200, 3, dtype=torch.float64).unbind(0)
    left, right = group.product(group.product(g, h), k), group.product(g, group.product(h, k))
    torch.testing.assert_close(left, right)
    torch.testing.assert_close(group.product(g, group.inverse(g)), torch.zeros_like(g), atol=1e-13, rtol=0)
    torch.testing.assert_close(group.log(group.exp(g)), g)
    torch.testing.assert_close(group.exp(group.log(g)), g)
    x = torch.randn(200, 2, dtype=torch.float64)
    torch.testing.assert_close(group.act(group.product(g, h), x), group.act(g, group.act(h, x)))


@MU
def test_the_frame_moves_by_the_product(mu):
    group, g = GroupsBetween(mu), torch.randn(3, dtype=torch.float64)
    moved = torch.func.jacrev(lambda x: group.product(g, x))(group.identity(g))
    torch.testing.assert_close(group.frame(g), moved)


def test_the_family_ends_in_se2():
    g, h = torch.randn(2, 200, 3, dtype=torch.float64).unbind(0)
    torch.testing.assert_close(GroupsBetween(1.0).product(g, h)[:, :2], SE2.product(g, h)[:, :2])
    torch.testing.assert_close(GroupsBetween(1.0).half_angle(g)[:, :2], SE2.half_angle(g)[:, :2])


def test_gradients_exist_where_mu_or_the_slope_is_zero():
    g = torch.zeros(3, dtype=torch.float64)
    for mu in (0.0, 1.0):
        jacobian = torch.func.jacrev(GroupsBetween(mu).log)(g)
        torch.testing.assert_close(jacobian, torch.eye(3, dtype=torch.float64))


def test_slopes_do_not_come_round():
    f = torch.zeros(1, 1, 5, 9, 9)
    f[0, 0, 0, 4, 4] = 1
    k = torch.zeros(1, 5, 3, 3, 3)
    assert ops.dilation(f, k, space=Sampled(GroupsBetween(0.3), range(5))).amax((0, 1, 3, 4)).tolist() == [
        1,
        1,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("zeta", [1, 3, 9])
def test_both_estimates_bound_the_distance(zeta):
    p = (2 * torch.rand(500, 3, dtype=torch.float64) - 1) * torch.tensor([3, 3, math.pi])
    w = torch.tensor([1.0, zeta, 0.7], dtype=torch.float64)
    for squared in (squared_turn_drive_turn, squared_shorter):
        assert (squared(p, DiagonalMetric(w)).sqrt() >= distance(p, w) * (1 - 1e-9)).all()
        assert squared(torch.zeros(3, dtype=torch.float64), DiagonalMetric(w)) == 0


def test_an_estimate_for_diagonal_metrics_says_so():
    with pytest.raises(ValueError, match="diagonal metrics only, got a FullMetric"):
        squared_turn_drive_turn(torch.zeros(3), FullMetric(torch.eye(3)))


def test_the_layer_of_an_estimate_is_equivariant_and_differs_from_the_librarys():
    layer, f = (
        nn.Dilation(2, estimate=squared_shorter).double(),
        torch.randn(1, 2, 8, 11, 11, dtype=torch.float64),
    )
    assert_equivariant(layer, f)
    usual = nn.Dilation(2).double()
    for other in (layer, usual):
        with torch.no_grad():
            other.metric.v.copy_(torch.tensor([0.2, 4.0, 0.2]))
    assert (layer(f) > usual(f)).any()


def test_a_task_draws_from_its_generator_alone():
    from examples.ink import Ink, dice

    task = Ink("fast")
    first, mask = task.batch(3, torch.Generator().manual_seed(1))
    torch.rand(10)
    again, _ = task.batch(3, torch.Generator().manual_seed(1))
    assert torch.equal(first, again) and first.shape == mask.shape == (3, 1, 24, 24)
    assert task.image.shape[-1] + task.test_image.shape[-1] == 384
    assert dice(task.test_ink, task.test_ink) == 1


def test_two_processes_have_the_gradient_of_one():
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command.append("examples/two_processes.py")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert "2 processes" in ran.stdout
