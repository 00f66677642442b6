"""One tree of layers: on every space, with its symmetries, and with terms, spaces and estimates of one's own."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from examples.groups_between import GroupsBetween
from pdegcnn_lib import kernels, nn, ops
from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.nn.pde import CDDE
from pdegcnn_lib.ops import backends
from pdegcnn_lib.spaces import M2, Plane, Sampled, Volume

REFERENCE = {"backend": "reference"}
HEISENBERG = Sampled(GroupsBetween(0.0), range(-3, 4))
BETWEEN = Sampled(GroupsBetween(0.3), [-1.0, -0.5, 0.0, 0.5, 1.0])
SPACES = {
    "plane": (Plane(), (7, 8)),
    "volume": (Volume(), (3, 7, 8)),
    "M2": (M2(6), (6, 7, 8)),
    "Heisenberg": (HEISENBERG, (7, 7, 8)),
    "between": (BETWEEN, (5, 7, 8)),
}
EVERY = pytest.mark.parametrize(("space", "size"), SPACES.values(), ids=SPACES)


def shaken(layer: torch.nn.Module) -> torch.nn.Module:
    for parameter in layer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return layer.eval().double()


@EVERY
def test_a_layer_with_every_term(space, size):
    layer = shaken(nn.PDELayer(2, 3, space=space, terms=CDDE, steps=2))
    f = torch.randn(2, 2, *size, dtype=torch.float64, requires_grad=True)
    out = layer(f)
    assert out.shape == (2, 3, *size) and out.isfinite().all()
    out.square().sum().backward()
    assert all(p.grad.isfinite().all() and (p.grad != 0).any() for p in layer.parameters())
    with ops.backend("reference"):
        torch.testing.assert_close(layer(f), out)


@EVERY
@pytest.mark.parametrize("semiring", ["dilation", "erosion", "linear_convolution", "log_convolution"])
def test_operators_one_tap_at_a_time(space, size, semiring):
    """The definition over the neighbours that the space names, in loops; ends leave taps out."""
    window = space.default_window(3)
    f, k = torch.randn(1, 1, *size).double(), torch.rand(1, *space.kernels, *window).double()
    out = getattr(ops, semiring)(f, k, space=space)
    lists = space.neighbours(window)
    for point in ((0,) * len(size), tuple(n - 1 for n in size), tuple(n // 2 for n in size)):
        terms = []
        for tap in torch.cartesian_prod(*(torch.arange(n) for n in window)).tolist():
            at = [p + t - n // 2 for p, t, n in zip(point, tap, window, strict=True)]
            if space.kernels:
                at[0] = int(lists[point[0], tap[0]])
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                table = (0, *point[: len(space.kernels)], *tap)
                terms.append((f[(0, 0, *at)], k[table]))
        seen, weights = (torch.stack(column) for column in zip(*terms, strict=True))
        expected = {
            "dilation": lambda a, b: (a - b).max(),
            "erosion": lambda a, b: (a + b).min(),
            "linear_convolution": lambda a, b: (a * b).sum(),
            "log_convolution": lambda a, b: torch.logsumexp(a - b, 0),
        }[semiring](seen, weights)
        torch.testing.assert_close(out[(0, 0, *point)], expected)


@EVERY
def test_diffusion_keeps_constants_up_to_every_end(space, size):
    layer = nn.Diffusion(2, space=space, **REFERENCE).double()
    f = torch.full((1, 2, *size), 2.5, dtype=torch.float64)
    torch.testing.assert_close(layer(f), f)
    f = torch.randn_like(f)
    assert layer(f).max() <= f.max() and layer(f).var() < f.var()


@pytest.mark.parametrize("term", ["dilation", "erosion", "diffusion", "convection"])
def test_layers_on_the_heisenberg_group_commute_with_its_shears(term):
    """No line of the library is written for this group: whole slopes are symmetries of the grid, exactly."""
    torch.manual_seed(0)
    layer = nn.PDELayer(2, 2, space=HEISENBERG, terms=(term,), window=(3, 13, 3), estimate="rho_b")
    layer = layer.double().eval()
    if term == "convection":  # whole pixels, so that nothing is interpolated
        layer.evolution[term].g0.data = torch.tensor([[1.0, -2.0, 1.0], [2.0, 1.0, -1.0]]).double()
    else:  # narrow enough for every tap that matters to lie in the window
        scale = 3.0 if term == "diffusion" else 1.0
        w = scale * torch.tensor([[1.0, 1.0, 1.0], [1.0, 2.0, 1.2]]).double()
        layer.evolution[term].metric.v.data = torch.log(torch.expm1(w))
    sign = -1 if term == "erosion" else 1
    f = torch.zeros(1, 2, 7, 61, 31, dtype=torch.float64)
    f[:, :, 3:4, 22:39, 10:21] = sign * torch.rand(1, 2, 1, 17, 11).double()
    out = layer(f)
    assert not torch.equal(out, layer.norm(layer.linear(f)))
    for slope in (1, -1):
        move = HEISENBERG.symmetries()[slope]
        torch.testing.assert_close(layer(move(f)), move(out), rtol=0, atol=1e-9)
    wrong = nn.PDELayer(
        2, 2, space=Sampled(GroupsBetween(1.0), range(-3, 4)), terms=(term,), window=(3, 13, 3)
    )
    wrong.load_state_dict(layer.state_dict())
    wrong, move = wrong.double().eval(), HEISENBERG.symmetries()[1]
    if term != "diffusion":  # so narrow a Gaussian does not reach its neighbours
        assert (wrong(move(f)) - move(wrong(f))).abs().max() > 1e-3


def test_se2_sampled_by_hand_is_m2():
    circle = Sampled(SE2, [2 * torch.pi * i / 8 for i in range(8)], periodic=True)
    f = torch.randn(1, 2, 8, 9, 9, dtype=torch.float64)
    torch.manual_seed(1)
    mine = nn.PDELayer(2, 3, space=circle, terms=CDDE).double().eval()
    torch.manual_seed(1)
    layer = nn.PDELayer(2, 3, terms=CDDE).double().eval()
    for one, other in zip(mine.parameters(), layer.parameters(), strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(mine(f), layer(f), rtol=1e-12, atol=1e-12)


def test_slices_that_end_do_not_come_round():
    f = torch.zeros(1, 1, 5, 9, 9)
    f[0, 0, 0, 4, 4] = 1
    spread = ops.dilation(f, torch.zeros(1, 5, 3, 3, 3), space=BETWEEN)
    assert spread.amax((0, 1, 3, 4)).tolist() == [1, 1, 0, 0, 0]
    moved = ops.convection(f, torch.tensor([[0.0, 0.0, 1.0]]), space=BETWEEN)  # two steps of 1/2
    assert moved.amax((0, 1, 3, 4)).tolist() == [1, 1, 1, 0, 0]  # the first slice goes on


class Fade(torch.nn.Module):
    """A term of one's own, and all that it takes: W_t = -rate W."""

    def __init__(self, channels, *, t=1.0, rate=1.0, alpha=None):
        super().__init__()
        self.t, self.alpha = t, alpha
        self.rate = torch.nn.Parameter(torch.full((channels, 1, 1, 1), rate))

    def forward(self, f):
        return f * torch.exp(-self.t * self.rate)


