r"""The exact distance on M3 by shooting geodesics: for checks, and believed only where two solutions agree.

A geodesic has a constant spatial momentum lambda (translations commute), and its direction bends by

$$\dot x = \frac{\lambda}{g_L} + \Big(\frac1{g_M} - \frac1{g_L}\Big)(\lambda\cdot n)\, n, \qquad
  \dot n = \frac{\mu}{g_A}, \qquad
  \dot\mu = -\Big(\frac1{g_M} - \frac1{g_L}\Big)(\lambda\cdot n)\,\lambda_\perp - \frac{|\mu|^2}{g_A}\, n.$$

There are five unknowns, lambda and mu at the start, and many geodesics to one point. First guesses come from the
closed form at w_lateral = w_main, continued in small factors, and from a cloud of random geodesics, the nearest in each
range of lengths. The point seen from its other end, p^-1, is an independent problem with the same distance: a length
counts only if both give it. (A first solver that had one start for each point was wrong at a third of them.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.geometry.m3 import coordinates, rho_b_com, rho_c
from pdegcnn_lib.geometry.metrics import DiagonalMetric

STEPS, COARSE = 60, 16  # of the integrator, for results and on the way to them
FACTOR = 1.15  # from one anisotropy to the next
NUDGE = 1e-6  # of the finite differences
GEODESICS, TIMES, BINS = 1000, 24, 6  # of the cloud that guesses come from
MISS, AGREE = 1e-7, 1e-5  # largest miss of a target, largest relative difference of two solutions


def shoot(momentum: Tensor, w: Tensor, steps: int = STEPS, *, whole: bool = False) -> Tensor:
    """The end after unit time of the geodesic from (0, e_z) with covector (lambda, mu_x, mu_y).

    Shapes: `momentum [..., 5]`, `w [..., 3]` -> `[..., 6]`, or `[steps, ..., 6]` for the `whole` path.
    Its length is `dual_norm`.
    """
    components = momentum.movedim(-1, 0)  # in front, where torch adds and multiplies them in long runs
    main, lateral, angular = (w**-2).movedim(-1, 0)[:, None]
    push, spatial = main - lateral, components[:3]
    n = torch.zeros_like(spatial)
    x, n[2] = torch.zeros_like(n), 1.0
    mu = torch.cat([components[3:], torch.zeros_like(components[:1])])

    def rate(n: Tensor, mu: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        along = (spatial * n).sum(0, keepdim=True)
        lift = push * along
        bend = lift * along - angular * (mu * mu).sum(0, keepdim=True)
        return lateral * spatial + lift * n, angular * mu, bend * n - lift * spatial

    h, path = 1 / steps, []
    for _ in range(steps):
        k1 = rate(n, mu)
        k2 = rate(n + h / 2 * k1[1], mu + h / 2 * k1[2])
        k3 = rate(n + h / 2 * k2[1], mu + h / 2 * k2[2])
        k4 = rate(n + h * k3[1], mu + h * k3[2])
        x, n, mu = (
            v + h / 6 * (a + d + 2 * (b + c))
            for v, a, b, c, d in zip((x, n, mu), k1, k2, k3, k4, strict=True)
        )
        n = n / torch.linalg.vector_norm(n, dim=0, keepdim=True)
        if whole:
            path.append(torch.cat([x, n]).movedim(0, -1))
    return torch.stack(path) if whole else torch.cat([x, n]).movedim(0, -1)


def dual_norm(momentum: Tensor, w: Tensor) -> Tensor:
    """The norm of a covector (lambda, mu_x, mu_y) at (0, e_z), which is the length of its geodesic: `[..., 5]`."""
    weight = torch.stack([w[..., 1], w[..., 1], w[..., 0], w[..., 2], w[..., 2]], dim=-1)
    return torch.linalg.vector_norm(momentum / weight, dim=-1)


def _canonical(c: Tensor) -> Tensor:
    """The point with half-angle coordinates c whose plane of bending is that of x and z: `[..., 4]` -> `[..., 6]`."""
    s_m, s_d, s_u, beta = c.unbind(-1)
    cos, sin, zero = torch.cos(beta / 2), torch.sin(beta / 2), torch.zeros_like(beta)
    place = [sin * s_m + cos * s_d, s_u, cos * s_m - sin * s_d]
    return torch.stack([*place, torch.sin(beta), zero, torch.cos(beta)], dim=-1)


def _refine(
    momentum: Tensor, target: Tensor, w: Tensor, iterations: int, steps: int = STEPS
) -> tuple[Tensor, Tensor]:
    """Levenberg-Marquardt on the end point: the momentum and its miss. `[n, 5]`, `[n, 6]`, `[n, 3]`."""
    weight = torch.cat([w[:, :1].expand(-1, 3), w[:, 2:].expand(-1, 3)], dim=-1)
    tried = torch.cat([torch.zeros(1, 5).to(momentum), NUDGE * torch.eye(5).to(momentum)])
    damping = torch.full_like(momentum[:, 0], 1e-2)
    momentum, active = momentum.clone(), torch.arange(len(momentum))
    miss = torch.full_like(damping, torch.inf)
    for _ in range(iterations):
        m = momentum[active]
        ends = shoot(m[:, None] + tried, w[active, None], steps)
        r = (ends[:, 0] - target[active]) * weight[active]
        jacobian = ((ends[:, 1:] - ends[:, :1]) * weight[active, None]).mT / NUDGE
        normal = jacobian.mT @ jacobian
        damp = damping[active, None] * (torch.diagonal(normal, dim1=-2, dim2=-1) + 1e-9)
        step = torch.linalg.solve(normal + torch.diag_embed(damp), -(jacobian.mT @ r[..., None]))[..., 0]
        new = (shoot(m + step, w[active], steps) - target[active]) * weight[active]
        before, after = (torch.linalg.vector_norm(v, dim=-1) for v in (r, new))
        better = after < before
        momentum[active] = torch.where(better[:, None], m + step, m)
        miss[active] = torch.minimum(before, after)
        damping[active] = torch.where(better, damping[active] / 8, damping[active] * 4).clamp(1e-12, 1e8)
        active = active[miss[active] > MISS / 100]
        if not len(active):
            break
    return momentum, miss


def _continued(target: Tensor, c: Tensor, w: Tensor) -> Tensor:
    """The geodesic at w_lateral = w_main, known in closed form, followed to the anisotropy asked for."""
    # There x runs straight and n along its great circle: lambda = w_M^2 x, mu = w_A^2 beta along the plane of bending.
    bend = w[:, 2:] ** 2 * torch.stack([c[:, 3], torch.zeros_like(c[:, 3])], dim=-1)
    momentum = torch.cat([w[:, :1] ** 2 * target[:, :3], bend], dim=-1)
    zeta = w[:, 1] / w[:, 0]
    count = int(torch.ceil(zeta.log().abs().max() / math.log(FACTOR)))
    for i in range(1, count):
        stage = torch.stack([w[:, 0], w[:, 0] * zeta ** (i / count), w[:, 2]], dim=-1)
        momentum, _ = _refine(momentum, target, stage, 4, COARSE)
    return momentum


def _guesses(target: Tensor, w: Tensor, generator: torch.Generator) -> Tensor:
    """For each target the momenta of the geodesics that pass nearest to it, one in every range of lengths."""
    draw = torch.randn(GEODESICS, 5, generator=generator, dtype=target.dtype)
    weight = torch.stack([w[1], w[1], w[0], w[2], w[2]])
    unit = draw / torch.linalg.vector_norm(draw, dim=-1, keepdim=True) * weight
    origin = torch.tensor([0, 0, 0, 0, 0, 1]).to(target)
    bound = rho_b_com(origin, target, w)
    longest = float(bound.max())
    path = shoot(longest * unit, w, TIMES, whole=True).flatten(0, 1)
    # Turned about e_z into the plane of the targets' bending, the cloud loses one dimension of five.
    azimuth = torch.atan2(path[:, 4], path[:, 3])
    cos, sin = torch.cos(azimuth), torch.sin(azimuth)

    def turned(v: Tensor) -> Tensor:
        return torch.stack([cos * v[:, 0] + sin * v[:, 1], cos * v[:, 1] - sin * v[:, 0]], dim=-1)

    path = torch.cat([turned(path), path[:, 2:3], turned(path[:, 3:]), path[:, 5:]], dim=-1)
    spent = (torch.arange(1, TIMES + 1).to(target) * longest / TIMES).repeat_interleave(GEODESICS)
    covector = (unit.repeat(TIMES, 1)) * spent[:, None]
    covector = torch.cat([turned(covector), covector[:, 2:3], turned(covector[:, 3:])], dim=-1)
    ranges = torch.arange(TIMES).repeat_interleave(GEODESICS) * BINS // TIMES
    found = []
    for goal in target:
        total = rho_b_com(path, goal, w) + 0.2 * spent
        nearest = [torch.where(ranges == b, total, torch.inf).argmin() for b in range(BINS)]
        found.append(covector[torch.stack(nearest)])
    return torch.stack(found)


def _solve(c: Tensor, w: Tensor, seed: int) -> Tensor:
    """The length of the shortest geodesic found to points with coordinates `c [n, 4]`, for one metric `w [3]`."""
    target, many = _canonical(c), w.expand(len(c), 3)
    guesses = _guesses(target, w, torch.Generator().manual_seed(seed))
    starts = torch.cat([_continued(target, c, many)[:, None], guesses], dim=1)
    count = starts.shape[1]
    wide, goals = w.expand(len(c) * count, 3), target.repeat_interleave(count, 0)
    momentum, miss = _refine(starts.flatten(0, 1), goals, wide, 12, COARSE)
    # The logarithm bounds the distance from above: what is longer, or far from its target still, cannot help.
    origin = torch.tensor([0, 0, 0, 0, 0, 1]).to(target)
    bound = 1.01 * rho_c(origin, goals, wide)
    kept = ((miss < 0.1) & (dual_norm(momentum, wide) < bound)).nonzero()[:, 0]
    fine, miss = _refine(momentum[kept], goals[kept], wide[kept], 12)
    length = torch.full_like(bound, torch.inf)
    length[kept] = torch.where(miss < MISS, dual_norm(fine, wide[kept]), torch.inf)
    return length.unflatten(0, (len(c), count)).amin(-1)


def both_ways(q: Tensor, p: Tensor, w: Tensor | DiagonalMetric, *, seed: int = 0) -> Tensor:
    r"""The lengths of the shortest geodesics found from q to p and, independently, from p to q.

    Both are at least the distance, and equal to it where the search was complete.
    Shapes: `q [..., 6]`, `p [..., 6]`, `w [3]` -> `[..., 2]`, float64 on the CPU. About 50 ms a point.
    """
    scales = (w.w if isinstance(w, DiagonalMetric) else w).detach().double().cpu()
    if scales.shape != (3,):
        raise ValueError(f"w must be one diagonal metric [3], got {list(scales.shape)}")
    c = coordinates(q.detach().double().cpu(), p.detach().double().cpu())
    flat = c.reshape(-1, 4)
    # Exchange of the two points turns the sign of s_m and nothing else.
    ends = [
        _solve(flat * flat.new_tensor([sign, 1, 1, 1]), scales, seed + i) for i, sign in enumerate((1, -1))
    ]
    return torch.stack(ends, dim=-1).reshape(*c.shape[:-1], 2)


def distance(q: Tensor, p: Tensor, w: Tensor | DiagonalMetric, *, seed: int = 0) -> Tensor:
    r"""The exact Riemannian distance d(q, p) on M3 for one diagonal metric; nan where the two searches disagree.

    $d(p, q) = \min_\gamma \int\|\dot\gamma\|\,dt$, with geodesics found as in `both_ways`, which also has the values
    behind a nan. Accurate to a relative 1e-5. Shapes: `q [..., 6]`, `p [..., 6]`, `w [3]` -> `[...]`, float64.
    Raises: ValueError for a wrong shape, a direction that is no unit vector or more than one metric.
    """
    forth, back = both_ways(q, p, w, seed=seed).unbind(-1)
    agree = (forth - back).abs() <= AGREE * torch.minimum(forth, back)
    return torch.where(agree, torch.minimum(forth, back), torch.nan)
