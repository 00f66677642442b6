"""The measures of equivariance themselves: a wrong one would let everything pass."""

import pytest
import torch

from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.nn import Dilation, Lift, PDELayer, Projection
from pdegcnn_lib.spaces import Sampled
from pdegcnn_lib.testing import assert_equivariant, equivariance_error, quarter_turn, relative_error


def test_a_quarter_turn_takes_x_to_y():
    f = torch.zeros(1, 1, 5, 7)
    f[0, 0, 2, 5] = 1.0  # (x, y) = (2, 0) from the centre
    turned = quarter_turn(f)
    assert turned.shape == (1, 1, 7, 5)
    assert turned[0, 0, 5, 2] == 1.0 and turned.sum() == 1  # (0, 2)


def test_orientations_turn_with_the_positions():
    f = torch.zeros(1, 1, 8, 3, 3)
    f[0, 0, 1, 1, 2] = 1.0
    turned = quarter_turn(f)
    assert turned[0, 0, 3, 2, 1] == 1.0 and turned.sum() == 1


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 8, 4, 5)])
def test_quarter_turns_are_an_action(shape):
    f = torch.randn(shape)
    assert torch.equal(quarter_turn(quarter_turn(f, 1), 2), quarter_turn(f, 3))
    assert torch.equal(quarter_turn(f, 4), f) and torch.equal(quarter_turn(quarter_turn(f), -1), f)
    assert not torch.equal(quarter_turn(f, 2), f)


def test_features_without_positions_do_not_turn():
    f = torch.randn(2, 3)
    assert quarter_turn(f) is f


@pytest.mark.parametrize("orientations", [1, 6])
def test_orientations_must_be_divisible_by_four(orientations):
    with pytest.raises(ValueError, match=f"divisible by 4, got Or = {orientations}"):
        quarter_turn(torch.zeros(1, 1, orientations, 3, 3))


def test_half_a_turn_needs_an_even_number_of_orientations():
    f = torch.randn(1, 1, 6, 3, 4)
    assert torch.equal(quarter_turn(quarter_turn(f, 2), 2), f)
    assert torch.equal(quarter_turn(f, 2)[:, :, 3], f[:, :, 0].flip(-1, -2))
    with pytest.raises(ValueError, match="got Or = 5"):
        quarter_turn(torch.zeros(1, 1, 5, 3, 3), 2)


@pytest.mark.parametrize(("orientations", "turns"), [(1, []), (5, []), (6, [2]), (8, [1, 2, 3])])
def test_a_layer_is_held_to_the_turns_that_its_orientations_have(orientations, turns):
    layer = PDELayer(2, 2, orientations=orientations).double().eval()
    torch.nn.init.normal_(layer.evolution["convection"].g0)
    f = torch.randn(1, 2, orientations, 7, 7, dtype=torch.float64)
    assert list(equivariance_error(layer, f)) == turns
    if turns:
        assert_equivariant(layer, f)
        report = ", ".join(rf"{90 * n} degrees: \d\S*" for n in turns)
        with pytest.raises(AssertionError, match=f"not equivariant to 1e-12: {report}$"):
            assert_equivariant(lambda f: f + torch.linspace(0, 1, 7), f)
    else:
        with pytest.raises(ValueError, match="no exact symmetry of the grid"):
            assert_equivariant(layer, f)


def test_a_network_on_a_grid_without_turns_is_held_to_none_of_its_images():
    """Nor are features of a group without turns taken for those of M2, because they have as many axes."""
    network = torch.nn.Sequential(Lift(1, 2, size=3, orientations=5), Projection()).eval()
    term = Dilation(2, space=Sampled(SE2, [0.0, 0.3, 0.6, 0.9]))
    for module, f in ((network, torch.randn(1, 1, 6, 6)), (term, torch.randn(1, 2, 4, 6, 6))):
        assert equivariance_error(module, f) == {}


def test_relative_error():
    a = torch.tensor([1.0, 2.0, 3.0])
    assert relative_error(a, a) == 0
    b = torch.tensor([2.0, 2.0, 3.0])  # deviations -1/3, -1/3, 2/3 from its mean
    assert relative_error(a + 100, b + 100) == pytest.approx(1.5**0.5, rel=1e-5)
    assert relative_error(torch.ones(3), torch.zeros(3)) == pytest.approx(3**0.5)
    noise = torch.randn(2, 10000)
    assert relative_error(*noise) == pytest.approx(2**0.5, rel=0.05)


def test_errors_are_reported_per_element():
    def lopsided(f: torch.Tensor) -> torch.Tensor:
        """Invariant under half turns only."""
        return f + torch.linspace(-1, 1, f.shape[-1]).square()

    errors = equivariance_error(lopsided, torch.rand(1, 1, 8, 8))
    assert list(errors) == [1, 2, 3]
    assert errors[2] < 1e-6 and errors[1] > 0.1 and errors[3] > 0.1
    with pytest.raises(
        AssertionError, match=r"not equivariant to 1e-05: 90 degrees: \d.*, 180 degrees: .*, 270"
    ):
        assert_equivariant(lopsided, torch.rand(1, 1, 8, 8))
    assert_equivariant(lopsided, torch.rand(1, 1, 8, 8), tolerance=10)


def test_what_commutes_passes():
    assert_equivariant(torch.relu, torch.randn(1, 2, 8, 5, 6))
    assert_equivariant(lambda f: f.amax((2, 3, 4)), torch.randn(1, 2, 8, 5, 6))


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_a_nan_never_passes(bad):
    """Whichever of the four evaluations it comes from."""
    calls = []

    def layer(f: torch.Tensor) -> torch.Tensor:
        calls.append(None)
        return f * torch.nan if len(calls) == bad + 1 else f

    with pytest.raises(AssertionError, match="nan"):
        assert_equivariant(layer, torch.randn(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.bfloat16, 1.0), (torch.float16, 0.3), (torch.float32, 1e-4), (torch.float64, 1e-11)],
)
def test_default_tolerance_follows_the_precision(dtype, size):
    noise = size * torch.randn(1, 1, 8, 8).to(dtype)
    f = torch.randn(1, 1, 8, 8).to(dtype)
    assert_equivariant(lambda f: f + 1e-3 * noise, f)
    with pytest.raises(AssertionError, match="not equivariant"):
        assert_equivariant(lambda f: f + noise, f)