def test_a_term_of_ones_own_is_a_class():
    layer = nn.PDELayer(2, 2, terms=("convection", Fade, partial(nn.Dilation, alpha=0.8)), alpha=0.7, steps=2)
    assert list(layer.evolution) == ["convection", "fade", "dilation"]
    assert layer.evolution["fade"].t == 0.5 and layer.evolution["fade"].alpha == 0.7
    assert layer.evolution["dilation"].alpha == 0.8
    f = torch.randn(1, 2, 8, 7, 7)
    layer.evolution["fade"].rate.data.fill_(0)
    with torch.no_grad():
        plain = nn.PDELayer(2, 2, terms=("convection", "dilation"), alpha=0.8, steps=2)
        plain.load_state_dict({k: v for k, v in layer.state_dict().items() if "fade" not in k})
        assert torch.equal(layer(f), plain(f))
    faster = nn.PDELayer(2, 2, terms=(partial(Fade, rate=3.0),))
    assert (faster.evolution["fade"].rate == 3).all()


def test_a_function_is_an_estimate():
    def doubled(p, metric):
        return 4 * metric.squared(SE2.log(p))

    layer = nn.Dilation(2, estimate=doubled)
    expected = kernels.morphological_kernel(layer.metric(), alpha=0.65, window=(5, 5, 5), estimate=doubled)
    assert torch.equal(layer.kernel(), expected)
    assert (layer.kernel() >= nn.Dilation.kernel(nn.Dilation(2))).any() and "estimate=doubled" in repr(layer)


