"""SE(3): the laws of a group, its exponential map, and the section of SE(3) -> M3."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib.geometry.rigid import SE3, section

ROUNDING = 1e-13  # a few dozen operations on numbers of size 1 to 3


def elements(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(count, 7, generator=generator, dtype=torch.float64)
    return torch.cat([g[:, :3], torch.nn.functional.normalize(g[:, 3:], dim=-1)], dim=-1)


def same(g: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """The largest difference of two elements; q and -q are one rotation."""
    sign = torch.sign((g[..., 3:] * h[..., 3:]).sum(-1, keepdim=True))
    return torch.cat([g[..., :3] - h[..., :3], g[..., 3:] - sign * h[..., 3:]], dim=-1).abs().max()


def test_it_is_a_group_that_acts() -> None:
    g, h, k = elements(50, 1), elements(50, 2), elements(50, 3)
    x = torch.randn(50, 3, dtype=torch.float64)
    assert same(SE3.product(SE3.product(g, h), k), SE3.product(g, SE3.product(h, k))) < ROUNDING
    assert same(SE3.product(g, SE3.inverse(g)), SE3.identity(g).expand(50, 7)) < ROUNDING
    assert (SE3.act(SE3.product(g, h), x) - SE3.act(g, SE3.act(h, x))).abs().max() < ROUNDING


def test_exp_inverts_log_and_is_a_one_parameter_group() -> None:
    g = elements(200)
    assert same(SE3.exp(SE3.log(g)), g) < ROUNDING
    xi = torch.randn(200, 6, dtype=torch.float64) * 0.5
    assert same(SE3.product(SE3.exp(0.3 * xi), SE3.exp(0.7 * xi)), SE3.exp(xi)) < ROUNDING
    small = torch.cat([xi[:, :3], 1e-9 * xi[:, 3:]], dim=-1)
    assert (SE3.log(SE3.exp(small)) - small).abs().max() < ROUNDING


def test_exp_solves_its_differential_equation() -> None:
    """The matrix exponential of the algebra, which knows nothing of quaternions."""
    xi = torch.tensor([0.3, -0.5, 1.1, 0.7, -0.2, 0.4], dtype=torch.float64)
    w = xi[3:]
    generator = torch.zeros(4, 4, dtype=torch.float64)
    generator[:3, :3] = torch.tensor([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    generator[:3, 3] = xi[:3]
    matrix = torch.linalg.matrix_exp(generator)
    points = torch.randn(5, 3, dtype=torch.float64)
    assert (SE3.act(SE3.exp(xi), points) - points @ matrix[:3, :3].T - matrix[:3, 3]).abs().max() < ROUNDING


@pytest.mark.parametrize("n", [(0, 0, 1), (0, 0, -1), (2 / 3, 1 / 3, 2 / 3), (1, 0, 0)])
def test_the_section_lies_over_its_point_and_has_no_torsion(n: tuple[float, float, float]) -> None:
    p = torch.tensor([0.3, -0.8, 1.1, *n], dtype=torch.float64)
    origin = torch.tensor([0.0, 0, 0, 0, 0, 1], dtype=torch.float64)
    assert (SE3.act_m3(section(p), origin) - p).abs().max() < ROUNDING
    assert SE3.log(section(p))[5].abs() < ROUNDING
