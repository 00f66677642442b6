r"""The kernels on M3: of the PDEs, of lifts, and the orbits that a linear group convolution has one number for."""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.geometry import octahedral
from pdegcnn_lib.geometry.constant import constant
from pdegcnn_lib.kernels.cake import radial_window
from pdegcnn_lib.kernels.diffusion import diffusion_kernel
from pdegcnn_lib.kernels.morphological import morphological_kernel
from pdegcnn_lib.spaces.m3 import M3, places

OVERSAMPLING = 3  # of the spectra of line wavelets


# The kernels of every space by their older names: `w [C, 3]`, `space=M3(N)` -> `[C, N, KN, K, K, K]`.
morphological_kernel_m3 = morphological_kernel
diffusion_kernel_m3 = diffusion_kernel


@constant
def orbits(space: M3, window: tuple[int, ...]) -> tuple[Tensor, int]:
    """Which number of an equivariant linear kernel stands at each tap, `[N, KN, K, K, K]`, and how many there are.

    One number for each orbit of (direction, neighbour, offset) under the 24 turns is the most general kernel that
    commutes with them; -1 where there is no neighbour. 36 numbers for 6 directions and 3^3, 251 for 26.
    """
    space.check_window(window)
    lists, size = space.neighbours(window), window[1]
    place = places(size)
    pairs = (lists >= 0).nonzero()
    owner = pairs[:, 0].repeat_interleave(len(place))
    other = lists[lists >= 0].repeat_interleave(len(place))
    offset = torch.arange(len(place)).repeat(len(pairs))

    def key(turn: int) -> Tensor:
        """The number of each triple after a turn."""
        to = torch.argsort(octahedral.permutation(space.directions, turn))
        moved = (place @ octahedral.rotations()[turn].T).long() + size // 2
        at = (moved[:, 2] * size + moved[:, 1]) * size + moved[:, 0]
        return (to[owner] * space.fibre + to[other]) * len(place) + at[offset]

    first = torch.stack([key(turn) for turn in range(24)]).amin(dim=0)
    found, number = torch.unique(first, return_inverse=True)
    table = torch.full((*lists.shape, len(place)), -1)
    table[pairs[:, 0], pairs[:, 1]] = number.reshape(len(pairs), len(place))
    return table.unflatten(-1, (size,) * 3), len(found)


def line_wavelets(space: M3, size: int = 15, *, sharpness: float = 0.3) -> Tensor:
    r"""The real line wavelets of a fixed lift, one for every direction: `[N, size, size, size]`, float64.

    In the Fourier domain $\hat\psi_n(\omega) = q_n e^{-(\hat\omega\cdot n)^2/2s^2}\, M(|\omega|) \big/ \sum_m q_m
    e^{-(\hat\omega\cdot m)^2/2s^2}$: a line along n has its frequencies in the plane normal to n. The slices sum to the
    radial window M; at the origin each has its share q_n of the mean. Faded toward the rim of the window in space.

    Raises: ValueError for an even size or a sharpness that is not positive. Source: the construction of
    `cake_wavelets` with a ridge on the sphere; Janssen et al., arXiv 1707.02191, take a Funk transform instead.
    """
    if size < 1 or size % 2 == 0 or not sharpness > 0:
        raise ValueError(f"size must be odd and sharpness positive, got {size} and {sharpness:g}")
    fine = OVERSAMPLING * size
    frequency = torch.fft.fftfreq(fine, d=0.5, dtype=torch.float64)
    z, y, x = torch.meshgrid(*[frequency] * 3, indexing="ij")
    omega = torch.stack([x, y, z], dim=-1)
    length = torch.linalg.vector_norm(omega, dim=-1)
    unit = omega / torch.where(length > 0, length, 1.0)[..., None]
    q = space.weights()[:, None, None, None]
    ridge = q * torch.exp(-((torch.einsum("zyxc,nc->nzyx", unit, space.points())) ** 2) / (2 * sharpness**2))
    share = ridge / ridge.sum(dim=0)
    share[:, 0, 0, 0] = q[:, 0, 0, 0]
    psi = torch.fft.fftshift(
        torch.fft.ifftn(share * radial_window(length), dim=(1, 2, 3)).real, dim=(1, 2, 3)
    )
    start = fine // 2 - size // 2
    psi = psi[(slice(None), *[slice(start, start + size)] * 3)]
    place = places(size)
    fade = radial_window(torch.linalg.vector_norm(place, dim=-1) / (size / 2)).reshape((size,) * 3)
    psi = psi * fade
    # As for cake wavelets, the lowest frequencies make up for what fading does to the mean.
    return psi + (q - psi.sum((1, 2, 3), keepdim=True)) * (fade / fade.sum())