def test_a_backend_is_a_row(monkeypatch):
    """A module with three functions, entered in the table, runs every operator of a scope."""
    calls = []

    def counted(f, k, semiring):
        calls.append(semiring)
        return backends.TABLE["reference"].semiring_convolution(f, k, semiring)

    row = replace(backends.TABLE["reference"], semiring_convolution=counted)
    monkeypatch.setitem(backends.TABLE, "counted", row)
    monkeypatch.setattr(backends, "availability", lambda: dict.fromkeys(backends.TABLE))
    f = torch.randn(1, 2, 8, 7, 7)
    layer = nn.PDELayer(2, 2, terms=("dilation", "erosion")).eval()
    with ops.backend("counted"):
        found = layer(f)
    assert calls == ["max_plus", "min_plus"]
    with ops.backend("reference"):
        assert torch.equal(layer(f), found)
    assert calls == ["max_plus", "min_plus"]


def test_an_operator_that_is_told_a_backend_ignores_the_scope():
    f = torch.zeros(1, 1, 4, 3, 3)
    with ops.backend("reference"):
        assert backends.choose(None, f) == "reference"
        with ops.backend(None):
            assert backends.choose("reference", f) == "reference"
    if ops.availability()["cpu"] is None:
        with ops.backend("reference"):
            assert backends.choose("compiled", f) == backends.choose("cpu", f) == "cpu"
        with ops.backend("compiled"):
            assert backends.choose(None, f) == "cpu"
    with pytest.raises(ValueError, match="backend must be None or one of .*got 'gpu'"), ops.backend("gpu"):
        pass
    with pytest.raises(ValueError, match="'compiled' runs on cpu and cuda tensors, got a tensor on meta"):
        backends.choose("compiled", f.to("meta"))


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: nn.Dilation(2, space="M2"), TypeError, r"space must be one of .*got 'M2'"),
        (lambda: nn.Dilation(2, space=Plane(), orientations=8), ValueError, "orientations = 8 is short for"),
        (
            lambda: nn.Dilation(2, space=BETWEEN, window=(7, 3, 3)),
            ValueError,
            "fibre of 5 points, got KT = 7",
        ),
        (lambda: nn.Lift(1, 2, size=5, space=Plane()), ValueError, r"lifts to M2.*none to Plane\(\)"),
        (lambda: nn.GroupConvolution(1, 2, space=Plane()), ValueError, r"must be M2.*got Plane\(\)"),
        (
            lambda: nn.Dilation(2)(torch.zeros(1, 2, 6, 9, 9)),
            ValueError,
            r"Or = 8 on M2.*got \[1, 2, 6, 9, 9\]",
        ),
        (
            lambda: nn.Dilation(2, space=Plane())(torch.zeros(1, 2, 8, 9, 9)),
            ValueError,
            r"f must have shape \[B, C, H, W\], got \[1, 2, 8, 9, 9\]",
        ),
        (lambda: nn.PDELayer(2, 2, terms=(3,)), ValueError, r"terms must be one or more of .*got \(3,\)"),
        (
            lambda: kernels.morphological_kernel(torch.ones(2, 3), alpha=1.0, window=(3, 3), space=Plane()),
            ValueError,
            r"w must have shape \[..., 2\], got \[2, 3\]",
        ),
        (
            lambda: nn.Dilation(2, space=BETWEEN, estimate="rho_b_sr").kernel(),
            ValueError,
            "estimate must be one of rho_c, rho_b, got 'rho_b_sr'",
        ),
    ],
)
def test_what_a_space_has_not_is_said(make, kind, says):
    with pytest.raises(kind, match=says):
        make()
